// Command orders is the library's main job, end to end: an order service that
// writes orders and tells other services about them.
//
//   - Orders are written and produced in one transaction; some are rolled back.
//   - The relay moves the events to Kafka.
//   - "invoice" is exactly-once: some events are sent twice, and no order may be
//     invoiced twice.
//   - "confirmation" sends e-mails, idempotently. It fails for some orders and
//     is tried again; for some it fails for good: these become dead letters, and
//     are replayed when the customers' addresses have been repaired.
//   - "sales" is an exactly-once batch handler: what has queued up is summed up
//     in one transaction.
//   - "loyalty" is ordered by key: it sees each customer's orders one after
//     another, as they were committed, although some attempts fail.
//   - "price-cache" is a broadcast that keeps a cache fresh in both instances of
//     the service.
//
// At the end it checks what must hold, and exits with 1 and the difference if
// something does not.
//
// Without flags everything is inside the process: a Kafka-protocol broker and
// an SQLite file. -kafka and -postgres or -mysql point it at real servers; it makes
// topics, and tables whose names begin with demo_.
//
// -metrics serves Prometheus metrics, -for lets customers order for longer, and
// -trouble lets things go wrong meanwhile; docs/operating.md shows what that
// looks like.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventembed"
	"github.com/seed46dd6f11/events/eventmysql"
	"github.com/seed46dd6f11/events/eventpg"
	"github.com/seed46dd6f11/events/eventsqlite"
)

// options are the command line's.
type options struct {
	kafka    string
	postgres string
	mysql    string
	orders   int
	metrics  string
	lasting  time.Duration
	trouble  bool
	verbose  bool
}

func main() {
	var o options
	flag.StringVar(&o.kafka, "kafka", "", "comma-separated `addresses` of Kafka brokers; default: a broker inside this process")
	flag.StringVar(&o.postgres, "postgres", "", "`DSN` of a PostgreSQL database; default: an SQLite file that is deleted at the end")
	flag.StringVar(&o.mysql, "mysql", "", "`DSN` of a MySQL or MariaDB database, as of go-sql-driver/mysql, instead")
	flag.IntVar(&o.orders, "orders", 600, "how many orders are attempted")
	flag.StringVar(&o.metrics, "metrics", "", "`address` to serve metrics at, :9464 for example; default: none are served")
	flag.DurationVar(&o.lasting, "for", 0, "how long customers go on ordering, about eighty times a second, beyond -orders")
	flag.BoolVar(&o.trouble, "trouble", false, "in the time of -for, let Kafka (the one in this process) and a handler fail for a while")
	flag.BoolVar(&o.verbose, "v", false, "show the library's log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "orders:", err)
		os.Exit(1)
	}
}

// run plays the demo on what the options say.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, o.lasting+2*time.Minute)
	defer cancel()
	if o.metrics != "" {
		url, stop, err := serveMetrics(o.metrics)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintln(out, "Metrics: ", url)
	}
	trouble := new(trouble)
	brokers := strings.Split(o.kafka, ",")
	if o.kafka == "" {
		broker, err := eventembed.Start()
		if err != nil {
			return err
		}
		defer broker.Close()
		brokers = broker.Addrs()
		trouble.broker = broker
		fmt.Fprintln(out, "Kafka:    embedded broker at", strings.Join(brokers, ","))
	} else {
		fmt.Fprintln(out, "Kafka:   ", o.kafka)
	}
	p := play{
		out:     out,
		brokers: brokers,
		orders:  o.orders,
		lasting: o.lasting,
		trouble: trouble,
		prefix:  fmt.Sprintf("demo-%x.", time.Now().UnixNano()),
		log:     slog.New(slog.DiscardHandler),
	}
	if o.verbose {
		p.log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	if o.trouble {
		var happening sync.WaitGroup
		happening.Go(func() { trouble.happen(ctx, p) })
		defer happening.Wait()
		defer cancel()
	}
	if o.postgres != "" {
		fmt.Fprintln(out, "Database: PostgreSQL")
		return perform(ctx, p, "$", func() (*eventpg.DB, error) {
			return eventpg.Open(ctx, o.postgres, eventpg.WithMigrate())
		})
	}
	if o.mysql != "" {
		fmt.Fprintln(out, "Database: MySQL")
		return perform(ctx, p, "", func() (*eventmysql.DB, error) {
			return eventmysql.Open(ctx, o.mysql, eventmysql.WithMigrate())
		})
	}
	folder, err := os.MkdirTemp("", "orders")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	file := filepath.Join(folder, "shop.db")
	fmt.Fprintln(out, "Database: SQLite, in a temporary file")
	return perform(ctx, p, "?", func() (*eventsqlite.DB, error) {
		return eventsqlite.Open(ctx, file, eventsqlite.WithMigrate())
	})
}
