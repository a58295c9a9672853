package kafka

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/segmentio/kafka-go/sasl/plain"
)

func TestConfigNamesTheField(t *testing.T) {
	for _, test := range []struct {
		field string
		edit  func(*Config)
	}{
		{"Brokers", func(c *Config) { c.Brokers = nil }},
		{"Brokers", func(c *Config) { c.Brokers = []string{"a", ""} }},
		{"Compression", func(c *Config) { c.Compression = "rar" }},
		{"DialTimeout", func(c *Config) { c.DialTimeout = -time.Second }},
		{"RequestTimeout", func(c *Config) { c.RequestTimeout = time.Millisecond }},
		{"RetryTimeout", func(c *Config) { c.RetryTimeout = -1 }},
		{"MetadataMinAge", func(c *Config) { c.MetadataMinAge = time.Millisecond }},
		{"MetadataMaxAge", func(c *Config) { c.MetadataMaxAge, c.MetadataMinAge = time.Second, time.Minute }},
		{"FetchMaxWait", func(c *Config) { c.FetchMaxWait = -1 }},
		{"FetchMaxBytes", func(c *Config) { c.FetchMaxBytes = -1 }},
		{"MaxBufferedBytes", func(c *Config) { c.MaxBufferedBytes = -1 }},
		{"MaxBufferedRecords", func(c *Config) { c.MaxBufferedRecords = -1 }},
	} {
		cfg := Config{Brokers: []string{"localhost"}}
		test.edit(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), test.field+":") {
			t.Errorf("%s: %v", test.field, err)
		}
	}
}

func TestGroupConfigNamesTheField(t *testing.T) {
	for _, test := range []struct {
		field string
		edit  func(*GroupConfig)
	}{
		{"Brokers", func(c *GroupConfig) { c.Brokers = nil }},
		{"Group", func(c *GroupConfig) { c.Group = "" }},
		{"HeartbeatInterval", func(c *GroupConfig) { c.HeartbeatInterval = 7 * time.Second }},
		{"RebalanceTimeout", func(c *GroupConfig) { c.RebalanceTimeout = time.Second }},
	} {
		cfg := GroupConfig{Config: Config{Brokers: []string{"localhost"}}, Group: "g"}
		test.edit(&cfg)
		if _, err := NewGroup(cfg, nil); err == nil || !strings.Contains(err.Error(), test.field+":") {
			t.Errorf("%s: %v", test.field, err)
		}
	}
}

func TestReaderConfigNamesTheField(t *testing.T) {
	for _, test := range []struct {
		field string
		edit  func(*ReaderConfig)
	}{
		{"Brokers", func(c *ReaderConfig) { c.Brokers = nil }},
		{"Topics", func(c *ReaderConfig) { c.Topics = nil }},
		{"WatchInterval", func(c *ReaderConfig) { c.WatchInterval = -1 }},
	} {
		cfg := ReaderConfig{Config: Config{Brokers: []string{"localhost"}}, Topics: []WireTopic{"t"}}
		test.edit(&cfg)
		if _, err := NewReader(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), test.field+":") {
			t.Errorf("%s: %v", test.field, err)
		}
	}
}

func TestConfigNilMechanism(t *testing.T) {
	var none *plain.Mechanism
	cfg := Config{Brokers: []string{"localhost"}, SASL: none}.withDefaults()
	if cfg.SASL != nil {
		t.Error("a nil pointer counts as a mechanism")
	}
	cfg = Config{Brokers: []string{"localhost"}, SASL: plain.Mechanism{}}.withDefaults()
	if cfg.SASL == nil {
		t.Error("a mechanism without a pointer counts as none")
	}
}

// A configuration that is used twice stays as it is.
func TestConfigIsNotChanged(t *testing.T) {
	c := &tls.Config{}
	cfg := Config{Brokers: []string{"localhost:1"}, TLS: c, Dialer: (&net.Dialer{}).DialContext, DialTimeout: time.Second}.withDefaults()
	if conn, err := cfg.dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		conn.Close()
	}
	if c.ServerName != "" {
		t.Error("dialing has set the ServerName")
	}
}
