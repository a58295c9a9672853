package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/eventpg"
)

// Wrong credentials are an error at once, in words, and without the password;
// right ones work, also with colons in the password.
func TestCredentials(t *testing.T) {
	broker, err := eventembed.Start(eventembed.User("SCRAM-SHA-256", "alice", "right:pass:word"))
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	start := func(text string) error {
		var credentials events.SASLConfig
		if err := credentials.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		lib := eventnodb.New()
		lib.ConsumeBroadcast("h", eventmodels.BindTopic[int]("t").Handler(func(context.Context, eventmodels.Event[int]) error { return nil }))
		lib.ConfigureNoDB(nil, false, credentials.Mechanism, nil, broker.Addrs())
		defer lib.Shutdown(context.Background())
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		started, _, err := lib.StartConsuming(ctx)
		if err == nil {
			<-started
		}
		if ping := lib.PingBrokers(ctx); (ping == nil) != (err == nil) || errors.Is(ping, events.ErrAuthentication) != errors.Is(err, events.ErrAuthentication) {
			t.Errorf("%s: PingBrokers says %v", text, ping)
		}
		return err
	}
	if err := start("sha256:alice:right:pass:word"); err != nil {
		t.Errorf("right credentials: %v", err)
	}
	for _, text := range []string{"sha256:alice:wrong-secret", "sha256:bob:wrong-secret", "plain:alice:wrong-secret"} {
		err := start(text)
		if err == nil || !errors.Is(err, events.ErrAuthentication) || !strings.Contains(strings.ToLower(err.Error()), "sasl") {
			t.Errorf("%s: %v", text, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the password: %v", err)
		}
	}
}

func TestSASLTextsAreRefusedWithoutQuotingThem(t *testing.T) {
	for _, text := range []string{"", "secret", "plain:secret", "kerberos:user:secret", "none:user:secret", "plain::secret"} {
		var c events.SASLConfig
		err := c.UnmarshalText([]byte(text))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
		if events.SASLConfigFromString(text) != nil {
			t.Errorf("%q gives a mechanism", text)
		}
	}
}

// A database that does not answer, or does not let us in, is an error in words
// and without the password.
func TestUnreachableDatabase(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := eventpg.Open(ctx, "postgres://user:secret@127.0.0.1:1/db")
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
