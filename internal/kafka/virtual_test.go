//go:build synctests

package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// virtual runs a test in virtual time, on an embedded broker whose network is
// in the process. It needs franz-go's build tag: go test -tags synctests.
func virtual(t *testing.T, test func(t *testing.T, c *cluster, n *eventembed.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		network := new(eventembed.Network)
		b, err := eventembed.Start(eventembed.OnNetwork(network), eventembed.Topics(2, "t"))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		test(t, &cluster{brokers: b.Addrs(), embed: b}, network)
	})
}

func (c *cluster) virtualConfig(t *testing.T, d *eventembed.Dialer) Config {
	return Config{Brokers: c.brokers, Logger: testLogger(t), Dialer: d.DialContext}
}

// holds is how many partitions the member has.
func (m *member) holds() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.owned)
}

// told is how often the member was told something.
func (m *member) told() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.calls)
}

// polling polls a source until stop, which returns when that has ended; only
// then values may be called.
func polling(s Source) (values func() []string, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var got []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			fetched, err := s.Poll(ctx, 100)
			if err != nil {
				return
			}
			for _, f := range fetched {
				for _, r := range f.Records {
					got = append(got, string(r.Value))
				}
			}
		}
	}()
	return func() []string { return got }, func() { cancel(); <-done }
}

// Ten minutes without brokers, with the default settings: nothing is lost, and
// nobody gives up.
func TestVirtualOutage(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		far, near := n.Dialer("cut off"), n.Dialer("beside it")
		client, err := New(c.virtualConfig(t, far))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		beside, err := New(c.virtualConfig(t, near))
		if err != nil {
			t.Fatal(err)
		}
		defer beside.Close()
		reader, err := NewReader(t.Context(), ReaderConfig{Config: c.virtualConfig(t, far), Topics: []WireTopic{"t"}})
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		m := &member{changed: make(chan struct{}), owned: make(map[TopicPartition]bool)}
		group, err := NewGroup(GroupConfig{Config: c.virtualConfig(t, far), Group: "g", Topics: []WireTopic{"t"}}, m)
		if err != nil {
			t.Fatal(err)
		}
		defer group.Close()
		read, stopReading := polling(reader)
		consumed, stopConsuming := polling(group)
		if err := client.produce(t.Context(), []*Record{record("t", "k", "before")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute) // virtual, as below

		far.Cut()
		if err := beside.produce(t.Context(), []*Record{record("t", "k", "meanwhile")}); err != nil {
			t.Fatal(err)
		}
		produced := make(chan error, 1)
		go func() { produced <- client.produce(t.Context(), []*Record{record("t", "k", "waited")}) }()
		time.Sleep(10 * time.Minute)
		select {
		case err := <-produced:
			t.Errorf("it did not wait: %v", err)
		default:
		}
		far.Restore()
		began := time.Now()
		if err := <-produced; err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("produced %v after the brokers were back", took)
		}
		time.Sleep(30 * time.Second)
		stopReading()
		stopConsuming()
		for what, got := range map[string][]string{"reader": read(), "group": consumed()} {
			seen := make(map[string]bool)
			for _, v := range got {
				seen[v] = true
			}
			if len(seen) != 3 {
				t.Errorf("the %s got %v", what, got)
			}
		}
		if n := len(read()); n != 3 {
			t.Errorf("the reader got %d records", n)
		}
	})
}

// A member that is cut off loses its partitions when the session timeout has
// passed, and not much later another one has them.
func TestVirtualTakeover(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		dying := n.Dialer("dying")
		join := func(d *eventembed.Dialer) (*Group, *member, func()) {
			m := &member{changed: make(chan struct{}), owned: make(map[TopicPartition]bool), next: make(map[TopicPartition]Offset)}
			g, err := NewGroup(GroupConfig{Config: c.virtualConfig(t, d), Group: "g", Topics: []WireTopic{"t"}}, m)
			if err != nil {
				t.Fatal(err)
			}
			_, stop := polling(g)
			return g, m, stop
		}
		first, firstMember, stopFirst := join(dying)
		defer stopFirst()
		defer first.Close()
		time.Sleep(5 * time.Second)
		second, secondMember, stopSecond := join(n.Dialer("living"))
		defer stopSecond()
		defer second.Close()
		time.Sleep(10 * time.Second)
		if firstMember.holds() != 1 || secondMember.holds() != 1 {
			t.Fatalf("they have %d and %d partitions", firstMember.holds(), secondMember.holds())
		}
		dying.Cut()
		time.Sleep(15 * time.Second)
		if secondMember.holds() != 1 {
			t.Error("it was taken over before the session timeout")
		}
		time.Sleep(10 * time.Second)
		if secondMember.holds() != 2 {
			t.Error("it was not taken over after the session timeout")
		}
		dying.Restore()
		time.Sleep(time.Minute)
		if firstMember.holds() != 1 || secondMember.holds() != 1 {
			t.Errorf("afterwards they have %d and %d partitions", firstMember.holds(), secondMember.holds())
		}
	})
}

