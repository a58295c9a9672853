package eventembed

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrClosed is what a closed broker's methods return.
var ErrClosed = errors.New("eventembed: the broker is closed")

// Broker is a running cluster, usually of one broker. Its methods may be
// called at the same time, and Close at any time.
type Broker struct {
	config  config
	cluster *kfake.Cluster
	addrs   []string
	used    *os.File // marks the directory as in use; nil without one

	listeners []*listener // by node id
	rules     ruleSet
	names     sync.Map // topic names by topic id; an id means one topic for ever
	illegal   sync.Map // topic names that clients have tried and Kafka refuses

	ready chan struct{}  // closed when Start is done: connections are accepted from then on
	done  chan struct{}  // closed when Close begins
	ended chan struct{}  // closed when Close is done
	conns sync.WaitGroup // open connections
	calls sync.WaitGroup // calls to cluster that are under way

	restoring sync.Mutex // only one Restore at a time

	mu     sync.Mutex
	closed bool        // no new call may begin
	client *kgo.Client // nil until the first use
}

// Start starts a cluster. The error names the option that cannot be used, or
// says what failed: a port that is taken, a directory that cannot be read or
// that another broker uses.
func Start(options ...Option) (*Broker, error) {
	c := defaults()
	for _, o := range options {
		o(&c)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	b := &Broker{
		config: c,
		ready:  make(chan struct{}),
		done:   make(chan struct{}),
		ended:  make(chan struct{}),
	}
	if c.dir != "" {
		used, err := openDir(c.dir)
		if err != nil {
			return nil, err
		}
		b.used = used
	}
	cluster, err := kfake.NewCluster(b.clusterOptions()...)
	if err != nil {
		for _, l := range b.listeners {
			l.Close()
		}
		b.leaveDir()
		return nil, fmt.Errorf("eventembed: start: %w", err)
	}
	b.cluster = cluster
	b.refuseMechanisms()
	for _, l := range b.listeners {
		b.addrs = append(b.addrs, l.addr.String())
	}
	for _, t := range c.topics {
		if cluster.TopicInfo(t.name) != nil {
			continue
		}
		if err := b.CreateTopic(t.name, int(t.partitions), nil); err != nil {
			b.Close()
			return nil, err
		}
	}
	close(b.ready)
	return b, nil
}

// MustStart is [Start] for tests and examples: it panics on an error.
func MustStart(options ...Option) *Broker {
	b, err := Start(options...)
	if err != nil {
		panic(err)
	}
	return b
}

// clusterOptions says the configuration in kfake's words.
func (b *Broker) clusterOptions() []kfake.Opt {
	ports := make([]int, b.config.brokers)
	for i := range ports {
		if b.config.port > 0 {
			ports[i] = b.config.port + i
		}
	}
	opts := []kfake.Opt{
		kfake.Ports(ports...),
		kfake.ClusterID(b.config.clusterID),
		kfake.BrokerConfigs(b.config.configs),
		// The cluster opens its ports in the order of its node ids.
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			port, err := b.config.listen(network, address)
			if err != nil {
				return nil, err
			}
			l := newListener(b, int32(len(b.listeners)), port)
			b.listeners = append(b.listeners, l)
			return l, nil
		}),
	}
	if b.config.dir != "" {
		opts = append(opts, kfake.DataDir(b.config.dir))
	}
	if b.config.auto {
		opts = append(opts, kfake.AllowAutoTopicCreation())
	}
	if b.config.logger != nil {
		opts = append(opts, kfake.WithLogger(clusterLogger{b.config.logger}))
	}
	for name, option := range sessionTimeouts {
		if d, ok, err := b.config.milliseconds(name); ok && err == nil {
			opts = append(opts, option(d))
		}
	}
	if len(b.config.users) > 0 {
		opts = append(opts, kfake.EnableSASL())
		for _, u := range b.config.users {
			opts = append(opts, kfake.Superuser(u.mechanism, u.name, u.password))
		}
	}
	return opts
}

// Addrs is the brokers' addresses, host:port, in the order of their node ids,
// which count from 0. They stay the same through Cut and Restore.
func (b *Broker) Addrs() []string { return append([]string(nil), b.addrs...) }

// Close ends the cluster and all connections to it, and returns when they have
// ended. What faults have held is released first. It can be called several
// times; every call returns nil after the first has done the work.
func (b *Broker) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if !first {
		<-b.ended
		return nil
	}
	close(b.done)
	b.calls.Wait()
	if b.client != nil { // no call is left that could make one
		b.client.Close()
	}
	b.cluster.Close()
	b.conns.Wait()
	b.leaveDir()
	close(b.ended)
	return nil
}

// closing says whether Close has begun.
func (b *Broker) closing() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

func (b *Broker) leaveDir() {
	if b.used != nil {
		b.used.Close()
	}
}

// call runs fn, which asks the cluster something. The cluster answers in its
// own goroutine and never after it has been closed, so Close waits for calls.
func (b *Broker) call(fn func() error) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrClosed
	}
	b.calls.Add(1)
	b.mu.Unlock()
	defer b.calls.Done()
	return fn()
}
