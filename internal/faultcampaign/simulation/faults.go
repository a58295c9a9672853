package simulation

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// failure is a kind of request and the errors that Kafka may answer it with
// although all is well soon.
type failure struct {
	request kmsg.Key
	errors  []*kerr.Error
}

var failures = []failure{
	{kmsg.Produce, []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.RequestTimedOut, kerr.NotEnoughReplicas,
		kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError, kerr.UnknownTopicOrPartition, kerr.ThrottlingQuotaExceeded,
	}},
	{kmsg.Fetch, []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch, kerr.OffsetNotAvailable,
		kerr.KafkaStorageError, kerr.ReplicaNotAvailable, kerr.UnknownTopicOrPartition,
	}},
	{kmsg.ListOffsets, []*kerr.Error{kerr.NotLeaderForPartition, kerr.LeaderNotAvailable, kerr.OffsetNotAvailable, kerr.UnknownTopicOrPartition}},
	{kmsg.Metadata, []*kerr.Error{kerr.LeaderNotAvailable, kerr.UnknownTopicOrPartition}},
	{kmsg.OffsetCommit, []*kerr.Error{
		kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.RebalanceInProgress,
		kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RequestTimedOut,
	}},
	{kmsg.OffsetFetch, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnstableOffsetCommit}},
	{kmsg.FindCoordinator, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress}},
	{kmsg.JoinGroup, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.UnknownMemberID, kerr.RebalanceInProgress}},
	{kmsg.SyncGroup, []*kerr.Error{kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.UnknownMemberID, kerr.IllegalGeneration}},
	{kmsg.Heartbeat, []*kerr.Error{kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.CoordinatorNotAvailable}},
	{kmsg.LeaveGroup, []*kerr.Error{kerr.NotCoordinator, kerr.UnknownMemberID}},
	{kmsg.InitProducerID, []*kerr.Error{kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable, kerr.NotCoordinator}},
	{kmsg.OffsetForLeaderEpoch, []*kerr.Error{kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch}},
	{kmsg.CreateTopics, []*kerr.Error{kerr.RequestTimedOut, kerr.NotController, kerr.ThrottlingQuotaExceeded}},
}

// ofRequests is what a step of requests chooses.
func (s Step) ofRequests() (eventembed.Match, *kerr.Error) {
	f := failures[s.Pick%len(failures)]
	return eventembed.Match{Requests: []kmsg.Key{f.request}, Count: s.Count}, f.errors[s.Pick/len(failures)%len(f.errors)]
}

// apply carries out a step: what begins begins before it returns, and the rest
// goes on in the background.
func (w *world) apply(s Step) {
	text := s.String()
	switch s.Fault {
	case FailRequests, DropRequests, DropAnswers, DelayRequests, StallAnswers:
		m, err := s.ofRequests()
		text = fmt.Sprintf("%s: %d of %v", text, m.Count, m.Requests[0].Name())
		if s.Fault == FailRequests {
			text += " with " + err.Message
		}
	}
	w.recorder.note(text)
	if undo := w.begin(s); undo != nil {
		w.steps.Go(func() {
			time.Sleep(s.For)
			undo()
		})
	}
}

// begin begins a step and returns what ends it; nil is nothing.
func (w *world) begin(s Step) (undo func()) {
	switch s.Fault {
	case StopInstance, KillInstance:
		return w.endInstance(s)
	case RestartDatabase, JumpClock:
		return w.strikeDatabase(s)
	case CutBroker, MoveLeader, MoveCoordinator, AddPartitions:
		return w.strikeBroker(s)
	case FailRequests, DropRequests, DropAnswers, DelayRequests, StallAnswers:
		return w.strikeRequests(s)
	case StrangeRecords:
		w.steps.Go(func() { w.stranger.write(s) })
		return nil
	}
	if i := w.slots[s.Slot]; i != nil {
		return w.strikeInstance(s, i)
	}
	return nil
}

// endInstance stops or kills the instance of a slot, and starts another one
// later.
func (w *world) endInstance(s Step) (undo func()) {
	i := w.slots[s.Slot]
	if i == nil {
		return nil // it is away already
	}
	w.slots[s.Slot] = nil
	if s.Fault == KillInstance {
		detect := time.Duration(s.Pick%30) * time.Second
		if s.Pick%3 > 0 {
			detect = time.Millisecond
		}
		i.kill(detect)
	} else {
		w.background.Go(i.stop)
	}
	again := s.Slot
	return func() { w.restarts <- again }
}

