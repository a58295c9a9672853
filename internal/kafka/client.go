package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Client is one franz-go client that produces and administers. Its methods may
// be called at the same time. What is read from the cluster about topics is
// kept; see [Client.Forget].
type Client struct {
	cfg   Config
	log   *slog.Logger
	kgo   *kgo.Client
	adm   *kadm.Client
	known *topics
	limit *limits

	producer *producer

	close sync.Once
}

// New makes a client. It does not talk to the brokers; see [Client.Ping]. The
// error names the field that cannot be used.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, log: cfg.Logger}
	client, err := kgo.NewClient(cfg.options()...)
	if err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	c.kgo = client
	c.adm = kadm.NewClient(client)
	c.known = newTopics(c)
	c.limit = newLimits(c)
	c.producer = newProducer(c)
	return c, nil
}

// Kgo is the franz-go client. It is there for package lanes, which writes
// produce requests itself; it must not be closed.
func (c *Client) Kgo() *kgo.Client { return c.kgo }

// Ping asks a broker for its metadata. The error says what is wrong with the
// address, TLS or authentication, as far as that can be told.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.metadata(ctx)
	return err
}

// ClusterID is the id of the cluster, the same at every broker of it.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	resp, err := c.metadata(ctx)
	if err != nil {
		return "", err
	}
	if resp.ClusterID == nil {
		return "", fmt.Errorf("kafka: the cluster at %v does not say its id", c.cfg.Brokers)
	}
	return *resp.ClusterID, nil
}

// Close ends the client: what is being produced fails with [ErrClosed], and so
// does every later call. It can be called several times.
func (c *Client) Close() {
	c.close.Do(func() {
		c.producer.stop()
		c.known.stop()
		c.limit.stop()
		c.kgo.Close()
	})
}

// metadata asks any broker about topics, without creating any, and without
// any cache between.
func (c *Client) metadata(ctx context.Context, topics ...WireTopic) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = make([]kmsg.MetadataRequestTopic, 0, len(topics)) // not nil, which would mean all
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(string(t))
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.kgo)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, c.cfg.explain("read metadata", err)
	}
	return resp, nil
}