// A member without work sends nothing but heartbeats and fetches: no rebalance
// and no new connection in an hour.
func TestVirtualIdle(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		d := n.Dialer("idle")
		m := &member{changed: make(chan struct{}), owned: make(map[TopicPartition]bool)}
		g, err := NewGroup(GroupConfig{Config: c.virtualConfig(t, d), Group: "g", Topics: []WireTopic{"t"}}, m)
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		_, stop := polling(g)
		defer stop()
		time.Sleep(time.Minute)
		calls, conns := m.told(), d.Conns()
		time.Sleep(time.Hour)
		if m.told() != calls || d.Conns() > conns {
			t.Errorf("told %d times, %d connections, before %d and %d", m.told(), d.Conns(), calls, conns)
		}
	})
}

// One call after the other waits for the broker and for nothing else.
func TestVirtualOneByOne(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		client, err := New(c.virtualConfig(t, n.Dialer("producer")))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		produce := func(i int) {
			if err := client.produce(t.Context(), []*Record{record("t", fmt.Sprint(i), "v")}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 10 { // until all connections are there
			produce(i)
		}
		began := time.Now()
		for i := range 2000 {
			produce(i)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("2000 calls waited %v for more than the broker", took)
		}
	})
}

// Whoever waits for the first identity is told of in the log, now and then.
func TestVirtualWaitForIdentityIsLogged(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		var log logged
		config := c.virtualConfig(t, n.Dialer("producer"))
		config.Logger = log.logger(slog.LevelWarn)
		client, err := New(config)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		const line = "before a broker has given a producer id"
		produced := make(chan error, 1)
		refused := c.embed.Fail(eventembed.Match{Requests: []kmsg.Key{kmsg.InitProducerID}}, kerr.CoordinatorNotAvailable)
		go func() { produced <- client.produce(t.Context(), []*Record{record("t", "k", "v")}) }()
		time.Sleep(retrySchedule.Min)
		if n := strings.Count(log.String(), line); n != 0 {
			t.Errorf("it is logged at once:\n%s", log.String())
		}
		time.Sleep(time.Minute)
		refused.Remove()
		if err := <-produced; err != nil {
			t.Error(err)
		}
		if n := strings.Count(log.String(), line); n < 1 || n > 7 {
			t.Errorf("%d lines in a minute:\n%s", n, log.String())
		}
	})
}

// A limit that was raised is noticed by what is larger than the one before, but
// the brokers are not asked for each of these.
func TestVirtualRaisedLimit(t *testing.T) {
	virtual(t, func(t *testing.T, c *cluster, n *eventembed.Network) {
		client, err := New(c.virtualConfig(t, n.Dialer("producer")))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		limit := func(to string) {
			t.Helper()
			if _, err := client.adm.AlterTopicConfigs(t.Context(), alter("max.message.bytes", to), "t"); err != nil {
				t.Fatal(err)
			}
		}
		big := []*Record{record("t", "k", strings.Repeat("v", 3000))}
		limit("2000")
		asked := c.embed.Observe(eventembed.Match{Requests: []kmsg.Key{kmsg.DescribeConfigs}})
		for range 3 {
			if err := client.produce(t.Context(), big); !errors.Is(err, ErrTooBig) {
				t.Errorf("above the limit: %v", err)
			}
		}
		limit("4000")
		if err := client.produce(t.Context(), big); !errors.Is(err, ErrTooBig) || asked.Hits() != 1 {
			t.Errorf("above what was the limit a moment ago: %v, asked %d times", err, asked.Hits())
		}
		time.Sleep(client.cfg.MetadataMaxAge)
		for range 3 {
			if err := client.produce(t.Context(), big); err != nil || asked.Hits() != 2 {
				t.Errorf("below the raised limit: %v, asked %d times", err, asked.Hits())
			}
		}
	})
}
