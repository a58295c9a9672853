package keyeddistributor

import (
	"sync"
	"testing"
)

type value struct{ key, n int }

func keyOf(v value) int { return v.key }

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestReadersGetTheirKey(t *testing.T) {
	d := New(keyOf)
	if !isClosed(d.Submit(value{1, 0})) {
		t.Error("a value that nobody waits for is not consumed")
	}
	one, alsoOne, two := d.Subscribe(1), d.Subscribe(1), d.Subscribe(2)
	if isClosed(one.WaitChan()) {
		t.Error("a new reader has a value from before")
	}
	consumed := d.Submit(value{1, 1})
	d.Submit(value{1, 2})
	if isClosed(two.WaitChan()) {
		t.Error("a reader got a value of another key")
	}
	for _, r := range []*Reader[value]{one, alsoOne} {
		if isClosed(consumed) {
			t.Error("consumed before all readers have")
		}
		<-r.WaitChan()
		if v := r.Consume(); v != (value{1, 1}) {
			t.Errorf("got %v first", v)
		}
	}
	if !isClosed(consumed) {
		t.Error("not consumed after all readers have")
	}
	<-one.WaitChan()
	if v := one.Consume(); v != (value{1, 2}) {
		t.Errorf("got %v second", v)
	}
}

func TestUnsubscribeFreesTheKey(t *testing.T) {
	d := New(keyOf)
	one, other := d.Subscribe(1), d.Subscribe(1)
	pending := d.Submit(value{1, 1})
	one.Unsubscribe()
	one.Unsubscribe()
	if isClosed(pending) {
		t.Error("consumed although a reader is left")
	}
	other.Unsubscribe()
	if !isClosed(pending) {
		t.Error("not consumed although no reader is left")
	}
	if len(d.keys) != 0 {
		t.Errorf("%d keys are left", len(d.keys))
	}
}

// Readers come and go while values are submitted; each gets what is submitted
// for its key while it is there, in order.
func TestConcurrently(t *testing.T) {
	d := New(keyOf)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for key := range 4 {
		wg.Go(func() {
			for n := 0; !isClosed(stop); n++ {
				d.Submit(value{key, n})
			}
		})
	}
	var readers sync.WaitGroup
	for key := range 4 {
		readers.Go(func() {
			for range 50 {
				r := d.Subscribe(key)
				last := -1
				for range 20 {
					<-r.WaitChan()
					v := r.Consume()
					if v.key != key || last >= 0 && v.n != last+1 {
						t.Errorf("reader of %d got %v after %d", key, v, last)
					}
					last = v.n
				}
				r.Unsubscribe()
			}
		})
	}
	readers.Wait()
	close(stop)
	wg.Wait()
	if len(d.keys) != 0 {
		t.Errorf("%d keys are left", len(d.keys))
	}
}
