package eventdb

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
)

// markStore has marks that are too old.
type markStore struct {
	*store
	left  int
	took  time.Duration   // a batch
	began []time.Duration // the batches, since the start of the test
	from  time.Time
}

func (s *markStore) DeleteMarks(_ context.Context, _ time.Duration, limit int) (int, error) {
	s.began = append(s.began, time.Since(s.from))
	time.Sleep(s.took)
	n := min(s.left, limit)
	s.left -= n
	return n, nil
}

// Old marks are deleted in batches with pauses, so that handlers get most of
// the database.
func TestSweeperRests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		marks := &markStore{store: newTable().open(), left: 2*sweepBatch + 1, took: 10 * time.Millisecond, from: time.Now()}
		s := StartSweeper(SweeperConfig{
			Open:   func(context.Context) (eventmodels.OutboxStore, error) { return marks, nil },
			Logger: slog.New(slog.DiscardHandler), Every: time.Hour,
		})
		time.Sleep(time.Minute)
		s.Stop()
		const turn = (1 + sweepRest) * 10 * time.Millisecond
		if len(marks.began) != 3 || marks.began[1] != turn || marks.began[2] != 2*turn || marks.left != 0 {
			t.Errorf("batches began after %v, want every %v; %d marks are left", marks.began, turn, marks.left)
		}
	})
}
