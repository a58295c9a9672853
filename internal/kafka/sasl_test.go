package kafka

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kerr"
)

const (
	password = "pass:word with spaces"
	wrong    = "some other secret"
)

func scramMechanism(t *testing.T, algo scram.Algorithm, password string) sasl.Mechanism {
	t.Helper()
	m, err := scram.Mechanism(algo, "user", password)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSASL(t *testing.T) {
	c := embedded(t, eventembed.User("PLAIN", "user", password),
		eventembed.User("SCRAM-SHA-256", "user", password), eventembed.User("SCRAM-SHA-512", "user", password))
	for _, test := range []struct {
		name string
		with func(password string) sasl.Mechanism
	}{
		{"PLAIN", func(p string) sasl.Mechanism { return plain.Mechanism{Username: "user", Password: p} }},
		{"SCRAM-SHA-256", func(p string) sasl.Mechanism { return scramMechanism(t, scram.SHA256, p) }},
		{"SCRAM-SHA-512", func(p string) sasl.Mechanism { return scramMechanism(t, scram.SHA512, p) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := c.client(t, func(cfg *Config) { cfg.SASL = test.with(password) })
			if err := client.Ping(timeout(t)); err != nil {
				t.Fatal(err)
			}
			var log logged
			client = c.client(t, func(cfg *Config) {
				cfg.SASL = test.with(wrong)
				cfg.Logger = log.logger(slog.LevelDebug)
			})
			err := client.Ping(timeout(t))
			if !errors.Is(err, kerr.SaslAuthenticationFailed) || !strings.Contains(err.Error(), "the broker refused the user name or the password") {
				t.Errorf("wrong password: %v", err)
			}
			ensured := client.EnsureTopics(timeout(t), []TopicSpec{{Topic: "t"}})
			if !errors.Is(ensured, kerr.SaslAuthenticationFailed) {
				t.Errorf("topics with a wrong password: %v", ensured)
			}
			produced := client.produce(timeout(t), []*Record{record("t", "k", "v")})
			if !errors.Is(produced, kerr.SaslAuthenticationFailed) {
				t.Errorf("produce with a wrong password: %v", produced)
			}
			for what, text := range map[string]string{"error": err.Error(), "topics": ensured.Error(), "produced": produced.Error(), "log": log.String()} {
				if strings.Contains(text, wrong) {
					t.Errorf("the password is in the %s: %s", what, text)
				}
			}
		})
	}
}

func TestSASLUnknownMechanism(t *testing.T) {
	c := embedded(t, eventembed.User("SCRAM-SHA-256", "user", password))
	client := c.client(t, func(cfg *Config) { cfg.SASL = plain.Mechanism{Username: "user", Password: password} })
	err := client.Ping(timeout(t))
	if !errors.Is(err, kerr.UnsupportedSaslMechanism) || !strings.Contains(err.Error(), "does not offer this SASL mechanism") {
		t.Errorf("error: %v", err)
	}
}

// metadataMechanism wants to know whom it talks to, as mechanisms with tokens
// for one host do.
type metadataMechanism struct {
	plain.Mechanism
	seen chan sasl.Metadata
}

func (m metadataMechanism) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	m.seen <- *sasl.MetadataFromContext(ctx)
	_, first, err := m.Mechanism.Start(ctx)
	return m, first, err
}

func (m metadataMechanism) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	m.seen <- *sasl.MetadataFromContext(ctx)
	return m.Mechanism.Next(ctx, challenge)
}

func TestSASLMetadata(t *testing.T) {
	c := embedded(t, eventembed.User("PLAIN", "user", password))
	seen := make(chan sasl.Metadata, 10)
	client := c.client(t, func(cfg *Config) {
		cfg.SASL = metadataMechanism{plain.Mechanism{Username: "user", Password: password}, seen}
	})
	if err := client.Ping(timeout(t)); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(c.brokers[0])
	for range 2 { // Start, Next
		if m := receive(t, "metadata", seen); m.Host != host || strconv.Itoa(m.Port) != port {
			t.Errorf("metadata %+v, broker %s", m, c.brokers[0])
		}
	}
}

type brokenMechanism struct{ plain.Mechanism }

func (brokenMechanism) Start(context.Context) (sasl.StateMachine, []byte, error) {
	return nil, nil, errBroken
}

var errBroken = errors.New("no token")

func TestSASLMechanismFails(t *testing.T) {
	c := embedded(t, eventembed.User("PLAIN", "user", password))
	client := c.client(t, func(cfg *Config) { cfg.SASL = brokenMechanism{} })
	if err := client.Ping(timeout(t)); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "PLAIN") {
		t.Errorf("error: %v", err)
	}
}
