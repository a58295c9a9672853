//go:build linux

// Command faults runs fault campaigns: see package faultcampaign, and
// scripts/faults, which builds it.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign"
	"github.com/seed46dd6f11/events/internal/faultcampaign/schedule"
	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

func main() {
	config, is, err := service.FromEnvironment()
	switch {
	case err != nil:
	case is:
		err = service.Run(config)
	default:
		err = campaigns()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// campaigns runs those of the command line, one after the other.
func campaigns() error {
	var (
		o      faultcampaign.Options
		only   string
		times  int
		folder string
	)
	flag.Uint64Var(&o.Seed, "seed", 0, "the schedule's seed; 0: a random one for each campaign")
	flag.DurationVar(&o.Length, "for", 5*time.Minute, "how long faults happen, in each campaign")
	flag.IntVar(&times, "times", 1, "how many campaigns are run, one after the other, until one finds something")
	flag.StringVar(&o.Backend, "backend", service.Postgres, "postgres, mysql or sqlite")
	flag.IntVar(&o.Processes, "processes", 4, "how many processes run")
	flag.IntVar(&o.Rate, "rate", 60, "transactions a second that they write together")
	flag.BoolVar(&o.Dense, "dense", false, "short pauses between faults")
	flag.StringVar(&only, "only", "", "comma-separated `kinds` of faults that happen, of "+kinds()+"; default: all")
	flag.StringVar(&o.Servers, "servers", "", "`name` of an instance of scripts/services with three brokers that stays (and NAME-db with the database); default: servers are started, and removed at the end")
	flag.StringVar(&folder, "folder", "", "`folder` that keeps journals and logs; default: a temporary one, which is kept when something is found")
	flag.BoolVar(&o.Verbose, "v", false, "processes log everything")
	flag.Parse()
	if only != "" {
		for _, kind := range strings.Split(only, ",") {
			if !strings.Contains(","+strings.ReplaceAll(kinds(), " ", ",")+",", ","+kind+",") {
				return fmt.Errorf("there is no fault %q, but %s", kind, kinds())
			}
			o.Only = append(o.Only, schedule.Kind(kind))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	seed := o.Seed
	for n := range times {
		if o.Seed = seed; seed == 0 {
			o.Seed = rand.Uint64N(1_000_000_000)
		} else {
			o.Seed += uint64(n)
		}
		if err := campaign(ctx, o, folder); err != nil {
			return err
		}
	}
	return nil
}

func kinds() string {
	var names []string
	for _, kind := range schedule.Kinds() {
		names = append(names, string(kind))
	}
	return strings.Join(names, " ")
}

// campaign runs one, with a folder of its own. What happened goes to the output
// and into the folder.
func campaign(ctx context.Context, o faultcampaign.Options, folder string) (err error) {
	if folder == "" {
		if o.Folder, err = os.MkdirTemp("", "seed-events-faults.*"); err != nil {
			return err
		}
		defer func() {
			if err == nil || ctx.Err() != nil { // nothing was found; an interrupt finds nothing
				_ = os.RemoveAll(o.Folder)
				return
			}
			err = fmt.Errorf("%w (journals and logs: %s)", err, o.Folder)
		}()
	} else {
		o.Folder = filepath.Join(folder, fmt.Sprintf("%s-%d-%d", o.Backend, o.Seed, time.Now().Unix()))
		if err := os.MkdirAll(o.Folder, 0o700); err != nil {
			return err
		}
	}
	log, err := os.Create(filepath.Join(o.Folder, "history.txt"))
	if err != nil {
		return err
	}
	defer log.Close()
	o.Out = io.MultiWriter(os.Stdout, log)
	return faultcampaign.Run(ctx, o)
}
