package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
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
	out    string         // a folder; "": none
	quote  string         // a page that quotes figures; "": none
	list   bool
	// limit is when no further measurement begins, after the start; 0: never.
	limit time.Duration
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
	flags.StringVar(&args.out, "o", "", "write the report into this `folder`: README.md and pictures")
	flags.StringVar(&args.quote, "quote", "", "with -o, also replace the figures of this `page`, between its marks")
	flags.StringVar(&args.runner.Profiles, "profiles", "", "write CPU and allocation profiles of each trial to this `folder`")
	flags.DurationVar(&args.limit, "limit", 0, "begin no measurement that would end after this time, as far as that is known; the report tells what is left out")
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
	flags.Func("run", "only measurements whose name matches this `regexp`; all but growth if it is not given, and all for .", expression(&args.only))
	flags.Func("contender", "only contenders whose name matches this `regexp`", expression(&args.runner.Only))
	if err := flags.Parse(from); err != nil {
		return args, err
	}
	if flags.NArg() > 0 || args.runner.Rounds < 1 || args.quote != "" && args.out == "" {
		err := errors.New("bench: there are no arguments but flags, -rounds is at least 1, and -quote needs -o")
		fmt.Fprintln(os.Stderr, err)
		return args, err
	}
	return args, nil
}

// chosen are the measurements that the arguments ask for.
func (args arguments) chosen(b bench) []compare.Measurement {
	if args.only == nil {
		return b.measurements()
	}
	return slices.DeleteFunc(append(b.measurements(), b.growth()...), func(m compare.Measurement) bool {
		return !args.only.MatchString(m.Name)
	})
}

// run makes the measurements, prints each result as soon as it is there, and
// writes the report, also of those that were made before an error.
func run(ctx context.Context, args arguments) error {
	if args.list {
		for _, m := range args.chosen(bench{size: args.size}) {
			fmt.Printf("%-28s %s\n", m.Name, m.Title)
		}
		return nil
	}
	s, err := servers.FromEnv(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	report := compare.Report{Title: "Speed, compared", Reading: howToRead}
	if report.Facts, err = args.facts(ctx, s); err != nil {
		return err
	}
	runner := args.runner
	runner.Progress = progress
	var (
		errs  []error
		begun = time.Now()
	)
	chosen := args.chosen(bench{servers: s, size: args.size})
	if args.size == full && len(chosen) > 0 {
		errs = append(errs, runner.Warm(ctx, chosen[0]))
	}
	for _, m := range chosen {
		if ctx.Err() != nil || args.limit > 0 && time.Since(begun)+m.Lasts > args.limit {
			report.LeftOut = append(report.LeftOut, m.Name)
			continue
		}
		result, err := runner.Run(ctx, m)
		report.Results = append(report.Results, result)
		errs = append(errs, err, result.Write(os.Stdout))
		// After each one: an interrupt or a crash costs the rest alone.
		errs = append(errs, args.write(report))
	}
	fmt.Fprintf(os.Stderr, "bench: took %v\n", time.Since(begun).Round(time.Second))
	return errors.Join(append(errs, args.write(report))...)
}

// write writes the report where the arguments say so.
func (args arguments) write(report compare.Report) error {
	if args.out == "" || len(report.Results) == 0 {
		return nil
	}
	if err := report.WriteFolder(args.out); err != nil || args.quote == "" {
		return err
	}
	return report.Quote(args.quote, args.out)
}

func (args arguments) facts(ctx context.Context, s *servers.Servers) ([]string, error) {
	facts, err := s.Facts(ctx)
	if err != nil {
		return nil, err
	}
	facts = append(compare.Machine(), facts...)
	facts = append(facts,
		strings.Join(compare.Versions("github.com/twmb/franz-go", "github.com/segmentio/kafka-go", "github.com/jackc/pgx/v5",
			"github.com/ThreeDotsLabs/watermill", "github.com/ThreeDotsLabs/watermill-kafka/v3", "github.com/ThreeDotsLabs/watermill-sql/v3",
			"github.com/IBM/sarama"), ", "),
		fmt.Sprintf("%s, rounds: %d; broker, database and this program share the machine", time.Now().UTC().Format("2006-01-02 15:04 MST"), args.runner.Rounds))
	if args.size != full {
		facts = append(facts, "SHORT: too little work to compare anything")
	}
	return facts, nil
}

// howToRead says how the report is read.
var howToRead = []string{
	"Of each round's rate the report has minimum, median and maximum; of everything else the median. A ratio is one of medians. Contenders take turns in every round, on new topics and emptied, vacuumed tables after a checkpoint; each round begins with another one. Before the first measurement there is a round that does not count.",
	"Ratios differ between runs, too, as the load of a machine's neighbours does: those of two runs on one day by more than a third of the larger one. Run it more than once before a small difference means something.",
	"The rates are those of a machine whose few CPUs run broker, database and client at the same time: what one of them saves the others get. What counts is the ratio.",
	"Allocations, bytes, CPU time (user and system) and memory are of the whole process of the client, what it does in the background included. Memory is the most that Go's runtime had from the system at a time.",
	"Where less is better the ratio is below 1; the second part of the picture has it the other way round, so that right is faster in both.",
	"A peer that is marked bare, pipelined or unnest does the least that the same promise needs, without what a library does around it: it is a limit, not an alternative.",
}

// progress tells the waiting user of a trial, on the error stream.
func progress(m compare.Measurement, round int, contender string, s compare.Sample, err error) {
	result := fmt.Sprintf("%.0f %s/s", s.Rate(), m.Unit)
	if err != nil {
		result = err.Error()
	}
	fmt.Fprintf(os.Stderr, "%s, round %d, %s: %s\n", m.Name, round+1, contender, result)
}
