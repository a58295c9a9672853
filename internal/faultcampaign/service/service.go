// Package service is the small service whose processes the fault campaign runs:
// every process writes orders, relays them, and handles them in every way that
// the library knows. It writes a journal of what it was given and told.
//
// The campaign speaks with a process in lines. On its standard input:
//
//	load N        write N transactions a second from now on
//	long D        leave a transaction open for the duration D
//	oversized N   try to produce an event of N bytes
//	report        answer with a line "report " and a Report as JSON
//	stop          stop in order, answer "stopped" and exit with 0
//
// Its end ends the process at once. On its standard output it also says "ready"
// when it consumes.
package service

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/seed46dd6f11/events"
	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

type service[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]] struct {
	config  Config
	backend backend[ID, TX, DB]
	db      DB
	lib     *events.Library[ID, TX, DB]
	journal *Journal
	keys    []string
	load    load
	stopped <-chan struct{} // consuming has ended
	relayed <-chan struct{} // so has the relay
	end     context.CancelFunc
}

// Run is the process: it returns when it was told to stop.
func Run(c Config) error {
	switch c.Backend {
	case Postgres:
		return run(c, postgres)
	case MySQL:
		return run(c, mysql)
	case SQLite:
		return run(c, sqlite)
	}
	return fmt.Errorf("there is no backend %q", c.Backend)
}

func run[ID eventmodels.AbstractID[ID], TX eventmodels.EnhancedTX, DB database[ID, TX]](c Config, b backend[ID, TX, DB]) error {
	s := &service[ID, TX, DB]{config: c, backend: b, keys: Keys(c.Keys)}
	var err error
	if s.journal, err = CreateJournal(c.Journal); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	fmt.Println("ready")
	return s.obey(os.Stdin)
}

// start begins everything but the load. A server that is away is no error: the
// campaign starts processes while servers are down.
func (s *service[ID, TX, DB]) start() error {
	level := slog.LevelWarn
	if s.config.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("process", s.config.Name)
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	if err := again(func() (err error) {
		s.db, err = s.backend.open(ctx, s.config.DSN)
		return err
	}); err != nil {
		return err
	}
	s.lib = events.New[ID, TX, DB]()
	s.lib.SetPrefix(s.config.Prefix)
	s.lib.SetLogger(log)
	s.lib.SetDialer(s.dial)
	s.lib.SetDeadLetterBackoff(500*time.Millisecond, 5*time.Second)
	s.lib.OnBroadcastGap(func(topic string) {
		s.journal.Write(checker.Gap{At: time.Now(), Instance: s.config.Name, Topic: topic})
	})
	s.lib.ConfigureBroadcastHeartbeat(5 * time.Second)
	s.register()
	s.lib.Configure(s.db, nil, false, nil, nil, s.config.Brokers)
	if err := again(func() error {
		relayed, err := s.lib.CatchUpProduce(ctx, 200*time.Millisecond, 500)
		s.relayed = relayed
		return err
	}); err != nil {
		return err
	}
	if err := again(func() error {
		started, stopped, err := s.lib.StartConsuming(ctx)
		if err == nil {
			<-started
			s.stopped = stopped
		}
		return err
	}); err != nil {
		return err
	}
	s.journal.Write(checker.Up{At: time.Now(), Instance: s.config.Name})
	s.startLoad()
	return nil
}

// again tries something until it succeeds, as whatever starts a service does.
func again(try func() error) error {
	deadline := time.Now().Add(5 * time.Minute)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		fmt.Fprintln(os.Stderr, "trying again:", err)
		time.Sleep(200 * time.Millisecond)
	}
}

func (s *service[ID, TX, DB]) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if route, ok := s.config.Routes[address]; ok {
		address = route
	}
	return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
}

// obey does what the campaign says, until it says stop.
func (s *service[ID, TX, DB]) obey(orders io.Reader) error {
	lines := bufio.NewScanner(orders)
	for lines.Scan() {
		word, argument, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "load":
			rate, err := strconv.ParseInt(argument, 10, 64)
			if err != nil {
				return err
			}
			s.load.rate.Store(rate)
		case "long":
			lasting, err := time.ParseDuration(argument)
			if err != nil {
				return err
			}
			go s.long(lasting)
		case "oversized":
			bytes, err := strconv.Atoi(argument)
			if err != nil {
				return err
			}
			go s.oversized(bytes)
		case "report":
			text, err := json.Marshal(measure())
			if err != nil {
				return err
			}
			fmt.Printf("report %s\n", text)
		case "stop":
			return s.stop()
		default:
			return fmt.Errorf("unknown order %q", lines.Text())
		}
	}
	os.Exit(1) // the campaign is gone
	return nil
}

// stop stops in order. What it cannot finish while servers are away it leaves to
// others, as a process does that is given a minute.
func (s *service[ID, TX, DB]) stop() error {
	s.journal.Write(checker.Down{At: time.Now(), Instance: s.config.Name})
	s.stopLoad()
	s.end()
	limit := time.After(time.Minute)
	for _, done := range []<-chan struct{}{s.stopped, s.relayed} {
		select {
		case <-done:
		case <-limit:
			fmt.Fprintln(os.Stderr, "process", s.config.Name, "does not stop in time")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.lib.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "process", s.config.Name, "abandons:", err)
	}
	fmt.Println("stopped")
	return nil
}
