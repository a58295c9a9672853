package eventembed

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Option changes how [Start] starts a broker.
type Option func(*config)

// config is what the options set; the defaults are beside the fields.
type config struct {
	dir       string       // "": in memory
	brokers   int32        // 1
	port      int          // 0: free ports
	clusterID string       // "eventembed"
	network   *Network     // nil: TCP on 127.0.0.1
	users     []user       // none: no SASL
	tls       *tls.Config  // nil: plaintext
	logger    *slog.Logger // nil: no logs
	topics    []topicSeed
	auto      bool // false: a client cannot create topics by asking for metadata
	configs   map[string]string
}

type topicSeed struct {
	name       string
	partitions int32
}

func defaults() config {
	return config{brokers: 1, clusterID: "eventembed", configs: make(map[string]string)}
}

// validate names the option that cannot be used.
func (c *config) validate() error {
	if c.brokers < 1 {
		return fmt.Errorf("eventembed: Brokers(%d): a cluster has at least one broker", c.brokers)
	}
	if c.port < 0 || c.port > 65536-int(c.brokers) {
		return fmt.Errorf("eventembed: Port(%d): not a port, or not enough ports above it for %d brokers", c.port, c.brokers)
	}
	if c.clusterID == "" {
		return errors.New("eventembed: ClusterID: empty")
	}
	for _, u := range c.users {
		switch u.mechanism {
		case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
		default:
			return fmt.Errorf("eventembed: User: unknown SASL mechanism %q; use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", u.mechanism)
		}
	}
	for _, t := range c.topics {
		if t.partitions < 1 {
			return fmt.Errorf("eventembed: Topics(%d, %q): a topic has at least one partition", t.partitions, t.name)
		}
	}
	for name := range sessionTimeouts {
		if _, _, err := c.milliseconds(name); err != nil {
			return err
		}
	}
	return nil
}

// sessionTimeouts are the limits for the session timeouts of classic groups,
// which the cluster wants as options.
var sessionTimeouts = map[string]func(time.Duration) kfake.Opt{
	"group.min.session.timeout.ms": kfake.GroupMinSessionTimeout,
	"group.max.session.timeout.ms": kfake.GroupMaxSessionTimeout,
}

// milliseconds reads a configuration value; false if it is not set.
func (c *config) milliseconds(name string) (time.Duration, bool, error) {
	value, ok := c.configs[name]
	if !ok {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 1 {
		return 0, false, fmt.Errorf("eventembed: Config(%q, %q): not a number of milliseconds", name, value)
	}
	return time.Duration(n) * time.Millisecond, true, nil
}

// listen is net.Listen or the network's.
func (c *config) listen(network, address string) (net.Listener, error) {
	if c.network != nil {
		return c.network.Listen(network, address)
	}
	return net.Listen(network, address)
}

// InDir keeps topics, records, groups and their committed offsets in a
// directory, which is created if need be. A broker that is started there again
// continues where the last one was closed. Writes are as durable as Kafka's by
// default: they survive the process, not the machine. By default everything is
// in memory and gone with Close.
func InDir(dir string) Option { return func(c *config) { c.dir = dir } }

// Brokers is how many brokers, each with an address of its own, the cluster
// has. The default is 1.
func Brokers(n int) Option { return func(c *config) { c.brokers = int32(n) } }

// Port is the port of the first broker; the others have the ports after it.
// The default, 0, chooses free ports (on a [Network] from 9092 on).
func Port(port int) Option { return func(c *config) { c.port = port } }

// ClusterID is the cluster's id. The default is "eventembed", so that a
// program finds the same cluster after a restart. In a directory the id of the
// first start stays.
func ClusterID(id string) Option { return func(c *config) { c.clusterID = id } }

// OnNetwork makes the cluster listen on a virtual network instead of on TCP,
// for tests under testing/synctest. The default is TCP on 127.0.0.1.
func OnNetwork(n *Network) Option { return func(c *config) { c.network = n } }

// User lets a client authenticate with a SASL mechanism: PLAIN, SCRAM-SHA-256
// or SCRAM-SHA-512. It can be given several times. With at least one user the
// cluster refuses clients that do not authenticate; the default is no
// authentication. Every user may do everything.
func User(mechanism, name, password string) Option {
	return func(c *config) { c.users = append(c.users, user{mechanism, name, password}) }
}

// TLS makes the cluster speak TLS only. The certificate must be valid for the
// IP address 127.0.0.1, the host that the brokers tell their clients. The
// default is plaintext.
func TLS(server *tls.Config) Option { return func(c *config) { c.tls = server } }

// Logger gets the cluster's logs. The default is none.
func Logger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// Topics creates topics at the start, except those that [InDir]'s directory
// has already. It can be given several times.
func Topics(partitions int, names ...string) Option {
	return func(c *config) {
		for _, name := range names {
			c.topics = append(c.topics, topicSeed{name, int32(partitions)})
		}
	}
}

// AutoCreateTopics lets clients that ask for it create a topic by asking for
// its metadata, like Kafka's auto.create.topics.enable. The default is that
// they cannot.
func AutoCreateTopics() Option { return func(c *config) { c.auto = true } }

// Config sets a configuration value of the brokers by Kafka's name for it, for
// example "message.max.bytes" (default 1048588),
// "group.min.session.timeout.ms" (default 6000) or
// "group.consumer.session.timeout.ms" (default 45000). Names that the cluster
// has no use for are ignored.
func Config(name, value string) Option { return func(c *config) { c.configs[name] = value } }
