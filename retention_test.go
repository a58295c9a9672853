package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// Marks are deleted when the retention that was set is over, and no sooner.
func TestMarkRetention(t *testing.T) {
	s := newSettled(t, embedded(t).Addrs(), "", func(s *settled) {
		s.SetMarkRetention(time.Hour)
		s.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, "h", settledTopic.HandlerTx(
			func(context.Context, *eventsqlite.Tx, eventmodels.Event[string]) error { return nil }))
	})
	ctx := context.Background()
	marks := func() (ids []string) {
		if err := s.db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT CAST(k AS TEXT) FROM events_marks ORDER BY k`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var id string
				if err := rows.Scan(&id); err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return rows.Err()
		}); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for id, age := range map[string]time.Duration{"older-than-one-h": 61 * time.Minute, "newer-than-one-h": 55 * time.Minute} {
		if err := s.db.Transact(ctx, func(tx *eventsqlite.Tx) error {
			_, err := tx.ExecContext(ctx, `INSERT INTO events_marks (k, done_at) VALUES (?, ?)`, []byte(id), time.Now().Add(-age).UnixMicro())
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	s.start(t)
	for deadline := time.Now().Add(time.Minute); len(marks()) > 1; <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("marks after a minute: %v", marks())
		}
	}
	if got := marks(); !slices.Equal(got, []string{"newer-than-one-h"}) {
		t.Errorf("marks %v", got)
	}
}

// Exactly-once handlers of a topic that is kept longer than their marks are
// warned of once, and a broker that does not tell costs nothing.
func TestRetentionWarning(t *testing.T) {
	days := func(n int) string { return fmt.Sprint((time.Duration(n) * 24 * time.Hour).Milliseconds()) }
	for _, refuse := range []bool{false, true} {
		broker := embedded(t)
		if refuse {
			broker.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}}, kerr.ClusterAuthorizationFailed)
		}
		s := newSettled(t, broker.Addrs(), "", func(s *settled) {
			s.SetLogger(slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			for _, topic := range []struct{ name, retention string }{{"short", days(30)}, {"long", days(31)}, {"eternal", "-1"}} {
				s.SetTopicConfig(kafka.TopicConfig{Topic: topic.name, ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: topic.retention}}})
				for _, h := range []string{"a", "b"} {
					s.ConsumeExactlyOnce(events.NewConsumerGroup("g"), eventmodels.OnFailureBlock, h, eventsqlite.BindTopic[string](topic.name).HandlerTx(
						func(context.Context, *eventsqlite.Tx, eventmodels.Event[string]) error { return nil }))
				}
			}
		}).start(t)
		warning, unknown := "kept longer than the marks", "do not tell how long events are kept"
		lines := func(text string) (topics []string) {
			for line := range strings.Lines(s.log.String()) {
				if _, topic, ok := strings.Cut(line, "topic="); ok && strings.Contains(line, text) {
					topics = append(topics, strings.Fields(topic)[0])
				}
			}
			return topics
		}
		last := warning
		if refuse {
			last = unknown
		}
		for deadline := time.Now().Add(time.Minute); !slices.Contains(lines(last), "eternal"); <-time.After(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("refused %t: no answer after a minute; log:\n%s", refuse, s.log.String())
			}
		}
		s.shutdown(t)
		want := map[bool][]string{false: {"long", "eternal"}, true: nil}[refuse]
		if got := lines(warning); !slices.Equal(got, want) {
			t.Errorf("refused %t: warned of %v, want %v", refuse, got, want)
		}
		if log := s.log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("errors:\n%s", log)
		}
	}
}
