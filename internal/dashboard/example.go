package dashboard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Example is examples/orders in a process of its own, with metrics to scrape.
type Example struct {
	Address string // of its metrics

	folder string
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
	err    error // written before ended is closed
}

// StartExample builds the example and starts it for a time, as arguments say
// beside that. root is the module's.
func StartExample(ctx context.Context, root string, lasting time.Duration, arguments ...string) (*Example, error) {
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	e := &Example{Address: address, ended: make(chan struct{})}
	if e.folder, err = os.MkdirTemp("", "example"); err != nil {
		return nil, err
	}
	program := filepath.Join(e.folder, "orders")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./examples/orders")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build examples/orders: %w\n%s", err, output), os.RemoveAll(e.folder))
	}
	e.cmd = exec.Command(program, append([]string{"-metrics", address, "-for", lasting.String()}, arguments...)...)
	e.cmd.Stdout, e.cmd.Stderr = &e.output, &e.output
	if err := e.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(e.folder))
	}
	go func() {
		e.err = e.cmd.Wait()
		close(e.ended)
	}()
	return e, nil
}

// Wait returns when it has ended by itself, with what it says is wrong.
func (e *Example) Wait(ctx context.Context) error {
	select {
	case <-e.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if e.err != nil {
		return fmt.Errorf("examples/orders: %w\n%s", e.err, e.output.String())
	}
	return nil
}

// Stop ends it if it still runs.
func (e *Example) Stop() error {
	select {
	case <-e.ended:
	default:
		if err := e.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-e.ended
	}
	return os.RemoveAll(e.folder)
}
