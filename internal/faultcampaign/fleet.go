//go:build linux

package faultcampaign

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
	"github.com/seed46dd6f11/events/internal/faultcampaign/network"
	"github.com/seed46dd6f11/events/internal/faultcampaign/schedule"
	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

const (
	readyLimit = 3 * time.Minute // a process may start while servers are away
	stopLimit  = 90 * time.Second
)

// slot is a place for a process: the one that comes after another has the same
// links.
type slot struct {
	number int
	// links are to the database (0) and to the brokers from 1; nil where there
	// is no server.
	links []*network.Link

	mu      sync.Mutex
	now     *process // nil: none
	started int
}

// fleet is the processes of the service.
type fleet struct {
	options Options
	servers *servers
	prefix  string
	history *history
	journal *service.Journal // the campaign's own

	mu    sync.Mutex
	slots []*slot
	all   []*process
}

// addSlot makes a place, with links of its own.
func (f *fleet) addSlot() (*slot, error) {
	targets := append([]string{f.servers.database}, f.servers.brokers...)
	s := &slot{links: make([]*network.Link, len(targets))}
	for i, target := range targets {
		if target == "" {
			continue
		}
		var err error
		if s.links[i], err = network.NewLink(target); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.number = len(f.slots)
	f.slots = append(f.slots, s)
	return s, nil
}

func (s *slot) close() error {
	for _, link := range s.links {
		if link != nil {
			link.Close()
		}
	}
	return nil
}

// places are all slots.
func (f *fleet) places() []*slot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]*slot(nil), f.slots...)
}

// start starts a process in the slot, which writes orders as soon as it is ready.
func (f *fleet) start(s *slot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	config := service.Config{
		Name: fmt.Sprintf("p%d.%d", s.number, s.started), Slot: s.number,
		Backend: f.options.Backend, DSN: f.servers.dsn, Brokers: f.servers.brokers, Routes: map[string]string{},
		Prefix: f.prefix, Keys: f.options.Keys, Verbose: f.options.Verbose,
		Seed: f.options.Seed ^ uint64(s.number)<<32 ^ uint64(s.started)<<48,
	}
	config.Journal = filepath.Join(f.options.Folder, config.Name+".journal")
	for i, broker := range f.servers.brokers {
		config.Routes[broker] = s.links[i+1].Addr()
	}
	if link := s.links[0]; link != nil {
		config.DSN = strings.Replace(config.DSN, f.servers.database, link.Addr(), 1)
	}
	p, err := startProcess(config, f.options.Folder)
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.all = append(f.all, p)
	f.mu.Unlock()
	s.now = p
	return p.tell("load %d", max(f.options.Rate/f.options.Processes, 1))
}

// current is the slot's process, or nil.
func (s *slot) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// vacate takes the process out of the slot.
func (s *slot) vacate() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.now
	s.now = nil
	return p
}

// awaitReady waits until the slot's process consumes.
func (f *fleet) awaitReady(s *slot) {
	p := s.current()
	if p == nil {
		return
	}
	select {
	case <-p.ready:
	case <-p.done:
	case <-time.After(readyLimit):
		f.history.violated("process %s is not ready after %v; see %s", p.config.Name, readyLimit, p.log)
	}
}

// kill ends the slot's process with SIGKILL.
func (f *fleet) kill(s *slot) {
	p := s.vacate()
	if p == nil {
		return
	}
	f.journal.Write(checker.Down{At: time.Now(), Instance: p.config.Name})
	p.kill()
}

// stop ends it in order.
func (f *fleet) stop(s *slot) {
	p := s.vacate()
	if p == nil {
		return
	}
	if !p.stop(stopLimit) {
		_ = p.signal(syscall.SIGQUIT) // the log gets the goroutines
		f.history.violated("process %s does not stop within %v; see %s", p.config.Name, stopLimit, p.log)
		f.journal.Write(checker.Down{At: time.Now(), Instance: p.config.Name})
		select {
		case <-p.done:
		case <-time.After(5 * time.Second):
			p.kill()
		}
		return
	}
	if p.err != nil {
		f.history.violated("process %s ended with %v; see %s", p.config.Name, p.err, p.log)
	}
}

// freeze and thaw are SIGSTOP and SIGCONT.
func (f *fleet) freeze(s *slot) bool { return s.signal(syscall.SIGSTOP) }
func (f *fleet) thaw(s *slot) bool   { return s.signal(syscall.SIGCONT) }

func (s *slot) signal(signal syscall.Signal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now != nil && s.now.signal(signal) == nil
}

// set changes the links that a fault of the network concerns.
func (f *fleet) set(number, server int, state network.State) {
	for _, s := range f.places() {
		if number != schedule.All && number != s.number {
			continue
		}
		for i, link := range s.links {
			if link != nil && (server == schedule.All || server == i) {
				link.Set(state)
			}
		}
	}
}

// died looks for processes that have ended by themselves, and starts others in
// their place.
func (f *fleet) died() error {
	for _, s := range f.places() {
		p := s.current()
		if p == nil {
			continue
		}
		if err := p.ended(); err != nil {
			f.history.violated("%v", err)
			f.journal.Write(checker.Down{At: time.Now(), Instance: p.config.Name})
			if err := f.start(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// quiet ends the load of all processes.
func (f *fleet) quiet() {
	for _, s := range f.places() {
		if p := s.current(); p != nil {
			_ = p.tell("load 0") // one that has ended is noticed by died
		}
	}
}

// killAll ends what runs, and so the wait for it.
func (f *fleet) killAll() {
	f.mu.Lock()
	all := f.all
	f.mu.Unlock()
	for _, p := range all {
		p.kill()
	}
}

// close kills what runs and closes the links.
func (f *fleet) close() {
	f.killAll()
	for _, s := range f.places() {
		_ = s.close()
	}
}
