package memorydb

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// rowProducer is what a connection needs of a Library: it makes rows of the
// events that a test wants.
type rowProducer struct{ id func() uuid.UUID }

func (p rowProducer) EncodeOutbox(_ context.Context, e eventmodels.ProducingEvent) (eventmodels.OutboxRow, error) {
	return eventmodels.OutboxRow{
		ID: p.id(), Topic: e.GetTopic(), Key: []byte(e.GetKey()), Headers: []byte{0}, Payload: []byte("payload"),
		CreatedAt: time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC),
	}, nil
}
func (rowProducer) ProduceFromTable(context.Context, map[string][]eventmodels.StringEventID) error {
	return nil
}
func (rowProducer) TopicOf(wire string) string                  { return wire }
func (rowProducer) Scope() string                               { return "scope" }
func (rowProducer) RecordErrorNoWait(_ string, err error) error { return err }

// side is a backend under comparison.
type side struct {
	store    eventmodels.OutboxStore
	transact func(topics []string, commit bool) error
	once     func(marks []eventmodels.Mark) ([]bool, error)
}

var errRolledBack = errors.New("rolled back")

func newSide[TX eventmodels.EnhancedTX](t *testing.T, db eventmodels.AbstractDB[eventmodels.StringEventID, TX]) side {
	// Both sides draw the same ids.
	dice := rand.New(rand.NewPCG(1, 2))
	db.AugmentWithProducer(rowProducer{func() (id uuid.UUID) {
		for i := range id {
			id[i] = byte(dice.Uint32())
		}
		return id
	}})
	store, err := db.OpenOutbox(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return side{
		store: store,
		transact: func(topics []string, commit bool) error {
			return db.Transact(t.Context(), func(tx TX) error {
				for _, topic := range topics {
					tx.Produce(eventmodels.BindTopic[int](topic).Event("key", 1))
				}
				if !commit {
					return errRolledBack
				}
				return nil
			})
		},
		once: func(marks []eventmodels.Mark) (fresh []bool, err error) {
			err = db.TransactOnce(t.Context(), marks, func(_ TX, isFresh []bool) error {
				fresh = isFresh
				return nil
			})
			return fresh, err
		},
	}
}

// A store in memory answers everything as SQLite does, which passes the
// conformance suite: a random sequence of statements has the same answers. (The
// suite itself needs SQL for its own tables.)
func TestAnswersAreThoseOfSQLite(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				sqlite, err := eventsqlite.Open(t.Context(), filepath.Join(dir, "events.db"), eventsqlite.WithMigrate())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { sqlite.Close() })
				compare(t, seed,
					newSide(t, eventmodels.AbstractDB[eventmodels.StringEventID, *Tx](New().NewClient(seed).Connect())),
					newSide(t, eventmodels.AbstractDB[eventmodels.StringEventID, *eventsqlite.Tx](sqlite)))
			})
		})
	}
}

