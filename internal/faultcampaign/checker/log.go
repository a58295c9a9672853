package checker

import "fmt"

// checkLog asks whether Kafka has what was committed, in order.
func (h *history) checkLog(r *Report) {
	r.Records = len(h.records)
	for _, c := range h.commits {
		if ev := (event{c.Topic, c.ID}); !h.logged[ev] && !h.trimmed[c.Topic] {
			r.violated(Violation{Rule: NotLogged, Topic: c.Topic, Key: c.Key, ID: c.ID, Text: "committed, and not in Kafka"})
		}
	}
	type producer struct {
		topic     string
		partition int32
		id        int64
	}
	type spot struct {
		event
		partition int32
	}
	type key struct{ topic, key string }
	newest := map[place]Committed{}
	there := map[spot]bool{}
	epochs := map[producer]int16{}
	partitions := map[key]int32{}
	for _, e := range h.records {
		ev := event{e.Topic, e.ID}
		v := Violation{Topic: e.Topic, Key: e.Key, ID: e.ID}
		if e.Producer >= 0 {
			p := producer{e.Topic, e.Partition, e.Producer}
			if last, ok := epochs[p]; ok && e.Epoch < last {
				v.Rule, v.Text = Unfenced, fmt.Sprintf("offset %d/%d was written with epoch %d after epoch %d", e.Partition, e.Offset, e.Epoch, last)
				r.violated(v)
			}
			epochs[p] = max(epochs[p], e.Epoch)
		}
		if there[spot{ev, e.Partition}] {
			r.Duplicates++
			continue
		}
		there[spot{ev, e.Partition}] = true
		c, ok := h.committed[ev]
		if !ok || c.Key == "" {
			continue
		}
		k := key{c.Topic, c.Key}
		if other, ok := partitions[k]; ok && other != e.Partition && !h.grown[e.Topic] {
			v.Rule, v.Text = KeyMoved, fmt.Sprintf("the key is in partitions %d and %d", other, e.Partition)
			r.violated(v)
		}
		partitions[k] = e.Partition
		if c.Seq == 0 || h.moved(c, e.Partition) {
			continue
		}
		at := place{c.Topic, e.Partition, c.Key}
		if before := newest[at]; before.Seq > c.Seq {
			v.Rule, v.Text = LogDisorder, fmt.Sprintf("seq %d stands for the first time at %d/%d, after %d (%s)", c.Seq, e.Partition, e.Offset, before.Seq, before.ID)
			r.violated(v)
			continue
		}
		newest[at] = c
	}
}
