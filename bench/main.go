package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/seed46dd6f11/events/bench/internal/compare"
	"github.com/seed46dd6f11/events/bench/internal/servers"
)

// arguments are those of the command line.
type arguments struct {
	runner compare.Runner
	size   size
	only   *regexp.Regexp // measurements
	out    string         // "": no file
	list   bool
}

func main() {
	args, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the first interrupt tidies up, the second one ends that
	if err := run(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// parse reads the arguments. It has told the user what is wrong with them when
// it returns an error.
func parse(from []string) (arguments, error) {
	args := arguments{size: full}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&args.runner.Rounds, "rounds", 3, "how often each contender has its turn")
	flags.StringVar(&args.out, "out", "", "also write the report to this `file`, as Markdown")
	flags.StringVar(&args.runner.Profiles, "profiles", "", "write CPU and allocation profiles of each trial to this `folder`")
	flags.BoolVar(&args.list, "list", false, "list the measurements and do nothing else")
	flags.BoolFunc("short", "about a second each: to see that it works, not to compare", func(string) error {
		args.size = short
		return nil
	})
	expression := func(into **regexp.Regexp) func(string) error {
		return func(text string) (err error) {
			*into, err = regexp.Compile(text)
			return err
		}
	}
	flags.Func("run", "only measurements whose name matches this `regexp`", expression(&args.only))
	flags.Func("contender", "only contenders whose name matches this `regexp`", expression(&args.runner.Only))
	if err := flags.Parse(from); err != nil {
		return args, err
	}
	if flags.NArg() > 0 || args.runner.Rounds < 1 {
		err := errors.New("bench: there are no arguments but flags, and -rounds is at least 1")
		fmt.Fprintln(os.Stderr, err)
		return args, err
	}
	return args, nil
}

// run makes the measurements, writes the results as they come, and at the end
// the file.
func run(ctx context.Context, args arguments) error {
	if args.list {
		for _, m := range (bench{size: args.size}).measurements() {
			fmt.Printf("%-16s %s\n", m.Name, m.Title)
		}
		return nil
	}
	s, err := servers.FromEnv(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	report, err := args.report(ctx, s)
	if args.out != "" {
		err = errors.Join(err, os.WriteFile(args.out, []byte(report), 0o644))
	}
	return err
}

// report makes the measurements and returns the report on those that were made,
// also with an error.
func (args arguments) report(ctx context.Context, s *servers.Servers) (string, error) {
	var report strings.Builder
	facts, err := args.facts(ctx, s)
	if err != nil {
		return "", err
	}
	if err := compare.WriteHead(&report, "Speed, compared", facts); err != nil {
		return "", err
	}
	printed := 0
	show := func() {
		fmt.Print(report.String()[printed:])
		printed = report.Len()
	}
	show()
	runner := args.runner
	runner.Progress = progress
	var errs []error
	for _, m := range (bench{servers: s, size: args.size}).measurements() {
		if args.only != nil && !args.only.MatchString(m.Name) || ctx.Err() != nil {
			continue
		}
		result, err := runner.Run(ctx, m)
		errs = append(errs, err, result.Write(&report))
		show()
	}
	return report.String(), errors.Join(errs...)
}

func (args arguments) facts(ctx context.Context, s *servers.Servers) ([]string, error) {
	facts, err := s.Facts(ctx)
	if err != nil {
		return nil, err
	}
	facts = append(compare.Machine(), facts...)
	facts = append(facts,
		strings.Join(compare.Versions("github.com/twmb/franz-go", "github.com/segmentio/kafka-go", "github.com/jackc/pgx/v5"), ", "),
		fmt.Sprintf("%s, rounds: %d; broker, database and this program share the machine", time.Now().UTC().Format("2006-01-02 15:04 MST"), args.runner.Rounds))
	if args.size != full {
		facts = append(facts, "SHORT: too little work to compare anything")
	}
	return facts, nil
}

// progress tells the waiting user of a trial, on the error stream.
func progress(m compare.Measurement, round int, contender string, s compare.Sample, err error) {
	result := fmt.Sprintf("%.0f %s/s", s.Rate(), m.Unit)
	if err != nil {
		result = err.Error()
	}
	fmt.Fprintf(os.Stderr, "%s, round %d, %s: %s\n", m.Name, round+1, contender, result)
}
