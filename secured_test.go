package events_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// door is one of a cluster's listeners, and how a client comes in.
type door struct {
	brokers   string
	mechanism sasl.Mechanism
	tls       *tls.Config
}

// entry is what became of a Library that was let in, or was not.
type entry struct {
	consuming, relaying, producing error
	log                            string
}

// enter starts a Library at the door. If it is let in, an event that is
// produced at once and one of a transaction must arrive.
func (d door) enter(t *testing.T) entry {
	t.Helper()
	var log lockedBuffer
	db := openSQLite(t)
	lib := eventsqlite.NewLibrary()
	lib.SkipNotifierSupport()
	lib.SetPrefix("s" + uuid.NewString()[:8] + ".")
	lib.SetLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	topic := eventsqlite.BindTopic[string]("secured")
	arrived := make(chan string, 10)
	lib.ConsumeIdempotent(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", topic.Handler(
		func(_ context.Context, e eventmodels.Event[string]) error { arrived <- e.Payload; return nil }))
	var config *events.TLSConfig
	if d.tls != nil {
		config = &events.TLSConfig{Config: d.tls}
	}
	lib.Configure(db, nil, false, d.mechanism, config, strings.Split(d.brokers, ","))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	var e entry
	started, _, err := lib.StartConsuming(ctx)
	e.consuming = err
	_, e.relaying = lib.CatchUpProduce(ctx, 100*time.Millisecond, 500)
	e.producing = lib.Produce(ctx, eventmodels.ProduceImmediate, topic.Event("k", "immediate body"))
	if ctx.Err() != nil {
		t.Error("the answers took a minute")
	}
	if e.consuming == nil && e.relaying == nil && e.producing == nil {
		awaitDone(t, started, "consuming")
		if err := db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			tx.Produce(topic.Event("k", "transaction body"))
			return nil
		}); err != nil {
			t.Errorf("Transact: %v", err)
		}
		got := make(map[string]bool)
		for len(got) < 2 {
			select {
			case body := <-arrived:
				got[body] = true
			case <-ctx.Done():
				t.Fatalf("waited in vain for both events, got %v; log:\n%s", got, log.String())
			}
		}
	}
	if err := lib.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	e.log = log.String()
	if strings.Contains(e.log, "immediate body") || strings.Contains(e.log, "transaction body") {
		t.Errorf("the log has a body in it:\n%s", e.log)
	}
	return e
}

// must fails the test unless the Library was let in.
func (e entry) must(t *testing.T) {
	t.Helper()
	if err := errors.Join(e.consuming, e.relaying, e.producing); err != nil {
		t.Errorf("not let in: %v", err)
	}
}

// refused fails the test unless every call has the error, in words.
func (e entry) refused(t *testing.T, want error, words string) {
	t.Helper()
	for call, err := range map[string]error{"StartConsuming": e.consuming, "CatchUpProduce": e.relaying, "Produce": e.producing} {
		if !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: want %q with %q, got: %v", call, want, words, err)
		}
	}
}

// silent fails the test if the secret was told anywhere.
func (e entry) silent(t *testing.T, secret string) {
	t.Helper()
	metrics, err := prometheus.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{
		"StartConsuming": fmt.Sprint(e.consuming), "CatchUpProduce": fmt.Sprint(e.relaying), "Produce": fmt.Sprint(e.producing),
		"log": e.log, "metrics": fmt.Sprint(metrics),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%s has the password in it: %s", what, text)
		}
	}
}

// mechanism reads a SASL text.
func mechanism(t *testing.T, text string) sasl.Mechanism {
	t.Helper()
	var c events.SASLConfig
	if err := c.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return c.Mechanism
}

// secured is a variable of the listeners with SASL and TLS.
func secured(t *testing.T, variable string) string {
	t.Helper()
	return backend(t, "secured", variable)
}

// trusting trusts who has signed the brokers' certificates.
func trusting(t *testing.T) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(secured(t, "EVENTS_KAFKA_TLS_CA"))
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	if !config.RootCAs.AppendCertsFromPEM(text) {
		t.Fatal("no certificate in EVENTS_KAFKA_TLS_CA")
	}
	return config
}

// oddPassword has what parsers and protocols trip over.
const oddPassword = `p:a,s=s;w"o'r d\%40#ü日`

