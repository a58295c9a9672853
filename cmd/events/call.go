package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed46dd6f11/events"
)

// call is one run of a command.
type call struct {
	terminal
	set  *flag.FlagSet
	args []string

	// Flags of the connection.
	brokers, group, dsn, prefix, sasl, tls string
	// Flags of some commands.
	json, yes, dryRun, all     bool
	topic, handler, cause      string
	state, since, until, after string
	limit                      int
	by, reason, payload        string
	wait                       time.Duration

	// What the texts above mean.
	brokerList           []string
	mechanism            events.SASLConfig
	tlsConfig            *events.TLSConfig
	states               []events.LetterState
	sinceTime, untilTime time.Time
	ids                  []events.LetterID

	now   time.Time
	close func() error // nil until the command has connected
}

// errHelp says that help was asked for and given.
var errHelp = flag.ErrHelp

// fromEnvironment are the flags that the environment can set. It is not their
// default, which the usage would show: a password may be in it.
var fromEnvironment = map[string]string{
	"brokers": "EVENTS_BROKERS", "group": "EVENTS_GROUP", "dsn": "EVENTS_DSN", "prefix": "EVENTS_PREFIX",
	"sasl": "EVENTS_SASL", "tls": "EVENTS_TLS", "by": "EVENTS_BY",
}

// execute reads the flags and runs the command.
func execute(ctx context.Context, t terminal, cmd *command, args []string) error {
	c := &call{terminal: t, now: time.Now(), set: flag.NewFlagSet("events "+cmd.name, flag.ContinueOnError)}
	c.set.SetOutput(io.Discard)
	c.set.BoolVar(&c.json, "json", false, "one JSON object per line")
	c.set.StringVar(&c.prefix, "prefix", "", "the `prefix` of topics and groups, and the outbox's scope (EVENTS_PREFIX)")
	for _, need := range cmd.needs {
		switch need {
		case "brokers":
			c.set.StringVar(&c.brokers, "brokers", "", "`addresses` of some brokers, host:port,... (EVENTS_BROKERS)")
			c.set.StringVar(&c.sasl, "sasl", "", "the SASL `mechanism`: none, plain:user:password, sha256:... or sha512:...; better in EVENTS_SASL")
			c.set.StringVar(&c.tls, "tls", "", "`JSON` of the TLS configuration, {} for the defaults (EVENTS_TLS)")
		case "group":
			c.set.StringVar(&c.group, "group", "", "the consumer `group` (EVENTS_GROUP)")
		case "dsn":
			c.set.StringVar(&c.dsn, "dsn", "", "the `database`: "+dsnForms+"; better in EVENTS_DSN")
		}
	}
	if cmd.flags != nil {
		cmd.flags(c)
	}
	if err := c.parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(t.out, "usage: events %s\n%s\n", strings.TrimSpace(cmd.name+" [flags] "+cmd.args), cmd.about)
			c.set.SetOutput(t.out)
			c.set.PrintDefaults()
			return errHelp
		}
		return &usageError{fmt.Sprintf("%v; see events %s -h", err, cmd.name)}
	}
	if err := c.check(cmd); err != nil {
		return err
	}
	err := cmd.run(ctx, c)
	if c.close != nil {
		err = errors.Join(err, c.close())
	}
	return err
}

// parse reads flags before and behind arguments, and fills in what the
// environment says.
func (c *call) parse(args []string) error {
	for len(args) > 0 {
		if err := c.set.Parse(args); err != nil {
			return err
		}
		rest := c.set.Args()
		if ended := len(args) - len(rest); ended > 0 && args[ended-1] == "--" {
			c.args = append(c.args, rest...)
			break
		}
		if len(rest) == 0 {
			break
		}
		c.args, args = append(c.args, rest[0]), rest[1:]
	}
	given := make(map[string]bool)
	c.set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, variable := range fromEnvironment {
		if value := c.getenv(variable); value != "" && !given[name] && c.set.Lookup(name) != nil {
			if err := c.set.Set(name, value); err != nil {
				return fmt.Errorf("%s: %w", variable, err)
			}
		}
	}
	return nil
}

