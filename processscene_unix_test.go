//go:build unix

package events_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
)

// until waits for a condition that nobody signals.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// scene is what the test has: a library of its own, the database and the
// brokers.
type scene[ID eventmodels.AbstractID[ID], TX producingTx, DB eventmodels.AbstractDB[ID, TX]] struct {
	t   *testing.T
	to  assignment
	db  DB
	lib *events.Library[ID, TX, DB]
	kgo *kgo.Client
	adm *kadm.Client
}

func newScene[ID eventmodels.AbstractID[ID], TX producingTx, DB eventmodels.AbstractDB[ID, TX]](t *testing.T, b sqlBackend[ID, TX, DB], dsn string) *scene[ID, TX, DB] {
	t.Helper()
	s := &scene[ID, TX, DB]{t: t, to: assignment{Backend: b.name, DSN: dsn, Prefix: "p" + uuid.NewString()[:8] + ".", Brokers: kafkaBrokers(t), DieAt: -1}}
	var err error
	if s.db, err = b.open(dsn); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { any(s.db).(io.Closer).Close() })
	s.lib = events.New[ID, TX, DB]()
	s.lib.SetPrefix(s.to.Prefix)
	s.lib.SetLazyTxProduce(true)
	s.lib.Configure(s.db, nil, false, nil, nil, s.to.Brokers)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.lib.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	if err := s.lib.CreateTopics(context.Background(), "test", []string{"jobs", "done"}); err != nil {
		t.Fatal(err)
	}
	if s.kgo, err = kgo.NewClient(kgo.SeedBrokers(s.to.Brokers...)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kgo.Close)
	s.adm = kadm.NewClient(s.kgo)
	s.transact(func(tx TX) error {
		_, err := tx.ExecContext(context.Background(), `CREATE TABLE effects (n INTEGER NOT NULL)`)
		return err
	})
	return s
}

func (s *scene[ID, TX, DB]) transact(fn func(tx TX) error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.db.Transact(ctx, fn); err != nil {
		s.t.Errorf("Transact: %v", err)
	}
}

// number asks the database for one.
func (s *scene[ID, TX, DB]) number(query string) (n int64) {
	s.t.Helper()
	s.transact(func(tx TX) error { return tx.QueryRowContext(context.Background(), query).Scan(&n) })
	return n
}

// lease is the epoch of the relay's lease.
func (s *scene[ID, TX, DB]) lease() int64 {
	return s.number(`SELECT coalesce(max(epoch), -1) FROM events_lease WHERE scope = '` + s.to.Prefix + `'`)
}

func (s *scene[ID, TX, DB]) waiting() int64 {
	return s.number(`SELECT count(*) FROM events_outbox WHERE scope = '` + s.to.Prefix + `'`)
}

// stored is how many records a topic has.
func (s *scene[ID, TX, DB]) stored(topic string) (n int64) {
	s.t.Helper()
	ends, err := s.adm.ListEndOffsets(context.Background(), s.to.Prefix+topic)
	if err != nil {
		s.t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// read returns all records of a topic, each partition in order.
func (s *scene[ID, TX, DB]) read(topic string) (records []*kgo.Record) {
	s.t.Helper()
	n := s.stored(topic)
	reader, err := kgo.NewClient(kgo.SeedBrokers(s.to.Brokers...), kgo.ConsumeTopics(s.to.Prefix+topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		s.t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for int64(len(records)) < n {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			s.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}
