package kafka

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Forever is the retention of a topic from which time alone removes nothing.
const Forever = time.Duration(1<<63 - 1)

// Retention is how long records of the topics are kept, as far as the brokers
// tell. Topics of which they do not are left out. It always asks, once.
func (c *Client) Retention(ctx context.Context, topics []WireTopic) (map[WireTopic]time.Duration, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	const policy, age = "cleanup.policy", "retention.ms"
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, t := range topics {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType = kmsg.ConfigResourceTypeTopic
		r.ResourceName = string(t)
		r.ConfigNames = []string{policy, age}
		req.Resources = append(req.Resources, r)
	}
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return nil, c.cfg.explain("read topic settings", err)
	}
	kept := make(map[WireTopic]time.Duration)
	for _, r := range resp.Resources {
		if kerr.ErrorForCode(r.ErrorCode) != nil {
			continue
		}
		values := make(map[string]string)
		for _, config := range r.Configs {
			if config.Value != nil {
				values[config.Name] = *config.Value
			}
		}
		if d, ok := retention(values[policy], values[age]); ok {
			kept[WireTopic(r.ResourceName)] = d
		}
	}
	return kept, nil
}

// retention is what the settings of a topic mean; false if they say nothing.
func retention(policy, age string) (time.Duration, bool) {
	if policy != "" && !strings.Contains(policy, "delete") {
		return Forever, true // compacted only
	}
	ms, err := strconv.ParseInt(age, 10, 64)
	switch {
	case err != nil:
		return 0, false
	case ms < 0, ms > int64(Forever/time.Millisecond):
		return Forever, true
	}
	return time.Duration(ms) * time.Millisecond, true
}
