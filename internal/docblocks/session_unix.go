//go:build unix

package docblocks

import (
	"bytes"
	"context"
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
)

// Session is what a reader of a page has before them: a folder that was empty
// at first, and a shell that remembers exported variables and the folder it
// is in.
type Session struct {
	dir, root string // the page's folder, and the project's
	state     string // a folder for what the shell remembers
	env       []string
	here      func(string) string
	groups    []int // process groups, for what was left in the background
}

// NewSession makes a session in an empty folder. root is the project's folder.
// env is the environment; here turns the addresses of a text into those of the
// servers that there are.
func NewSession(dir, root string, env []string, here func(string) string) (*Session, error) {
	s := &Session{dir: filepath.Join(dir, "page"), root: root, state: filepath.Join(dir, "state"), env: env, here: here}
	return s, errors.Join(os.Mkdir(s.dir, 0o777), os.Mkdir(s.state, 0o777))
}

// Close ends what the page's commands have left running.
func (s *Session) Close() {
	for _, group := range s.groups {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}

// Save writes a block into the page's folder under its name.
func (s *Session) Save(b Block) error {
	return os.WriteFile(filepath.Join(s.dir, b.File), []byte(s.here(b.Text)), 0o666)
}

// Shell runs a block of commands. It ends at the first that fails.
func (s *Session) Shell(ctx context.Context, b Block) error {
	script := filepath.Join(s.state, "script")
	if err := os.WriteFile(script, []byte(s.here(b.Script())), 0o666); err != nil {
		return err
	}
	command := exec.CommandContext(ctx, "bash", "-c", `set -euo pipefail
if [[ -e $1/env ]]; then . "$1/env"; fi
if [[ -n $2 ]]; then cd "$2"; elif [[ -e $1/pwd ]]; then cd "$(<"$1/pwd")"; fi
if [[ -z $2 ]]; then trap 'pwd >"'"$1"'/pwd"; export -p >"'"$1"'/env"' EXIT; else trap 'export -p >"'"$1"'/env"' EXIT; fi
. "$1/script"`, "bash", s.state, "")
	if b.Tree {
		command.Args[len(command.Args)-1] = s.root
	}
	command.Dir = s.dir
	return s.run(ctx, command, b)
}

// Program runs a program in the page's folder.
func (s *Session) Program(ctx context.Context, binary string, b Block) error {
	command := exec.CommandContext(ctx, binary)
	command.Dir = s.dir
	return s.run(ctx, command, b)
}

// run runs a command in a process group of its own, interrupts it when it has
// printed what the block says, and checks how it ends.
func (s *Session) run(ctx context.Context, command *exec.Cmd, b Block) error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	out := newWatched(b.Until)
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		_, _ = io.Copy(out, read)
		read.Close()
	}()
	command.Env, command.Stdout, command.Stderr = s.env, write, write
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	err = command.Start()
	write.Close()
	if err != nil {
		<-copied
		return err
	}
	group := command.Process.Pid
	s.groups = append(s.groups, group)
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	interrupted := false
	select {
	case err = <-ended:
	case <-out.seen:
		interrupted = true
		_ = syscall.Kill(-group, syscall.SIGINT)
		err = <-ended
	}
	select { // what is in the pipe yet; a process in the background keeps it open
	case <-copied:
	case <-time.After(500 * time.Millisecond):
	}
	code := command.ProcessState.ExitCode()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("did not end in time: %w", ctx.Err())
	case b.Until != "" && !interrupted:
		err = fmt.Errorf("ended (code %d) and has not printed %q", code, b.Until)
	case code == b.Exit:
		return nil
	case err == nil:
		err = fmt.Errorf("exit code 0, not %d", b.Exit)
	}
	return fmt.Errorf("%w; it printed:\n%s", err, out.text())
}

// watched collects what is written and tells when it has a text.
type watched struct {
	want []byte
	seen chan struct{} // closed then; never if want is empty

	mu    sync.Mutex
	all   bytes.Buffer // guarded by mu
	found bool         // guarded by mu
}

func newWatched(want string) *watched {
	return &watched{want: []byte(want), seen: make(chan struct{})}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(p)
	if !w.found && len(w.want) > 0 && bytes.Contains(w.all.Bytes(), w.want) {
		w.found = true
		close(w.seen)
	}
	return len(p), nil
}

func (w *watched) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.TrimSpace(w.all.String())
}
