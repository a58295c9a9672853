package eventdb

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// SweeperConfig is what a [Sweeper] is made of.
type SweeperConfig struct {
	// Open opens the store; the sweeper closes it.
	Open   func(context.Context) (eventmodels.OutboxStore, error)
	Logger *slog.Logger
	// Retention is how long marks are kept after their event was handled.
	// Default 30 days.
	Retention time.Duration
	// Every is the pause between two sweeps. Default 10 min.
	Every time.Duration
}

// DefaultMarkRetention is how long an exactly-once handler recognises an
// event that it has done.
const DefaultMarkRetention = 30 * 24 * time.Hour

// sweepBatch is the number of marks that one statement deletes.
const sweepBatch = 1000

// sweepRest is how many times as long as a batch has taken a sweep pauses behind
// it: handlers wait for the database, and old marks for nothing. (Without pauses
// a sweep of half of 100,000 marks halved the rate of new ones.)
const sweepRest = 4

// Sweeper deletes marks whose retention is over, in small batches. Any number
// of processes may run one.
type Sweeper struct {
	cfg    SweeperConfig
	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{}
}

// StartSweeper starts a sweeper; its first sweep is at once.
func StartSweeper(cfg SweeperConfig) *Sweeper {
	setDefault(&cfg.Retention, DefaultMarkRetention)
	setDefault(&cfg.Every, 10*time.Minute)
	ctx, cancel := context.WithCancel(context.Background())
	s := &Sweeper{cfg: cfg, cancel: cancel, done: make(chan struct{})}
	go s.run(ctx)
	return s
}

// Stop ends the sweeper.
func (s *Sweeper) Stop() {
	s.once.Do(s.cancel)
	<-s.done
}

func (s *Sweeper) run(ctx context.Context) {
	defer close(s.done)
	for ctx.Err() == nil {
		deleted, err := s.sweep(ctx)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.Warn("old exactly-once marks could not be deleted; it is tried again later", "error", err)
		} else if deleted > 0 {
			s.cfg.Logger.Debug("deleted old exactly-once marks", "marks", deleted)
		}
		wait(ctx, s.cfg.Every)
	}
}

// sweep connects anew each time: a connection that is used every ten minutes
// is not worth keeping.
func (s *Sweeper) sweep(ctx context.Context) (deleted int, err error) {
	store, err := s.cfg.Open(ctx)
	if err != nil {
		return 0, err
	}
	defer store.Close()
	for ctx.Err() == nil {
		began := time.Now()
		n, err := store.DeleteMarks(ctx, s.cfg.Retention, sweepBatch)
		deleted += n
		if err != nil || n < sweepBatch {
			return deleted, err
		}
		wait(ctx, sweepRest*time.Since(began))
	}
	return deleted, ctx.Err()
}
