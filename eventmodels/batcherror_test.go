package eventmodels

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"
)

var errOne, errTwo = errors.New("one"), errors.New("two")

func TestSplitBatchError(t *testing.T) {
	failed := func(positions ...int) *BatchError {
		b := &BatchError{}
		for _, p := range positions {
			b.Fail(p, errOne)
		}
		return b
	}
	for _, c := range []struct {
		name      string
		err       error
		positions []int  // that failed
		all       string // the error that concerns all
		handling  ErrorHandling
		after     time.Duration
	}{
		{name: "nil"},
		{name: "no event", err: &BatchError{}},
		{name: "nil pointer", err: (*BatchError)(nil)},
		{name: "nil pointer, wrapped", err: fmt.Errorf("%w", (*BatchError)(nil))},
		{name: "nil errors", err: &BatchError{Errors: map[int]error{1: nil}}},
		{name: "plain", err: errTwo, all: "two"},
		{name: "some", err: failed(0, 2), positions: []int{0, 2}},
		{name: "wrapped", err: fmt.Errorf("send: %w", failed(1)), positions: []int{1}},
		{name: "not to be retried", err: SetErrorHandling(failed(1, 2), DoNotRetry), positions: []int{1, 2}, handling: DoNotRetry},
		{name: "ignored", err: SetErrorHandling(SetErrorHandling(failed(1), DoNotRetry), IgnoreError), positions: []int{1}, handling: IgnoreError},
		{name: "later", err: RetryAfter(failed(1), time.Minute), positions: []int{1}, after: time.Minute},
		{name: "last", err: failed(2), positions: []int{2}},
		{name: "beyond", err: failed(1, 3), all: "position 3 is not in the batch of 3 events: 2 events of the batch failed, the first at position 1: one"},
		{name: "below", err: failed(-1), all: "position -1 is not in the batch of 3 events: 1 events of the batch failed, the first at position -1: one"},
		{name: "beyond, ignored", err: SetErrorHandling(failed(3), IgnoreError), all: "position 3 is not in the batch of 3 events: 1 events of the batch failed, the first at position 3: one"},
		{name: "joined", err: errors.Join(failed(1), SetErrorHandling(errTwo, IgnoreError)), all: "1 events of the batch failed, the first at position 1: one\ntwo"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, all := SplitBatchError(c.err, 3)
			if positions := slices.Sorted(maps.Keys(got)); !slices.Equal(positions, c.positions) {
				t.Errorf("positions %v, want %v", positions, c.positions)
			}
			if text := fmt.Sprint(all); text != c.all && (c.all != "" || all != nil) {
				t.Errorf("all: %q, want %q", text, c.all)
			}
			if all != nil && GetErrorHandling(all) != RetryUntilTimeout {
				t.Errorf("the error of all is %v", GetErrorHandling(all))
			}
			for position, err := range got {
				after, _ := GetRetryAfter(err)
				if !errors.Is(err, errOne) || GetErrorHandling(err) != c.handling || after != c.after {
					t.Errorf("%d: %v, %v, after %v", position, err, GetErrorHandling(err), after)
				}
			}
		})
	}
}

// What the handler says of the events that it got, beside one that cannot be
// decoded.
func TestBatchWithUndecodable(t *testing.T) {
	messages := func() (ms []*Message) {
		for _, data := range []string{"1", "x", "3"} {
			ms = append(ms, &Message{Data: []byte(data), ContentType: "application/json"})
		}
		return ms
	}
	for _, c := range []struct {
		name      string
		err       error
		positions []int // nil: the handler's error
	}{
		{"success", nil, []int{1}},
		{"ignored", SetErrorHandling(errOne, IgnoreError), []int{1}},
		{"done before", fmt.Errorf("marks: %w", ErrAlreadyProcessed), []int{1}},
		{"plain", errOne, nil},
		{"second failed", &BatchError{Errors: map[int]error{1: errOne}}, []int{1, 2}},
		{"out of range", &BatchError{Errors: map[int]error{2: errOne}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := BindTopic[int]("numbers").BatchHandler(func(_ context.Context, es []Event[int]) error {
				if len(es) != 2 || es[0].Payload != 1 || es[1].Payload != 3 {
					t.Errorf("events %v", es)
				}
				return c.err
			})
			err := h.HandleBatch(context.Background(), messages())
			failed, all := SplitBatchError(err, 3)
			if c.positions == nil {
				if all == nil || failed != nil {
					t.Errorf("%v, %v", failed, all)
				}
				return
			}
			if positions := slices.Sorted(maps.Keys(failed)); !slices.Equal(positions, c.positions) || all != nil {
				t.Errorf("positions %v, all %v", positions, all)
			}
			if !errors.Is(failed[1], ErrDecode) {
				t.Errorf("position 1: %v", failed[1])
			}
		})
	}
}
