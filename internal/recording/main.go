// Recording runs a command and draws what it prints, line by line and in its
// time, as a picture of a terminal that moves (an SVG with CSS animation,
// which ends with everything in place):
//
//	go build -o /tmp/orders ./examples/orders
//	go run ./internal/recording -title 'go run ./examples/orders' /tmp/orders > docs/demo.svg
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"time"
)

func main() {
	title := flag.String("title", "", "what the picture shows as the command; default: the command itself")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: recording [-title TEXT] COMMAND [ARGUMENT...] > PICTURE.svg\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	lines, err := record(exec.CommandContext(ctx, flag.Arg(0), flag.Args()[1:]...))
	if err != nil {
		log.Fatal(err)
	}
	if *title == "" {
		*title = flag.Arg(0)
	}
	if _, err := os.Stdout.Write(draw(*title, lines)); err != nil {
		log.Fatal(err)
	}
}

// line is what was printed, and how long after the beginning.
type line struct {
	text string
	at   time.Duration
}

// record runs a command and notes what it prints to stdout and stderr. A
// command that fails is an error: its picture would not be worth showing.
func record(command *exec.Cmd) ([]line, error) {
	out, in := io.Pipe()
	command.Stdout, command.Stderr = in, in
	began := time.Now()
	if err := command.Start(); err != nil {
		return nil, err
	}
	var lines []line
	read := make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			lines = append(lines, line{scanner.Text(), time.Since(began)})
		}
		// What is not read would block the command.
		_, _ = io.Copy(io.Discard, out)
		read <- scanner.Err()
	}()
	err := command.Wait()
	in.Close()
	if readErr := <-read; err == nil {
		err = readErr
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	return lines, nil
}
