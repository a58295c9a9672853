//go:build linux

package faultcampaign

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/network"
	"github.com/seed46dd6f11/events/internal/faultcampaign/schedule"
)

// lateLimit is how long after the campaign's length faults still begin: on a
// busy machine a broker takes longer to start than a schedule knows.
const lateLimit = 20 * time.Second

// perform causes all faults of the schedule, each track on its own, and repairs
// each before the track's next one.
func (c *campaign) perform(ctx context.Context, faults []schedule.Fault) {
	var tracks sync.WaitGroup
	for _, line := range schedule.Tracks(faults) {
		tracks.Go(func() {
			for _, fault := range line {
				if !sleepUntil(ctx, c.begin.Add(fault.At)) {
					return
				}
				if late := time.Since(c.begin) - c.options.Length; late > lateLimit {
					c.history.say("left out, since those before it took too long: %v", fault)
					continue
				}
				c.history.say("%v", fault)
				c.history.happened(string(fault.Kind))
				if err := c.cause(ctx, fault); err != nil && ctx.Err() == nil {
					c.history.say("       %v: %v", fault.Kind, err)
				}
			}
		})
	}
	tracks.Wait()
}

func sleepUntil(ctx context.Context, at time.Time) bool { return sleep(ctx, time.Until(at)) }

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// cause causes a fault and returns when it is repaired. An error says that it
// could not happen as it should: servers that are away because of another track
// refuse much.
func (c *campaign) cause(ctx context.Context, f schedule.Fault) error {
	switch f.Kind {
	case schedule.Kill, schedule.Freeze, schedule.Stop, schedule.Scale, schedule.Long, schedule.Oversized:
		return c.causeInProcess(ctx, f)
	case schedule.KillBroker:
		return c.breakBrokers(ctx, f, "-9", f.Broker)
	case schedule.RestartBroker:
		return c.breakBrokers(ctx, f, "", f.Broker)
	case schedule.KillTwoBrokers:
		return c.breakBrokers(ctx, f, "-9", f.Broker, f.Other)
	case schedule.FillDisk:
		if err := c.servers.limitFiles(ctx, f.Broker); err != nil {
			return err
		}
		sleep(ctx, f.For)
		f.For = 0
		return c.breakBrokers(ctx, f, "-9", f.Broker) // it may have ended by itself
	case schedule.KillController, schedule.RestartController:
		asking, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		controller, err := c.stream.controller(asking)
		if err != nil {
			return err
		}
		how := ""
		if f.Kind == schedule.KillController {
			how = "-9"
		}
		return c.breakBrokers(ctx, f, how, controller)
	case schedule.RestartDatabase:
		return c.servers.do(ctx, c.servers.backend+"-restart", "fast")
	case schedule.CrashDatabase:
		if err := c.servers.do(ctx, c.servers.backend+"-stop", "immediate"); err != nil {
			return err
		}
		sleep(ctx, f.For)
		return c.servers.do(ctx, c.servers.backend+"-start")
	case schedule.ClockForward:
		return c.database.moveLease(ctx, c.fleet.prefix, -time.Hour)
	case schedule.ClockBack:
		return c.database.moveLease(ctx, c.fleet.prefix, f.For)
	case schedule.Cut, schedule.Stall, schedule.Deafen, schedule.Slow:
		c.fleet.set(f.Slot, f.Server, map[schedule.Kind]network.State{
			schedule.Cut: network.Cut, schedule.Stall: network.Stalled, schedule.Deafen: network.Deaf, schedule.Slow: network.Slow}[f.Kind])
		sleep(ctx, f.For)
		c.fleet.set(f.Slot, f.Server, network.Open)
		return nil
	}
	return c.causeInStream(ctx, f)
}

func (c *campaign) causeInProcess(ctx context.Context, f schedule.Fault) error {
	if f.Kind == schedule.Scale {
		return c.scale(ctx, f.For)
	}
	s := c.fleet.places()[f.Slot]
	switch f.Kind {
	case schedule.Kill:
		c.fleet.kill(s)
	case schedule.Stop:
		c.fleet.stop(s)
	case schedule.Freeze:
		if !c.fleet.freeze(s) {
			return errGone
		}
		sleep(ctx, f.For)
		c.fleet.thaw(s)
		return nil
	case schedule.Long, schedule.Oversized:
		p := s.current()
		if p == nil {
			return errGone
		}
		if f.Kind == schedule.Oversized {
			return p.tell("oversized %d", maxMessage+1)
		}
		err := p.tell("long %v", f.For)
		sleep(ctx, f.For)
		return err
	}
	sleep(ctx, f.For)
	return c.fleet.start(s)
}

// scale runs two processes more for a while.
func (c *campaign) scale(ctx context.Context, lasting time.Duration) error {
	for _, s := range c.more {
		if err := c.fleet.start(s); err != nil {
			return err
		}
	}
	for _, s := range c.more {
		c.fleet.awaitReady(s)
	}
	sleep(ctx, lasting)
	for _, s := range c.more {
		c.fleet.stop(s)
	}
	return nil
}

// breakBrokers stops brokers, all at once, and starts them again.
func (c *campaign) breakBrokers(ctx context.Context, f schedule.Fault, how string, numbers ...int) error {
	var args []string
	if how != "" {
		args = append(args, how)
	}
	var failed error
	var mu sync.Mutex
	each := func(do func(number string) error) {
		var all sync.WaitGroup
		for _, n := range numbers {
			all.Go(func() {
				if err := do(strconv.Itoa(n)); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			})
		}
		all.Wait()
	}
	c.history.say("       stopping brokers %v", numbers)
	each(func(n string) error { return c.servers.do(ctx, append([]string{"kafka-stop", n}, args...)...) })
	sleep(ctx, f.For)
	each(func(n string) error { return c.servers.do(ctx, "kafka-start", n) })
	c.history.say("       brokers %v run again", numbers)
	return failed
}

func (c *campaign) causeInStream(ctx context.Context, f schedule.Fault) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	switch f.Kind {
	case schedule.Abort:
		return c.stream.abort(ctx)
	case schedule.Undecodable:
		return c.stream.undecodable(ctx)
	case schedule.Large:
		return c.stream.large(ctx)
	case schedule.Grow:
		return c.stream.grow(ctx)
	case schedule.Trim:
		return c.stream.trim(ctx)
	}
	return fmt.Errorf("nobody knows how to cause %q", f.Kind)
}

// repair makes everything run again.
func (c *campaign) repair(ctx context.Context) error {
	c.fleet.set(schedule.All, schedule.All, network.Open)
	for n := range brokers {
		if err := c.servers.do(ctx, "kafka-start", strconv.Itoa(n+1)); err != nil {
			return err
		}
	}
	if c.servers.database != "" {
		if err := c.servers.do(ctx, c.servers.backend+"-start"); err != nil {
			return err
		}
	}
	for _, s := range c.fleet.places() {
		c.fleet.thaw(s)
	}
	for _, s := range c.fleet.places()[:c.options.Processes] {
		if s.current() == nil {
			if err := c.fleet.start(s); err != nil {
				return err
			}
		}
		c.fleet.awaitReady(s)
	}
	for _, s := range c.more {
		c.fleet.stop(s)
	}
	return c.fleet.died()
}
