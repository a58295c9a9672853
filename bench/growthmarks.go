package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/eventdb"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/internal/cloudevents"
	"github.com/seed46dd6f11/events/internal/mark"
)

const (
	// marksPerTransaction is the number of marks that one transaction inserts.
	marksPerTransaction = 100
	markWriters         = 4
	// keptMarks is the age below which marks are not swept.
	keptMarks = 24 * time.Hour
)

// growthMarks inserts marks into a table that has more and more of them, half
// of them older than they are kept; with and without a sweep of these.
func (b bench) growthMarks() compare.Measurement {
	return compare.Measurement{
		Name:  "growth/marks",
		Title: fmt.Sprintf("marks inserted, %d in a transaction without other work, writers: %d", marksPerTransaction, markWriters),
		Unit:  "marks",
		Axis:  "marks in the table",
		Notes: []string{
			"sweeping: meanwhile the sweeper deletes marks that are too old: half of the table.",
			"The ids of events are UUIDs of version 7, as the library makes them, whose time stands first in the mark. random ids: of version 4, as other producers may write them.",
			"Latencies are those of the transactions.",
		},
		Goals:  []compare.Goal{compare.SteadyWithin(0.2)},
		Rounds: b.size.crowdedRounds,
		Open: func(ctx context.Context, c *compare.Cleanup) ([]compare.Contender, error) {
			var still, sweeping, unordered []compare.Contender
			for i, n := range b.size.marks {
				m, err := b.openMarks(ctx, c, timed, n)
				if err != nil {
					return nil, err
				}
				still = append(still, compare.Contender{Name: fmt.Sprintf("%s, marks: %d", ours, n), Series: ours, Size: float64(n), Run: m.insert})
				sweeping = append(sweeping, compare.Contender{
					Name: fmt.Sprintf("%s, sweeping, marks: %d", ours, n), Series: ours + ", sweeping", Size: float64(n), Peer: true, Run: m.insertAndSweep,
				})
				if i+1 < len(b.size.marks) {
					continue
				}
				if m, err = b.openMarks(ctx, c, random, n); err != nil {
					return nil, err
				}
				unordered = append(unordered, compare.Contender{
					Name: fmt.Sprintf("%s, random ids, marks: %d", ours, n), Series: ours + ", random ids", Size: float64(n), Peer: true, Run: m.insert,
				})
			}
			return slices.Concat(still, sweeping, unordered), nil
		},
	}
}

// ids are those of events, and the keys of the marks that they had.
type ids struct {
	next func() string
	// key is the key of the mark of the nth event in SQL, of which at is the
	// time.
	key string
}

var (
	// timed are UUIDs of version 7, as the library makes them.
	timed = ids{
		next: func() string { return cloudevents.NewID(time.Now()).String() },
		key:  "substring(int8send((extract(epoch FROM at) * 1000)::bigint) FROM 3 FOR 5) || substring(decode(md5(n::text), 'hex') FROM 6)",
	}
	// random are what other producers may write.
	random = ids{next: uuid.NewString, key: "decode(md5(n::text), 'hex')"}
)

// marking is a database with marks.
type marking struct {
	bench
	ids
	dsn string
}

// openMarks fills the table before it has its indexes, since keys that are random
// would be inserted one by one.
func (b bench) openMarks(ctx context.Context, c *compare.Cleanup, of ids, n int) (*marking, error) {
	m := &marking{bench: b, ids: of}
	var err error
	if m.dsn, err = b.servers.Database(ctx, c, "marks"); err != nil {
		return nil, err
	}
	if _, err := openDB(ctx, c, m.dsn); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, m.dsn)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, fmt.Sprintf(`
		ALTER TABLE events_marks DROP CONSTRAINT events_marks_pkey;
		DROP INDEX events_marks_done_at;
		INSERT INTO events_marks (k, done_at)
		SELECT %[2]s, at
		FROM generate_series(%[1]d, 1, -1) AS n, LATERAL (SELECT now() - n * interval '2 days' / %[1]d AS at) AS of;
		ALTER TABLE events_marks ADD PRIMARY KEY (k);
		CREATE INDEX events_marks_done_at ON events_marks (done_at);`, n, of.key))
	if err == nil {
		_, err = conn.Exec(ctx, "VACUUM (ANALYZE) events_marks")
	}
	if err == nil {
		err = b.servers.Checkpoint(ctx)
	}
	return m, err
}

func (m *marking) insert(ctx context.Context, t *compare.Trial) error {
	db, err := openDB(ctx, &t.Cleanup, m.dsn)
	if err != nil {
		return err
	}
	took := make([][]time.Duration, markWriters)
	h := mark.Handler{Group: "bench", Name: "marks", BaseTopic: "marks"}
	t.Begin()
	transactions, err := hammer(ctx, markWriters, m.size.transact, func(ctx context.Context, worker, _ int) error {
		marks := make([]eventmodels.Mark, marksPerTransaction)
		for i := range marks {
			marks[i] = mark.Of(h, "/bench", m.next())
		}
		began := time.Now()
		err := db.TransactOnce(ctx, marks, func(*eventpg.Tx, []bool) error { return nil })
		took[worker] = append(took[worker], time.Since(began))
		return err
	})
	if err != nil {
		return err
	}
	t.End(transactions * marksPerTransaction)
	var all []time.Duration
	for _, of := range took {
		all = append(all, of...)
	}
	t.Latencies("transaction", all)
	return nil
}

func (m *marking) insertAndSweep(ctx context.Context, t *compare.Trial) error {
	db, err := openDB(ctx, &t.Cleanup, m.dsn)
	if err != nil {
		return err
	}
	sweeper := eventdb.StartSweeper(eventdb.SweeperConfig{
		Open: db.OpenOutbox, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})), Retention: keptMarks, Every: time.Hour,
	})
	t.Defer(func(context.Context) error { sweeper.Stop(); return nil })
	return m.insert(ctx, t)
}
