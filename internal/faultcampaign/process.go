//go:build linux

package faultcampaign

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

// process is one process of the service. A child is this program again.
type process struct {
	config  service.Config
	command *exec.Cmd
	log     string // its file
	ready   chan struct{}
	done    chan struct{} // closed when it has ended, and err is set
	err     error
	reports chan service.Report

	mu    sync.Mutex
	stdin io.WriteCloser
	// ending: the campaign wants it to end, so that its end is no violation.
	ending bool
}

// errGone says that the process has ended.
var errGone = errors.New("the process has ended")

// startProcess starts a process and does not wait until it is ready.
func startProcess(config service.Config, folder string) (*process, error) {
	p := &process{config: config, log: filepath.Join(folder, config.Name+".log"),
		ready: make(chan struct{}), done: make(chan struct{}), reports: make(chan service.Report, 1)}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	variable, err := config.Environment()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.command = exec.Command(program)
	p.command.Env = append(os.Environ(), variable, "GOTRACEBACK=all")
	p.command.Stderr = log
	p.command.SysProcAttr = childAttributes() // an interrupt in the terminal is for the campaign, which ends its children
	if p.stdin, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.listen(out)
		p.err = p.command.Wait()
		close(p.done)
	}()
	return p, nil
}

// listen reads what the process says.
func (p *process) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "ready":
			close(p.ready)
		case "report":
			var r service.Report
			if json.Unmarshal([]byte(rest), &r) == nil {
				select {
				case p.reports <- r:
				default: // nobody waits for it any more
				}
			}
		}
	}
}

// tell sends a line to the process.
func (p *process) tell(format string, args ...any) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintf(p.stdin, format+"\n", args...); err != nil {
		return errGone
	}
	return nil
}

// end says that the process is to end now.
func (p *process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ending = true
}

// kill ends the process at once.
func (p *process) kill() {
	p.end()
	_ = p.command.Process.Kill() // it also ends what is frozen
	<-p.done
}

func (p *process) signal(s syscall.Signal) error { return p.command.Process.Signal(s) }

// stop ends the process in order; false if that takes too long.
func (p *process) stop(limit time.Duration) bool {
	p.end()
	if p.tell("stop") != nil {
		return true
	}
	select {
	case <-p.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// report asks how much the process uses.
func (p *process) report(limit time.Duration) (service.Report, error) {
	select {
	case <-p.reports: // of somebody who has given up
	default:
	}
	if err := p.tell("report"); err != nil {
		return service.Report{}, err
	}
	select {
	case r := <-p.reports:
		return r, nil
	case <-p.done:
		return service.Report{}, errGone
	case <-time.After(limit):
		return service.Report{}, fmt.Errorf("no report within %v", limit)
	}
}

// ended returns how the process has ended, if nobody wanted it to.
func (p *process) ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ending {
		return nil
	}
	return fmt.Errorf("process %s has ended by itself (%v); see %s", p.config.Name, p.err, p.log)
}

// childAttributes: a process group of its own, and its end with the campaign's,
// also when it is frozen.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
