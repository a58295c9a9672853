package kafka

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// joins knows since when a member waits for the answer to a JoinGroup or
// SyncGroup. Brokers answer these when the other members have joined too, which
// can take as long as a rebalance may. franz-go sends one after the other, and
// calls the hook of a request's answer after that of its writing.
type joins struct {
	mu    sync.Mutex
	since time.Time // zero: there is none
}

func joining(key int16) bool {
	k := kmsg.Key(key)
	return k == kmsg.JoinGroup || k == kmsg.SyncGroup
}

// OnBrokerWrite is franz-go's hook.
func (j *joins) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if !joining(key) || err != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.since.IsZero() {
		j.since = time.Now()
	}
}

// OnBrokerE2E is franz-go's hook. A connection that breaks is no answer: the
// request is sent again.
func (j *joins) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	if !joining(key) || e2e.Err() != nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.since = time.Time{}
}

// waiting reports whether an answer has been waited for for at least d.
func (j *joins) waiting(d time.Duration) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return !j.since.IsZero() && time.Since(j.since) >= d
}