// scramUser makes a user for a mechanism.
func scramUser(t *testing.T, m kadm.ScramMechanism, password string) (name string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(kafkaBrokers(t)...))
	if err != nil {
		t.Fatal(err)
	}
	name = "user,=" + uuid.NewString()[:8]
	set := func(del []kadm.DeleteSCRAM, upsert []kadm.UpsertSCRAM) error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		altered, err := kadm.NewClient(client).AlterUserSCRAMs(ctx, del, upsert)
		if err == nil {
			err = altered.Error()
		}
		return err
	}
	if err := set(nil, []kadm.UpsertSCRAM{{User: name, Mechanism: m, Iterations: 4096, Password: password}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer client.Close()
		if err := set([]kadm.DeleteSCRAM{{User: name, Mechanism: m}}, nil); err != nil {
			t.Error(err)
		}
	})
	return name
}

// Kafka lets in who knows the password, with and without TLS, and nobody else.
func TestSecuredSASL(t *testing.T) {
	plainText, tlsText := secured(t, "EVENTS_KAFKA_SASL_BROKERS"), secured(t, "EVENTS_KAFKA_SASL_TLS_BROKERS")
	plainUser, plainPassword, _ := strings.Cut(secured(t, "EVENTS_KAFKA_SASL_PLAIN"), ":")
	for _, test := range []struct {
		method   string
		user     func(t *testing.T) string
		password string
	}{
		{"plain", func(*testing.T) string { return plainUser }, plainPassword},
		{"sha256", func(t *testing.T) string { return scramUser(t, kadm.ScramSha256, oddPassword) }, oddPassword},
		{"sha512", func(t *testing.T) string { return scramUser(t, kadm.ScramSha512, oddPassword) }, oddPassword},
	} {
		t.Run(test.method, func(t *testing.T) {
			t.Parallel()
			user := test.user(t)
			right := mechanism(t, test.method+":"+user+":"+test.password)
			// Credentials take a moment to reach the broker that has just made them.
			door{brokers: plainText, mechanism: right}.enterWhenKnown(t).silentAndIn(t, test.password)
			door{brokers: tlsText, mechanism: right, tls: trusting(t)}.enter(t).silentAndIn(t, test.password)

			const wrong = "another:secret"
			for _, text := range []string{user + ":" + wrong, "no-such-" + user + ":" + wrong} {
				e := door{brokers: plainText, mechanism: mechanism(t, test.method+":"+text)}.enter(t)
				e.refused(t, events.ErrAuthentication, "the broker refused the user name or the password")
				e.silent(t, wrong)
			}
			e := door{brokers: tlsText, mechanism: mechanism(t, test.method+":"+user+":"+wrong), tls: trusting(t)}.enter(t)
			e.refused(t, events.ErrAuthentication, "the broker refused the user name or the password")
			e.silent(t, wrong)
			door{brokers: tlsText, mechanism: right, tls: new(tls.Config)}.enter(t).refused(t, events.ErrCertificate, "set RootCAs")
		})
	}
}

// A broker that knows no users says so.
func TestSASLNotWanted(t *testing.T) {
	door{brokers: kafkaBrokers(t)[0], mechanism: mechanism(t, "plain:user:password")}.enter(t).refused(t, events.ErrAuthentication, "wants no SASL")
}

// enterWhenKnown is enter, again as long as a user that was just made is not
// known.
func (d door) enterWhenKnown(t *testing.T) entry {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		e := d.enter(t)
		if !errors.Is(e.consuming, events.ErrAuthentication) || time.Now().After(deadline) {
			return e
		}
	}
}

func (e entry) silentAndIn(t *testing.T, password string) {
	t.Helper()
	e.must(t)
	e.silent(t, password)
}

