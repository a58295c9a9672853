package simulation

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/letters"
)

// gather adds to the record what is found at the end.
func (w *world) gather() {
	for _, e := range w.tables() {
		w.recorder.add("", e)
	}
}

// found is the record so far with what would be found now.
func (w *world) found() []checker.Entry { return append(w.recorder.all(), w.tables()...) }

// tables is what stands in the database and in Kafka.
func (w *world) tables() (entries []checker.Entry) {
	for _, c := range w.database.Committed() {
		entries = append(entries, c)
		// An event that its handler has not been given yet is doomed, too.
		for _, h := range w.handlers.all() {
			if does, _ := behaviourOf(w.plan.Seed, h, c.ID); does == fails && h.topic.Topic() == c.Topic {
				w.recorder.doom(h, c.Topic, c.ID, false)
			}
		}
	}
	for _, e := range w.database.Effects() {
		entries = append(entries, e)
	}
	for _, t := range topics {
		records, err := w.broker.Records(t.Topic())
		w.must(err)
		for _, r := range records {
			entries = append(entries, logged(t.Topic(), r))
		}
	}
	return append(entries, w.letters()...)
}

func logged(topic string, r *kgo.Record) checker.Logged {
	return checker.Logged{
		At: r.Timestamp, Topic: topic, Partition: r.Partition, Offset: r.Offset,
		ID: eventID(r.Headers), Key: string(r.Key), Producer: r.ProducerID, Epoch: r.ProducerEpoch,
	}
}

// eventID is the id of an event in the binary mode.
func eventID(headers []kgo.RecordHeader) string {
	for _, h := range headers {
		if h.Key == "ce_id" {
			return string(h.Value)
		}
	}
	return ""
}

// letters are the dead letters whose last word is that they have failed.
func (w *world) letters() (entries []checker.Entry) {
	for _, group := range []events.ConsumerGroupName{shop, search} {
		records, err := w.broker.Records(events.DeadLetterTopic(orders.Topic(), group))
		if err != nil {
			continue // nobody has started the group yet
		}
		folds := make(map[eventmodels.Mark]*letters.Fold)
		last := make(map[eventmodels.Mark]checker.Letter)
		for _, r := range records {
			h, _, err := letters.Parse(r.Headers)
			if err != nil {
				w.problem("a letter that cannot be read: %v", err)
				continue
			}
			if folds[h.ID] == nil {
				folds[h.ID] = new(letters.Fold)
			}
			folds[h.ID].Add(h.Entry(r.Offset))
			if h.Kind == letters.Letter {
				last[h.ID] = checker.Letter{
					Group: h.Group, Handler: h.Handler, Topic: h.Topic, ID: eventID(r.Headers),
					LetterID: string(h.ID[:]), Error: h.Last.Format(time.TimeOnly) + " " + h.Error,
				}
			}
		}
		for id, fold := range folds {
			if state, _ := fold.State(); state != letters.Finished && state != letters.Discarded {
				entries = append(entries, last[id])
			}
		}
	}
	return entries
}