func compare(t *testing.T, seed uint64, memory, sqlite side) {
	ctx := t.Context()
	dice := rand.New(rand.NewPCG(seed, 3))
	topics := []string{"orders", "audit"}
	owners := []string{"one", "two"}
	var lease eventmodels.Lease
	var keys []eventmodels.OutboxKey
	var parked []uuid.UUID
	mark := func() (m eventmodels.Mark) { m[0] = byte(dice.IntN(40)); return m }
	for n := range 300 {
		scope := "scope"
		if dice.IntN(10) == 0 {
			scope = "other"
		}
		var what string
		var ask func(s side) (any, error)
		switch dice.IntN(14) {
		case 0, 1, 2:
			chosen, commit := make([]string, 1+dice.IntN(4)), dice.IntN(4) > 0
			for i := range chosen {
				chosen[i] = topics[dice.IntN(2)]
			}
			if !commit {
				continue // SQLite gives the seqs back
			}
			what, ask = "Transact", func(s side) (any, error) { return nil, s.transact(chosen, commit) }
		case 3:
			owner, cluster := owners[dice.IntN(2)], "cluster"
			if dice.IntN(10) == 0 {
				cluster = "another"
			}
			what, ask = "AcquireLease", func(s side) (any, error) {
				l, held, err := s.store.AcquireLease(ctx, scope, owner, cluster, 10*time.Second)
				if held {
					lease = l
				}
				return fmt.Sprint(l, held), err
			}
		case 4:
			l := lease
			l.Epoch -= int16(dice.IntN(2))
			l.DoneTo = dice.Int64N(100)
			what, ask = "RenewLease", func(s side) (any, error) { return nil, s.store.RenewLease(ctx, l, 10*time.Second) }
		case 5:
			l, id := lease, dice.Int64N(100)
			what, ask = "SetProducer", func(s side) (any, error) {
				changed, err := s.store.SetProducer(ctx, l, id, l.Epoch+1)
				if err == nil {
					lease = changed
				}
				return changed, err
			}
		case 6:
			l := lease
			l.Epoch -= int16(dice.IntN(2))
			l.DoneTo = dice.Int64N(100)
			what, ask = "ReleaseLease", func(s side) (any, error) { return nil, s.store.ReleaseLease(ctx, l) }
		case 7:
			what, ask = "LookLease", func(s side) (any, error) { return s.store.LookLease(ctx, scope) }
		case 8, 9:
			read := eventmodels.OutboxRead{Scope: scope, Hint: dice.Int64N(60), Limit: 1 + dice.IntN(20), MaxBytes: dice.IntN(3) * 30}
			if read.Hint > 10 {
				read.Gaps = []eventmodels.SeqRange{{Lo: 2, Hi: 4}, {Lo: 7, Hi: 7}}
			}
			if dice.IntN(3) == 0 {
				read.Held = []string{"audit"}
			}
			what, ask = "ReadOutbox", func(s side) (any, error) {
				page, err := s.store.ReadOutbox(ctx, read)
				text := fmt.Sprint(page.Cut)
				for _, r := range page.Rows {
					keys = append(keys, r.OutboxKey())
					text += fmt.Sprint(" ", r.Seq, r.ID, r.Topic, r.Key, r.Headers, r.Payload, r.CreatedAt.UnixMicro())
				}
				return text, err
			}
		case 10:
			if len(keys) == 0 {
				continue
			}
			some := []eventmodels.OutboxKey{keys[dice.IntN(len(keys))], keys[dice.IntN(len(keys))]}
			if dice.IntN(5) == 0 {
				some[0].ID = uuid.Nil
			}
			what, ask = "DeleteOutbox", func(s side) (any, error) { return nil, s.store.DeleteOutbox(ctx, scope, some) }
		case 11:
			if len(keys) == 0 {
				continue
			}
			key := keys[dice.IntN(len(keys))]
			parked = append(parked, key.ID)
			what, ask = "ParkOutbox", func(s side) (any, error) { return nil, s.store.ParkOutbox(ctx, scope, key, "too large") }
		case 12:
			if len(parked) > 0 && dice.IntN(2) == 0 {
				ids := []uuid.UUID{parked[dice.IntN(len(parked))]}
				if dice.IntN(2) == 0 {
					what, ask = "RequeueParked", func(s side) (any, error) { return s.store.RequeueParked(ctx, scope, ids) }
				} else {
					what, ask = "DiscardParked", func(s side) (any, error) { return s.store.DiscardParked(ctx, scope, ids) }
				}
				break
			}
			limit, doneTo := 1+dice.IntN(5), dice.Int64N(5)
			what, ask = "ListParked and Stats", func(s side) (any, error) {
				rows, err := s.store.ListParked(ctx, scope, eventmodels.ParkedKey{}, limit)
				var text string
				for _, r := range rows {
					text += fmt.Sprint(r.Seq, r.ID, r.PayloadSize, r.Error, " ")
				}
				stats, err2 := s.store.Stats(ctx, scope, doneTo)
				return fmt.Sprint(text, stats.Rows, stats.Parked, stats.OldestAge.Truncate(time.Hour)), errors.Join(err, err2)
			}
		case 13:
			if dice.IntN(5) == 0 {
				what, ask = "DeleteMarks", func(s side) (any, error) { return s.store.DeleteMarks(ctx, time.Minute, 1000) }
				break
			}
			marks := []eventmodels.Mark{mark(), mark(), mark()}
			what, ask = "TransactOnce", func(s side) (any, error) { return s.once(marks) }
		}
		got, gotErr := ask(memory)
		want, wantErr := ask(sqlite)
		time.Sleep(time.Second)
		if fmt.Sprint(got) != fmt.Sprint(want) || (gotErr == nil) != (wantErr == nil) ||
			errors.Is(gotErr, eventmodels.ErrLeaseLost) != errors.Is(wantErr, eventmodels.ErrLeaseLost) {
			t.Fatalf("statement %d, %s:\n  memory: %v, %v\n  SQLite: %v, %v", n, what, got, gotErr, want, wantErr)
		}
	}
}