// strikeInstance makes trouble for one instance.
func (w *world) strikeInstance(s Step, i *instance) (undo func()) {
	switch s.Fault {
	case CutNetwork:
		i.dialer.Cut()
		return i.restoreNetwork
	case StallNetwork:
		i.dialer.Stall()
		return i.restoreNetwork
	case SlowNetwork:
		i.dialer.SetLatency(time.Duration(s.Pick%2000) * time.Millisecond)
		return func() { i.dialer.SetLatency(w.plan.Latency) }
	case CutDatabase:
		i.client.Cut(time.Duration(s.Pick%20) * time.Second)
		return i.client.Restore
	case StallDatabase:
		i.client.Stall()
		return i.client.Restore
	case SlowDatabase:
		i.client.SetSlow(time.Duration(1+s.Pick%1000) * time.Millisecond)
		return func() { i.client.SetSlow(0) }
	case TroubleDatabase:
		i.client.SetTrouble(s.Share/3, s.Share)
		return func() { i.client.SetTrouble(0, 0) }
	case OpenTransaction:
		i.producing.Go(func() {
			i.transact(transaction{keys: []string{fmt.Sprintf("key%d", s.Pick%w.plan.Keys)}, hold: s.For})
		})
	case PauseHandler:
		all := w.handlers.all()
		name := all[s.Pick%len(all)].name
		_ = i.lib.Pause(name) // the handler exists
		return func() { _ = i.lib.Resume(name) }
	}
	return nil
}

// restoreNetwork gives an instance its network back, unless it is dead.
func (i *instance) restoreNetwork() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.killed {
		i.dialer.Restore()
	}
}

// strikeDatabase makes trouble for all instances.
func (w *world) strikeDatabase(s Step) (undo func()) {
	if s.Fault == JumpClock {
		jump := time.Duration(s.Pick%120-60) * time.Second
		w.database.SetSkew(jump)
		return func() { w.database.SetSkew(0) }
	}
	w.database.Restart()
	var cut []*instance
	for _, i := range w.slots {
		if i != nil {
			i.client.Cut(time.Millisecond)
			cut = append(cut, i)
		}
	}
	return func() {
		for _, i := range cut {
			i.client.Restore()
		}
	}
}

// strikeBroker makes trouble for a broker.
func (w *world) strikeBroker(s Step) (undo func()) {
	b := w.broker
	switch s.Fault {
	case CutBroker:
		w.must(b.Cut(s.Node))
		if w.plan.Brokers > 1 && s.Pick%3 > 0 {
			// The controller notices, and others take over.
			_ = b.MoveLeaders(s.Node) // an error says that no other broker is there
			b.MoveCoordinator(shop.String())
		}
		return func() { w.must(b.Restore(s.Node)) }
	case MoveLeader:
		w.must(b.MoveLeader(orders.Topic(), int32(s.Pick%w.plan.Partitions), s.Node))
	case MoveCoordinator:
		b.MoveCoordinator([]string{shop.String(), search.String()}[s.Pick%2])
	case AddPartitions:
		partitions, err := b.Partitions(orders.Topic())
		w.must(err)
		w.must(b.AddPartitions(orders.Topic(), 1))
		w.recorder.add("", checker.Grown{At: time.Now(), Topic: orders.Topic(), Partitions: int32(len(partitions) + 1)})
	}
	return nil
}

// strikeRequests makes requests fail, of whatever instance.
func (w *world) strikeRequests(s Step) (undo func()) {
	m, err := s.ofRequests()
	var f *eventembed.Fault
	switch s.Fault {
	case FailRequests:
		f = w.broker.Fail(m, err)
	case DropRequests:
		f = w.broker.Drop(m)
	case DropAnswers:
		f = w.broker.DropResponse(m)
	case DelayRequests:
		f = w.broker.Delay(m, time.Duration(1+s.Pick%10_000)*time.Millisecond)
	case StallAnswers:
		f = w.broker.StallResponse(m)
		return f.Remove
	}
	w.leftovers = append(w.leftovers, f)
	return nil
}

// within bounds what the world itself asks.
func (w *world) within() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}
