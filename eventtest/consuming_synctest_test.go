//go:build synctests

package eventtest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// switchable is a database that can be away: what needs it fails as when the
// connection is refused.
type switchable struct {
	*eventsqlite.DB
	away     atomic.Bool
	attempts atomic.Int64 // while it is away
}

var errAway = errors.New("connection refused")

func (d *switchable) check() error {
	if d.away.Load() {
		d.attempts.Add(1)
		return errAway
	}
	return nil
}

func (d *switchable) Transact(ctx context.Context, fn func(*eventsqlite.Tx) error) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.DB.Transact(ctx, fn)
}

func (d *switchable) TransactOnce(ctx context.Context, marks []eventmodels.Mark, fn func(*eventsqlite.Tx, []bool) error) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.DB.TransactOnce(ctx, marks, func(tx *eventsqlite.Tx, fresh []bool) error {
		if err := fn(tx, fresh); err != nil {
			return err
		}
		return d.check()
	})
}

func (d *switchable) Ping(ctx context.Context) error {
	if err := d.check(); err != nil {
		return err
	}
	return d.DB.Ping(ctx)
}

func (d *switchable) Fault(err error) eventmodels.Fault {
	if errors.Is(err, errAway) {
		return eventmodels.FaultAway
	}
	return d.DB.Fault(err)
}

type (
	library = events.Library[eventmodels.StringEventID, *eventsqlite.Tx, *switchable]
	ordered struct{ N int }
)

var (
	orders = eventmodels.BindTopicTx[ordered, eventmodels.StringEventID, *eventsqlite.Tx, *switchable]("orders")
	group  = events.NewConsumerGroup("g")
)

// counts is how often each order came.
type counts struct {
	mu sync.Mutex
	n  map[int]int
}

func (c *counts) handle(_ context.Context, e eventmodels.Event[ordered]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[int]int)
	}
	c.n[e.Payload.N]++
	return nil
}

// want fails unless orders [0, n) came: once, or at least once.
func (c *counts) want(t *testing.T, who string, n int, exactly bool) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	missing, repeated := 0, 0
	for i := range n {
		switch {
		case c.n[i] == 0:
			missing++
		case c.n[i] > 1 && exactly:
			repeated++
		}
	}
	if missing > 0 || repeated > 0 || len(c.n) > n {
		t.Errorf("%s: of %d orders %d are missing and %d came again; there are %d", who, n, missing, repeated, len(c.n))
	}
}

// stage is a cluster and a service in virtual time.
type stage struct {
	t       *testing.T
	broker  *eventembed.Broker
	network *eventembed.Network
	db      *switchable
	lib     *library
	writer  *kgo.Client

	group, heard counts
	gaps         atomic.Int32
	sent         int
}

// virtually runs a test in virtual time: three brokers, and a service with a
// handler of each kind and a relay.
func virtually(t *testing.T, run func(t *testing.T, s *stage)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, network: new(eventembed.Network)}
		var err error
		if s.broker, err = eventembed.Start(eventembed.Brokers(3), eventembed.OnNetwork(s.network), eventembed.Topics(3, "orders")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.broker.Close() })
		s.open()
		s.writer, err = kgo.NewClient(kgo.SeedBrokers(s.broker.Addrs()...), kgo.Dialer(s.network.DialContext), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.writer.Close)
		run(t, s)
	})
}

