// Package servers gives measurements topics, consumer groups and databases of
// their own on the real servers, and takes them away afterwards.
package servers

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The variables that say where the servers are.
const (
	envBrokers = "EVENTS_KAFKA_BROKERS"
	envDSN     = "EVENTS_POSTGRES_DSN"
)

// Servers are a Kafka cluster and a PostgreSQL server.
type Servers struct {
	Brokers []string
	DSN     string // of the database to begin with

	kafka *kadm.Client
	run   string // part of every name, so that no two runs meet
	names atomic.Int64
}

// Missing returns the variables that are not set, of those that FromEnv needs.
func Missing() []string {
	var missing []string
	for _, name := range []string{envBrokers, envDSN} {
		if os.Getenv(name) == "" {
			missing = append(missing, name)
		}
	}
	return missing
}

// FromEnv connects to the servers of EVENTS_KAFKA_BROKERS and
// EVENTS_POSTGRES_DSN. The caller closes the result.
func FromEnv(ctx context.Context) (*Servers, error) {
	if missing := Missing(); len(missing) > 0 {
		return nil, fmt.Errorf(`%s not set; run bench/run, which starts servers, or eval "$(scripts/services env)"`, strings.Join(missing, " and "))
	}
	s := &Servers{Brokers: strings.Split(os.Getenv(envBrokers), ","), DSN: os.Getenv(envDSN), run: random()}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Brokers...))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", envBrokers, err)
	}
	s.kafka = kadm.NewClient(client)
	if err := errors.Join(client.Ping(ctx), s.pingPostgres(ctx)); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the connections.
func (s *Servers) Close() { s.kafka.Close() }

// Name returns a name that no other run and no other call has, for topics,
// groups and databases.
func (s *Servers) Name(what string) string {
	return fmt.Sprintf("bench-%s-%s-%d", s.run, what, s.names.Add(1))
}

// Facts says what the servers are, for the report.
func (s *Servers) Facts(ctx context.Context) ([]string, error) {
	kafka, err := s.kafkaFact(ctx)
	if err != nil {
		return nil, err
	}
	postgres, err := s.postgresFact(ctx)
	if err != nil {
		return nil, err
	}
	mysql, err := s.mysqlFact(ctx)
	if err != nil {
		return nil, err
	}
	facts := []string{kafka, postgres}
	if mysql != "" {
		facts = append(facts, mysql)
	}
	return facts, nil
}

func (s *Servers) kafkaFact(ctx context.Context) (string, error) {
	versions, err := s.kafka.ApiVersions(ctx)
	if err != nil {
		return "", fmt.Errorf("ask for the brokers' versions: %w", err)
	}
	guess := "of unknown version"
	for _, broker := range versions.Sorted() {
		if broker.Err == nil {
			guess = broker.VersionGuess()
		}
	}
	return fmt.Sprintf("Kafka %s, brokers: %d", guess, len(versions)), nil
}

func (s *Servers) postgresFact(ctx context.Context) (fact string, err error) {
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	const query = `SELECT format('PostgreSQL %s, fsync %s, synchronous_commit %s, shared_buffers %s',
		current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'), current_setting('shared_buffers'))`
	err = conn.QueryRow(ctx, query).Scan(&fact)
	return fact, err
}

func (s *Servers) pingPostgres(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func random() string {
	var b [3]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
