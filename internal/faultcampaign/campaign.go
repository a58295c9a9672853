//go:build linux

package faultcampaign

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/seed46dd6f11/events/eventnodb"
	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

// campaign is one that runs.
type campaign struct {
	options  Options
	history  *history
	journal  *service.Journal
	servers  *servers
	database *database
	stream   *stream
	fleet    *fleet
	more     []*slot            // for processes that only run for a while
	desk     *eventnodb.Library // reads the dead letters
	begin    time.Time          // of the schedule
}

// Run runs a campaign, and removes what it has started, also when ctx ends. It
// is an error if a promise was violated, or if the campaign could not be run.
func Run(ctx context.Context, o Options) (err error) {
	if err := o.defaults(); err != nil {
		return err
	}
	faults := o.schedule()
	fmt.Fprintf(o.Out, "seed %d: %d faults in %v, %d processes on %s\n", o.Seed, len(faults), o.Length, o.Processes, o.Backend)
	for _, f := range faults {
		fmt.Fprintf(o.Out, "    %v\n", f)
	}
	c := &campaign{options: o, history: newHistory(o.Out)}
	defer c.close()
	if err := c.open(ctx); err != nil {
		return err
	}
	// An interrupt does not wait for processes that start or stop.
	defer context.AfterFunc(ctx, c.fleet.killAll)()
	c.history.say("the servers run")
	for _, s := range c.fleet.places()[:o.Processes] {
		if err := c.fleet.start(s); err != nil {
			return err
		}
	}
	for _, s := range c.fleet.places()[:o.Processes] {
		c.fleet.awaitReady(s)
	}
	c.history.say("the processes run")
	if !sleep(ctx, warmUp) {
		return ctx.Err()
	}
	before := c.measure()
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		c.watch(watching)
	}()
	c.begin = time.Now()
	c.perform(ctx, faults)
	sleepUntil(ctx, c.begin.Add(o.Length))
	stopWatching()
	<-watched
	c.history.say("the faults are over")
	if err := c.repair(ctx); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	// What went on while there were faults goes on without them.
	if !sleep(ctx, warmUp) {
		return ctx.Err()
	}
	c.fleet.quiet()
	c.history.say("the load is over")
	entries, report, err := c.settle(ctx)
	if err != nil {
		return err
	}
	c.history.say("everything has arrived, or has had its time")
	c.compareUse(ctx, before)
	for _, s := range c.fleet.places() {
		c.fleet.stop(s)
	}
	return c.conclude(entries, report)
}

// warmUp is how long processes work before the first fault, and after the last.
const warmUp = 5 * time.Second

// open starts servers, and all that is needed to start processes.
func (c *campaign) open(ctx context.Context) (err error) {
	o := c.options
	if c.journal, err = service.CreateJournal(filepath.Join(o.Folder, "campaign.journal")); err != nil {
		return err
	}
	if c.servers, err = startServers(ctx, o); err != nil {
		return err
	}
	const more = 2
	if c.database, err = openDatabase(ctx, o.Backend, c.servers.dsn, o.Keys, o.Processes+more); err != nil {
		return err
	}
	prefix := fmt.Sprintf("f%d.", time.Now().UnixNano())
	if c.stream, err = openStream(ctx, c.servers.brokers, prefix, c.history, c.journal); err != nil {
		return err
	}
	c.desk = eventnodb.New()
	c.desk.SetPrefix(prefix)
	c.desk.ConfigureNoDB(nil, false, nil, nil, c.servers.brokers)
	c.fleet = &fleet{options: o, servers: c.servers, prefix: prefix, history: c.history, journal: c.journal}
	for i := range o.Processes + more {
		s, err := c.fleet.addSlot()
		if err != nil {
			return err
		}
		if i >= o.Processes {
			c.more = append(c.more, s)
		}
	}
	return nil
}

// close ends what open has begun, as far as that got.
func (c *campaign) close() {
	if c.fleet != nil {
		c.fleet.close()
	}
	if c.desk != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_ = c.desk.Shutdown(ctx) // it has only read
		cancel()
	}
	if c.stream != nil {
		c.stream.close()
	}
	if c.database != nil {
		_ = c.database.Close()
	}
	if c.servers != nil {
		c.servers.stop()
	}
	if c.journal != nil {
		_ = c.journal.Close()
	}
}

// watch notices processes that end by themselves.
func (c *campaign) watch(ctx context.Context) {
	for sleep(ctx, 500*time.Millisecond) {
		if err := c.fleet.died(); err != nil {
			c.history.violated("%v", err)
			return
		}
	}
}
