package eventsqlite

import (
	"context"
	"database/sql"
	"time"
)

// DeleteMarks implements [eventmodels.OutboxStore].
func (s *store) DeleteMarks(ctx context.Context, age time.Duration, limit int) (int, error) {
	var deleted int64
	err := s.write(ctx, s.sweep, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `DELETE FROM events_marks WHERE k IN (
			SELECT k FROM events_marks WHERE done_at < ? ORDER BY done_at LIMIT ?)`, micros(time.Now().Add(-age)), limit)
		if err != nil {
			return err
		}
		deleted, err = result.RowsAffected()
		return err
	})
	return int(deleted), err
}
