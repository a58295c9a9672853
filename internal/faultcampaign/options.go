//go:build linux

package faultcampaign

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/schedule"
	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

// brokers is how many brokers the cluster has.
const brokers = 3

// What the library waits for a process that is silent.
const (
	sessionTimeout = 20 * time.Second
	leaseTime      = 10 * time.Second
)

// Options are a campaign's.
type Options struct {
	Seed uint64
	// Length is how long faults happen. What comes before and after (servers
	// start, events arrive) takes a minute or two more.
	Length time.Duration
	// Backend is service.Postgres (the default), MySQL or SQLite.
	Backend string
	// Processes is how many run at once, 4 by default.
	Processes int
	// Rate is how many transactions a second they write together, 60 by
	// default.
	Rate int
	// Keys is how many keys the orders have, 40 by default.
	Keys int
	// Dense makes the pauses between faults short.
	Dense bool
	// Only, if it is not empty, are the kinds of faults that happen.
	Only []schedule.Kind
	// Root is the folder of scripts/services, the present one by default.
	Root string
	// Servers is the name of an instance of scripts/services that stays; by
	// default the campaign starts one of its own, and removes it.
	Servers string
	// Folder gets the journals and logs. It must exist.
	Folder string
	// Out gets what happens, and what was found.
	Out io.Writer
	// Verbose makes processes log everything.
	Verbose bool
}

func (o *Options) defaults() error {
	setDefault(&o.Backend, service.Postgres)
	setDefault(&o.Processes, 4)
	setDefault(&o.Rate, 60)
	setDefault(&o.Keys, 40)
	setDefault(&o.Root, ".")
	switch {
	case o.Length <= 0:
		return fmt.Errorf("a campaign of %v is none", o.Length)
	case o.Folder == "":
		return fmt.Errorf("a campaign needs a folder for its journals")
	case o.Processes < 1, o.Rate < 1, o.Keys < 1:
		return fmt.Errorf("a campaign needs processes, transactions and keys")
	}
	return nil
}

func setDefault[V comparable](v *V, value V) {
	var zero V
	if *v == zero {
		*v = value
	}
}

// schedule is what will happen.
func (o *Options) schedule() []schedule.Fault {
	var without []schedule.Kind
	if len(o.Only) > 0 {
		for _, kind := range schedule.Kinds() {
			if !slices.Contains(o.Only, kind) {
				without = append(without, kind)
			}
		}
	}
	if o.Backend == service.SQLite { // a file: no server, and the lease is by the processes' clock
		without = append(without, schedule.RestartDatabase, schedule.CrashDatabase)
	}
	return schedule.New(schedule.Settings{Seed: o.Seed, Length: o.Length, Processes: o.Processes, Brokers: brokers,
		Session: sessionTimeout, Lease: leaseTime, Without: without, Dense: o.Dense})
}

// again is the command line that repeats the schedule.
func (o *Options) again() string {
	text := fmt.Sprintf("scripts/faults -seed %d -for %v -backend %s -processes %d -rate %d", o.Seed, o.Length, o.Backend, o.Processes, o.Rate)
	if o.Dense {
		text += " -dense"
	}
	for i, kind := range o.Only {
		text += []string{" -only ", ","}[min(i, 1)] + string(kind)
	}
	return text
}
