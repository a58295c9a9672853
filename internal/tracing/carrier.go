package tracing

import (
	"go.opentelemetry.io/otel/propagation"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/kafka"
)

// recordCarrier lets a propagator read and write a record's headers.
type recordCarrier struct{ headers []kafka.Header }

var _ propagation.TextMapCarrier = (*recordCarrier)(nil)

// Get returns the last value: the one that was written last.
func (c *recordCarrier) Get(name string) string {
	for i := len(c.headers) - 1; i >= 0; i-- {
		if c.headers[i].Key == name {
			return string(c.headers[i].Value)
		}
	}
	return ""
}

// Set replaces all headers of the name.
func (c *recordCarrier) Set(name, value string) {
	kept := c.headers[:0]
	for _, h := range c.headers {
		if h.Key != name {
			kept = append(kept, h)
		}
	}
	c.headers = append(kept, kafka.Header{Key: name, Value: []byte(value)})
}

// Keys returns the names.
func (c *recordCarrier) Keys() []string {
	names := make([]string, len(c.headers))
	for i, h := range c.headers {
		names[i] = h.Key
	}
	return names
}

// messageCarrier lets a propagator read a message's headers.
type messageCarrier struct{ m *eventmodels.Message }

var _ propagation.TextMapCarrier = messageCarrier{}

// Get returns the last value.
func (c messageCarrier) Get(name string) string {
	values := c.m.Headers[name]
	if len(values) == 0 {
		return ""
	}
	return values[len(values)-1]
}

// Set does nothing: messages are read.
func (messageCarrier) Set(string, string) {}

// Keys returns the names.
func (c messageCarrier) Keys() []string {
	names := make([]string, 0, len(c.m.Headers))
	for name := range c.m.Headers {
		names = append(names, name)
	}
	return names
}
