package kafka

import (
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	for _, test := range []struct {
		policy, age string
		want        time.Duration
		ok          bool
	}{
		{"delete", "1000", time.Second, true},
		{"", "1000", time.Second, true},
		{"compact,delete", "1000", time.Second, true},
		{"delete", "-1", Forever, true},
		{"delete", "9223372036854775807", Forever, true},
		{"compact", "1000", Forever, true},
		{"compact", "", Forever, true},
		{"delete", "", 0, false},
		{"delete", "soon", 0, false},
	} {
		if got, ok := retention(test.policy, test.age); got != test.want || ok != test.ok {
			t.Errorf("%q, %q: %v, %t", test.policy, test.age, got, ok)
		}
	}
	onClusters(t, func(t *testing.T, c *cluster) {
		short, long := c.topic(t, 1, "retention.ms", "60000"), c.topic(t, 1, "retention.ms", "-1")
		missing := newName("t")
		got, err := c.client(t).Retention(timeout(t), []WireTopic{short, long, missing})
		if err != nil || len(got) != 2 || got[short] != time.Minute || got[long] != Forever {
			t.Errorf("%v, error %v", got, err)
		}
	})
}
