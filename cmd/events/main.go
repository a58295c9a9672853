// Command events looks at what this library's services leave behind, and acts
// on it: dead letters, parked events, the outbox, and how far consumers are
// behind.
//
//	events letters list      the letters of a group, those that failed last first
//	events letters causes    the problems that they have in common
//	events letters show      one letter, its history and its event
//	events letters replay    have letters handled once more
//	events letters discard   put letters aside
//	events letters reopen    undo discard
//	events parked list       the events that Kafka has refused for themselves
//	events parked requeue    put them back into the outbox
//	events parked discard    delete them
//	events outbox status     rows, parked rows, age of the oldest, who relays
//	events lag               how far consumer groups are behind
//
// Flags may stand before or behind arguments. Those of the connection can be set
// by the environment, too; a flag goes first:
//
//	-brokers  EVENTS_BROKERS  host:port,...            letters, lag
//	-group    EVENTS_GROUP    consumer group           letters; lag: default all
//	-dsn      EVENTS_DSN      the database                 parked, outbox
//	-prefix   EVENTS_PREFIX   of topics and groups; the outbox's scope
//	-sasl     EVENTS_SASL     none, plain:user:password, sha256:... or sha512:...
//	-tls      EVENTS_TLS      JSON as events.TLSConfig reads it; {} for the defaults
//	-by       EVENTS_BY       who acts; default USER   letters
//
// The database is postgres://..., mysql: or singlestore: and a data source name
// of go-sql-driver/mysql, or sqlite: and a file.
//
// Whatever touches more than one thing only shows what it would do, and how
// much, until it is told -yes.
//
// With -json each line of the output is one JSON object, whose fields are those
// of events.Letter (and "cursor"), events.LetterCause, events.LetterHistory,
// events.ReplayOutcome, events.ParkedEvent, events.OutboxStatus,
// events.PartitionLag, or, for what was done or would be, of this command's
// result: operation, dry_run, matched, done, skipped, failed, causes, errors.
//
// # Exit codes
//
//	0    done, or there was nothing to do
//	1    it failed
//	2    wrong usage
//	3    a part was not done: a letter was changed by somebody else, a replay failed
//	4    nothing was done, since -yes was missing
//	130  interrupted; what was done by then stays done
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
)

// The exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPart        = 3
	exitNeedsYes    = 4
	exitInterrupted = 130
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), interrupts...)
	code := run(ctx, terminal{os.Getenv, os.Stdout, os.Stderr, isTerminal(os.Stderr)}, os.Args[1:])
	stop()
	os.Exit(code)
}

// terminal is what a command has around it.
type terminal struct {
	getenv      func(string) string
	out, err    io.Writer
	interactive bool // err is shown to a person
}

// command is a subcommand.
type command struct {
	name  string // with its group: "letters list"
	args  string // for the usage
	about string
	run   func(ctx context.Context, c *call) error
	// flags adds the command's own.
	flags func(c *call)
	needs []string // of the connection
}

var commands = slices.Concat(letterCommands, parkedCommands, statusCommands)

// errPart says that a part was not done, and errNeedsYes that -yes is missing:
// both have been told.
var (
	errPart     = errors.New("a part was not done")
	errNeedsYes = errors.New("-yes is missing")
)

// usageError is the caller's mistake.
type usageError struct{ reason string }

func (e *usageError) Error() string { return e.reason }

// run runs a command and returns the exit code.
func run(ctx context.Context, t terminal, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help" {
		usage(t.out)
		return exitDone
	}
	for i := range commands {
		words := strings.Fields(commands[i].name)
		if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
			continue
		}
		err := execute(ctx, t, &commands[i], args[len(words):])
		return explain(ctx, t, err)
	}
	if seconds := behind(args[0]); len(args) == 1 && len(seconds) > 0 {
		fmt.Fprintf(t.err, "events: %s needs one of %s behind it; see events help\n", args[0], strings.Join(seconds, ", "))
		return exitUsage
	}
	fmt.Fprintf(t.err, "events: there is no command %q; see events help\n", strings.Join(args[:min(2, len(args))], " "))
	return exitUsage
}

// behind are the words that may follow the first one of a command.
func behind(first string) (seconds []string) {
	for _, c := range commands {
		if before, second, found := strings.Cut(c.name, " "); found && before == first {
			seconds = append(seconds, second)
		}
	}
	return seconds
}

// explain says what went wrong, and returns the exit code.
func explain(ctx context.Context, t terminal, err error) int {
	var wrong *usageError
	switch {
	case err == nil, errors.Is(err, errHelp):
		return exitDone
	case ctx.Err() != nil:
		fmt.Fprintln(t.err, "events: interrupted; what was done by then stays done")
		return exitInterrupted
	case errors.Is(err, errPart):
		return exitPart
	case errors.Is(err, errNeedsYes):
		return exitNeedsYes
	case errors.As(err, &wrong):
		fmt.Fprintln(t.err, "events:", err)
		return exitUsage
	}
	fmt.Fprintln(t.err, "events:", err)
	return exitFailed
}

func usage(out io.Writer) {
	fmt.Fprintln(out, "usage: events <command> [flags] [arguments]")
	fmt.Fprintln(out)
	for _, c := range commands {
		fmt.Fprintf(out, "  %-32s %s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	}
	fmt.Fprint(out, `
Flags of the connection, which the environment can set, too (EVENTS_BROKERS and so on):
-brokers, -group, -dsn, -prefix, -sasl, -tls; EVENTS_BY says who acts. "events <command> -h" lists a command's flags.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a part was not done, 4 -yes is missing, 130 interrupted.
`)
}