// The certificate is checked, against the name or address that was dialed,
// whether crypto/tls does it or the library.
func TestSecuredTLS(t *testing.T) {
	byName, mutual := secured(t, "EVENTS_KAFKA_TLS_BROKERS"), secured(t, "EVENTS_KAFKA_MUTUAL_TLS_BROKERS")
	byAddress := strings.Replace(byName, "localhost", "127.0.0.1", 1) // the certificate is for the name alone
	overSASL := secured(t, "EVENTS_KAFKA_SASL_TLS_BROKERS")           // and here for the address alone
	client, err := tls.LoadX509KeyPair(secured(t, "EVENTS_KAFKA_TLS_CLIENT"), secured(t, "EVENTS_KAFKA_TLS_CLIENT"))
	if err != nil {
		t.Fatal(err)
	}
	login := mechanism(t, "plain:"+secured(t, "EVENTS_KAFKA_SASL_PLAIN"))
	later := func() time.Time { return time.Now().AddDate(20, 0, 0) }
	stranger := newAuthority(t).sign("client", 0)
	for _, test := range []struct {
		name  string
		door  door
		edit  func(*tls.Config)
		words string // "": let in
	}{
		{"right", door{brokers: byName}, nil, ""},
		{"unknown authority", door{brokers: byName}, func(c *tls.Config) { c.RootCAs = newAuthority(t).pool }, "set RootCAs"},
		{"expired", door{brokers: byName}, func(c *tls.Config) { c.Time = later }, "has expired"},
		{"another host", door{brokers: byName}, func(c *tls.Config) { c.ServerName = "kafka.example" }, "for another host"},
		{"dialed by address, certificate for the name", door{brokers: byAddress}, nil, "for another host"},
		{"dialed by address, the name given", door{brokers: byAddress}, func(c *tls.Config) { c.ServerName = "localhost" }, ""},
		{"dialed by address, certificate for it", door{brokers: overSASL, mechanism: login}, nil, ""},
		{"dialed by name, certificate for the address", door{brokers: strings.Replace(overSASL, "127.0.0.1", "localhost", 1), mechanism: login}, nil, "for another host"},
		{"client certificate", door{brokers: mutual}, func(c *tls.Config) { c.Certificates = []tls.Certificate{client} }, ""},
		{"no client certificate", door{brokers: mutual}, nil, "set Certificates"},
		{"client certificate of a stranger", door{brokers: mutual}, func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &stranger, nil }
		}, "does not accept this process's certificate"},
	} {
		for _, delay := range []bool{false, true} {
			name := test.name
			config := trusting(t)
			if delay {
				name += ", delayed"
				roots := config.RootCAs
				config = delayed(t, `{"DelayHostnameValidation":true}`)
				config.RootCAs = roots
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				if test.edit != nil {
					test.edit(config)
				}
				d := test.door
				d.tls = config
				e := d.enter(t)
				if test.words == "" {
					e.must(t)
				} else {
					e.refused(t, events.ErrCertificate, test.words)
				}
			})
		}
	}
}

// What can be said of a broker whose certificate has really expired, at the
// embedded broker, since a real one would have to be started with it.
func TestExpiredCertificate(t *testing.T) {
	trusted := newAuthority(t)
	for _, delay := range []bool{false, true} {
		broker, err := eventembed.Start(eventembed.TLS(&tls.Config{Certificates: []tls.Certificate{trusted.sign("127.0.0.1", -3*time.Hour)}}))
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Close()
		config := new(tls.Config)
		if delay {
			config = delayed(t, `{"DelayHostnameValidation":true}`)
		}
		config.RootCAs = trusted.pool
		door{brokers: strings.Join(broker.Addrs(), ","), tls: config}.enter(t).refused(t, events.ErrCertificate, "has expired")
	}
}

// tokenMechanism is made like kafka-go's aws_msk_iam: what it signs depends on
// the host that it finds in its context, without which it panics.
type tokenMechanism struct{ user, password string }

func (m tokenMechanism) Name() string { return "PLAIN" }

func (m tokenMechanism) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	host := sasl.MetadataFromContext(ctx).Host
	if host != "127.0.0.1" {
		return nil, nil, fmt.Errorf("signed for %q, want the broker's host", host)
	}
	return m, []byte("\x00" + m.user + "\x00" + m.password), nil
}

func (m tokenMechanism) Next(ctx context.Context, challenge []byte) (bool, []byte, error) {
	return sasl.MetadataFromContext(ctx) != nil, nil, nil
}

// Mechanisms find the broker that they talk to in their context.
func TestMechanismWithMetadata(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		broker, err := eventembed.Start(eventembed.User("PLAIN", "ann", oddPassword))
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Close()
		door{brokers: strings.Join(broker.Addrs(), ","), mechanism: tokenMechanism{"ann", oddPassword}}.enter(t).silentAndIn(t, oddPassword)
	})
	t.Run("kafka", func(t *testing.T) {
		user, password, _ := strings.Cut(secured(t, "EVENTS_KAFKA_SASL_PLAIN"), ":")
		door{brokers: secured(t, "EVENTS_KAFKA_SASL_BROKERS"), mechanism: tokenMechanism{user, password}}.enter(t).silentAndIn(t, password)
	})
}

// lockedBuffer is a buffer for a logger.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(text)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// awaitDone waits for a channel to close.
func awaitDone(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatalf("waited a minute for %s", what)
	}
}