func (s *stage) open() {
	s.t.Helper()
	ctx := context.Background()
	db, err := eventsqlite.Open(ctx, filepath.Join(s.t.TempDir(), "events.db"), eventsqlite.WithMigrate())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { db.Close() })
	s.db = &switchable{DB: db}
	s.lib = events.New[eventmodels.StringEventID, *eventsqlite.Tx, *switchable]()
	s.lib.SkipNotifierSupport()
	s.lib.SetLogger(slog.New(slog.DiscardHandler))
	s.lib.SetDialer(s.network.DialContext)
	s.lib.OnBroadcastGap(func(string) { s.gaps.Add(1) })
	// With a minute for an event, an outage of ten must not end it.
	s.lib.ConsumeIdempotent(group, eventmodels.OnFailureDiscard, "group", orders.Handler(func(ctx context.Context, e eventmodels.Event[ordered]) error {
		if err := s.db.check(); err != nil {
			return fmt.Errorf("a handler that says nothing of the cause: %v", err)
		}
		return s.group.handle(ctx, e)
	}), events.WithTimeout(time.Minute))
	// What happens once is the effect: a handler whose partition goes while it
	// runs is rolled back, and runs again.
	err = db.Transact(ctx, func(tx *eventsqlite.Tx) error {
		_, err := tx.ExecContext(ctx, `CREATE TABLE effects(n INTEGER NOT NULL)`)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.lib.ConsumeExactlyOnce(group, eventmodels.OnFailureDiscard, "once", orders.HandlerTx(func(ctx context.Context, tx *eventsqlite.Tx, e eventmodels.Event[ordered]) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO effects(n) VALUES (?)`, e.Payload.N)
		return err
	}), events.WithTimeout(time.Minute))
	s.lib.ConsumeBroadcast("heard", orders.Handler(s.heard.handle))
	s.lib.Configure(s.db, nil, false, nil, nil, s.broker.Addrs())
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := s.lib.Shutdown(ctx); err != nil {
			s.t.Errorf("Shutdown: %v", err)
		}
	})
	if _, err := s.lib.CatchUpProduce(ctx, time.Second, 500); err != nil {
		s.t.Fatal(err)
	}
	started, _, err := s.lib.StartConsuming(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	<-started
}

// effects counts what the exactly-once handler has done.
func (s *stage) effects() *counts {
	s.t.Helper()
	done := &counts{n: make(map[int]int)}
	err := s.db.DB.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
		rows, err := tx.QueryContext(context.Background(), `SELECT n, count(*) FROM effects GROUP BY n`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n, times int
			if err := rows.Scan(&n, &times); err != nil {
				return err
			}
			done.n[n] = times
		}
		return rows.Err()
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return done
}

// transact sends n orders through the outbox.
func (s *stage) transact(n int) {
	s.t.Helper()
	err := s.db.DB.Transact(context.Background(), func(tx *eventsqlite.Tx) error {
		for range n {
			tx.Produce(orders.Event(fmt.Sprint("key", s.sent), ordered{N: s.sent}))
			s.sent++
		}
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// write sends an order to a partition, as another program does.
func (s *stage) write(partition int32) {
	s.t.Helper()
	r := &kgo.Record{Topic: "orders", Partition: partition, Value: fmt.Appendf(nil, `{"N": %d}`, s.sent)}
	if err := s.writer.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	s.sent++
}

// want fails unless all that was sent has arrived everywhere, and is
// committed.
func (s *stage) want(exactly bool) {
	s.t.Helper()
	s.group.want(s.t, "the group", s.sent, exactly)
	s.effects().want(s.t, "exactly once", s.sent, true)
	s.heard.want(s.t, "the broadcast", s.sent, true)
	ends, err := s.broker.EndOffsets("orders")
	if err != nil {
		s.t.Fatal(err)
	}
	for p, end := range ends {
		if at := s.broker.Committed("g", "orders", p); at != end && (end != 0 || at > 0) {
			s.t.Errorf("orders/%d: committed up to %d of %d", p, at, end)
		}
	}
}

// An idle service does nothing but heartbeats, fetches and its routine.
func TestIdle(t *testing.T) {
	virtually(t, func(t *testing.T, s *stage) {
		s.transact(20)
		time.Sleep(2 * time.Minute)
		s.want(true)
		watched := make(map[string]*eventembed.Fault)
		for name, keys := range map[string][]kmsg.Key{
			"rebalances":  {kmsg.JoinGroup, kmsg.SyncGroup, kmsg.LeaveGroup},
			"commits":     {kmsg.OffsetCommit},
			"searches":    {kmsg.FindCoordinator, kmsg.InitProducerID, kmsg.OffsetFetch},
			"connections": {kmsg.ApiVersions},
		} {
			watched[name] = s.broker.Observe(eventembed.Match{Requests: keys})
		}
		time.Sleep(10 * time.Minute)
		for name, f := range watched {
			most := 0
			if name == "connections" {
				most = 5 // those that are used once in five minutes, for metadata, are closed between
			}
			if n := f.Hits(); n > most {
				t.Errorf("%d %s in ten idle minutes", n, name)
			}
		}
		s.want(true)
	})
}

// The first records of new partitions are read by groups and broadcasts.
func TestPartitionsAdded(t *testing.T) {
	virtually(t, func(t *testing.T, s *stage) {
		s.transact(10)
		time.Sleep(time.Minute)
		if err := s.broker.AddPartitions("orders", 2); err != nil {
			t.Fatal(err)
		}
		s.writer.ForceMetadataRefresh()
		for range 5 {
			s.write(3)
			s.write(4)
		}
		time.Sleep(2 * time.Minute)
		s.transact(50)
		time.Sleep(10 * time.Second)
		s.want(true)
		if n := s.gaps.Load(); n != 0 {
			t.Errorf("%d gaps", n)
		}
	})
}

// Leaders and coordinators move, and brokers restart, under load.
func TestBrokersRestart(t *testing.T) {
	virtually(t, func(t *testing.T, s *stage) {
		load := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				s.transact(2)
			}
		}
		load(10 * time.Second)
		for node := range int32(2) { // the third one is the controller
			for p := range int32(3) {
				if err := s.broker.MoveLeader("orders", p, (node+p)%3); err != nil {
					t.Fatal(err)
				}
			}
			load(10 * time.Second)
			if err := s.broker.MoveLeaders(node); err != nil {
				t.Fatal(err)
			}
			s.broker.MoveCoordinator("g")
			if err := s.broker.Cut(node); err != nil {
				t.Fatal(err)
			}
			load(5 * time.Second)
			if s.broker.Coordinator("g") == node {
				s.broker.MoveCoordinator("g")
			}
			load(20 * time.Second)
			if err := s.broker.Restore(node); err != nil {
				t.Fatal(err)
			}
			load(5 * time.Second)
		}
		time.Sleep(2 * time.Minute)
		s.want(false)
		if n := s.gaps.Load(); n != 0 {
			t.Errorf("%d gaps", n)
		}
	})
}

// All brokers are away for longer than any timeout: nothing is lost, by
// broadcasts neither.
func TestBrokersAway(t *testing.T) {
	virtually(t, func(t *testing.T, s *stage) {
		s.transact(20)
		time.Sleep(10 * time.Second)
		if err := s.broker.Cut(); err != nil {
			t.Fatal(err)
		}
		for range 10 * 60 {
			s.transact(2)
			time.Sleep(time.Second)
		}
		if err := s.broker.Restore(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		s.want(true)
		if n := s.gaps.Load(); n != 0 {
			t.Errorf("%d gaps", n)
		}
	})
}

// The database is away for ten minutes, under load: nothing is discarded, and
// it is not stormed.
func TestDatabaseAway(t *testing.T) {
	virtually(t, func(t *testing.T, s *stage) {
		s.transact(20)
		time.Sleep(10 * time.Second)
		s.db.away.Store(true)
		for i := range 10 * 60 {
			s.write(int32(i % 3))
			time.Sleep(time.Second)
		}
		s.heard.want(t, "the broadcast, which needs no database,", s.sent, true)
		if n := s.db.attempts.Load(); n > 2000 {
			t.Errorf("the database was asked %d times in ten minutes", n)
		}
		s.db.away.Store(false)
		time.Sleep(3 * time.Minute)
		s.want(true)
	})
}