// check reads what the flags' texts mean. No error quotes what may be a
// password.
func (c *call) check(cmd *command) (err error) {
	if c.prefix != "" && !events.LegalTopicNames.MatchString(c.prefix) {
		return &usageError{fmt.Sprintf("-prefix %q: a prefix has only the characters [-._a-zA-Z0-9]", c.prefix)}
	}
	for _, need := range cmd.needs {
		switch {
		case need == "brokers" && c.brokers == "":
			return &usageError{"-brokers (or EVENTS_BROKERS) is needed: host:port of some brokers"}
		case need == "group" && c.group == "" && cmd.name != "lag":
			return &usageError{"-group (or EVENTS_GROUP) is needed: the consumer group whose letters they are"}
		case need == "group" && c.group != "" && !events.LegalTopicNames.MatchString(c.group):
			return &usageError{fmt.Sprintf("-group %q: a name has only the characters [-._a-zA-Z0-9]", c.group)}
		case need == "dsn" && c.dsn == "":
			return &usageError{"-dsn (or EVENTS_DSN) is needed: " + dsnForms}
		}
	}
	for _, b := range strings.Split(c.brokers, ",") {
		if b = strings.TrimSpace(b); b != "" {
			c.brokerList = append(c.brokerList, b)
		}
	}
	if c.sasl != "" {
		if err := c.mechanism.UnmarshalText([]byte(c.sasl)); err != nil {
			return &usageError{"-sasl: " + err.Error()}
		}
	}
	if c.tls != "" {
		c.tlsConfig = new(events.TLSConfig)
		if err := json.Unmarshal([]byte(c.tls), c.tlsConfig); err != nil {
			return &usageError{"-tls: it is not JSON of events.TLSConfig: " + err.Error()}
		}
	}
	if c.sinceTime, err = c.moment("since", c.since); err != nil {
		return err
	}
	if c.untilTime, err = c.moment("until", c.until); err != nil {
		return err
	}
	if c.limit < 0 {
		return &usageError{fmt.Sprintf("-limit %d: it cannot be negative; 0 is no limit", c.limit)}
	}
	c.states, err = parseStates(c.state)
	return err
}

// moment reads a time, or how long ago it was.
func (c *call) moment(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil {
		return c.now.Add(-d.Abs()), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &usageError{fmt.Sprintf("-%s %q: want 2006-01-02, 2006-01-02T15:04:05Z, or how long ago, as 36h", name, text)}
}

// parseStates reads the value of -state.
func parseStates(text string) ([]events.LetterState, error) {
	all := []events.LetterState{events.LetterSaved, events.LetterWaiting, events.LetterReplaying, events.LetterDone, events.LetterDiscarded, events.LetterForeign}
	switch text {
	case "", "all":
		return nil, nil
	case "open":
		return events.OpenLetters, nil
	}
	var states []events.LetterState
	for _, word := range strings.Split(text, ",") {
		state := events.LetterState(strings.TrimSpace(word))
		if !slices.Contains(all, state) {
			return nil, &usageError{fmt.Sprintf("-state: %q is none of open, all, saved, waiting, replaying, done, discarded, foreign", word)}
		}
		states = append(states, state)
	}
	return states, nil
}

// line writes v as JSON in a line.
func (c *call) line(v any) error { return json.NewEncoder(c.out).Encode(v) }

// table writes rows in columns, under the words of head, if there are any.
func (c *call) table(head string) (row func(cells ...any), flush func() error) {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	row = func(cells ...any) {
		for i, cell := range cells {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, oneLine(fmt.Sprint(cell)))
		}
		fmt.Fprintln(w)
	}
	if head != "" {
		row(toAny(strings.Fields(head))...)
	}
	return row, w.Flush
}

func toAny(words []string) []any {
	cells := make([]any, len(words))
	for i, w := range words {
		cells[i] = w
	}
	return cells
}

// oneLine makes a text from somewhere one that does nothing to a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

func shorten(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// isTerminal says whether a file is a terminal.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
