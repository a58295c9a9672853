//go:build synctests

package events_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// A limit that is raised while the service runs is noticed by the transactions
// whose events are above the one before.
func TestRaisedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMetricsScene(t)
		if err := s.broker.CreateTopic("p.raised", 1, map[string]string{"max.message.bytes": "2000"}); err != nil {
			t.Fatal(err)
		}
		topic := eventsqlite.BindTopic[string]("raised")
		lib, db := s.library(func(lib *eventsqlite.Library) { lib.SetPrefix("p."); lib.SetLazyTxProduce(true) })
		s.produce(lib, topic.Event("k", "small")) // learns the limit
		transact := func(size, limit int) {
			t.Helper()
			err := db.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
				tx.Produce(topic.Event("k", strings.Repeat("x", size)))
				return nil
			})
			var big *events.TooBigError
			if limit == 0 && err != nil || limit > 0 && (!errors.As(err, &big) || big.Limit != limit) {
				t.Errorf("an event of %d bytes: %v, want the limit %d", size, err, limit)
			}
		}
		transact(3000, 2000)
		time.Sleep(time.Hour)

		client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addrs()...), kgo.Dialer(s.network.DialContext))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		raised := "4000"
		if _, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &raised}}, "p.raised"); err != nil {
			t.Fatal(err)
		}
		transact(3000, 2000) // asks
		synctest.Wait()
		transact(3000, 0)
		transact(5000, 4000)
		if err := lib.Produce(context.Background(), eventmodels.ProduceImmediate, topic.Event("k", strings.Repeat("x", 3000))); err != nil {
			t.Error(err)
		}
	})
}
