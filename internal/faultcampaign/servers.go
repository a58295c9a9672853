//go:build linux

package faultcampaign

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/seed46dd6f11/events/internal/faultcampaign/service"
)

// servers are the brokers and the database, as scripts/services starts them: two
// instances, since that works on one after the other in each.
type servers struct {
	root, name string
	backend    string
	owned      bool // started by the campaign, which removes them
	log        *os.File

	brokers  []string // host:port, of broker 1 first
	dsn      string
	database string // host:port, "" for SQLite
	run      string // the instance's folder
}

// startServers starts what the campaign needs, or finds it.
func startServers(ctx context.Context, o Options) (_ *servers, err error) {
	s := &servers{root: o.Root, name: o.Servers, backend: o.Backend, owned: o.Servers == ""}
	if s.owned {
		s.name = fmt.Sprintf("faults-%d", os.Getpid())
	}
	if s.log, err = os.Create(filepath.Join(o.Folder, "servers.log")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	owner := []string{}
	if s.owned { // a later "up" removes them if this process is killed
		owner = []string{"--owner", fmt.Sprint(os.Getpid())}
	}
	if err := s.do(ctx, append([]string{"up", "--kafka-only", "--brokers", fmt.Sprint(brokers)}, owner...)...); err != nil {
		return nil, err
	}
	if s.backend != service.SQLite {
		if err := s.do(ctx, append([]string{"up", "--" + s.backend + "-only"}, owner...)...); err != nil {
			return nil, err
		}
	}
	return s, s.find(ctx, o.Folder)
}

// databaseName is the name of the instance with the database.
func (s *servers) databaseName() string { return s.name + "-db" }

// do runs scripts/services on one of the instances.
func (s *servers) do(ctx context.Context, args ...string) error {
	name := s.name
	if s.backend != service.SQLite && slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, s.backend) }) {
		name = s.databaseName()
	}
	command := s.command(ctx, name, args...)
	command.Stdout, command.Stderr = s.log, s.log
	if err := command.Run(); err != nil {
		return fmt.Errorf("scripts/services %s: %w; see %s", strings.Join(args, " "), err, s.log.Name())
	}
	return nil
}

func (s *servers) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, filepath.Join(s.root, "scripts/services"), append(args, "--name", name)...)
	// Variables of other servers would be used instead.
	command.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc([]string{"EVENTS_SERVICES", "EVENTS_KAFKA_BROKERS=", "EVENTS_POSTGRES_DSN=", "EVENTS_MYSQL_DSN="}, func(name string) bool { return strings.HasPrefix(v, name) })
	})
	command.Env = append(command.Env, "EVENTS_DOCKER=off") // containers have no brokers to kill one by one
	return command
}

var exported = regexp.MustCompile(`(?m)^export (\w+)='(.*)'$`)

// find asks where the servers are.
func (s *servers) find(ctx context.Context, folder string) error {
	kafka, err := s.variables(ctx, s.name)
	if err != nil {
		return err
	}
	s.brokers, s.run = strings.Split(kafka["EVENTS_KAFKA_BROKERS"], ","), kafka["EVENTS_SERVICES_RUN"]
	if len(s.brokers) != brokers {
		return fmt.Errorf("the servers %s have %d brokers, not %d", s.name, len(s.brokers), brokers)
	}
	if s.backend == service.SQLite {
		s.dsn = filepath.Join(folder, "service.db")
		return nil
	}
	database, err := s.variables(ctx, s.databaseName())
	if err != nil {
		return err
	}
	s.dsn = database["EVENTS_"+strings.ToUpper(s.backend)+"_DSN"]
	if s.database = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(s.dsn); s.database == "" {
		return fmt.Errorf("the servers %s have no database", s.databaseName())
	}
	return nil
}

// variables are those that scripts/services prints for an instance.
func (s *servers) variables(ctx context.Context, name string) (map[string]string, error) {
	command := s.command(ctx, name, "env")
	command.Stderr = s.log
	text, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("scripts/services env: %w", err)
	}
	variables := map[string]string{}
	for _, found := range exported.FindAllStringSubmatch(string(text), -1) {
		variables[found[1]] = found[2]
	}
	return variables, nil
}

// limitFiles takes from a broker the right to make files longer: its writes fail
// as on a disk that is full, without a disk that has to be filled, and given back
// when the campaign is killed. The limit ends with the process.
func (s *servers) limitFiles(ctx context.Context, broker int) error {
	text, err := os.ReadFile(filepath.Join(s.run, fmt.Sprintf("kafka-%d.pid", broker)))
	if err != nil {
		return err
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	command := exec.CommandContext(ctx, "prlimit", "--pid", pid, "--fsize=1:1")
	command.Stdout, command.Stderr = s.log, s.log
	return command.Run()
}

// stop removes what the campaign has started. It needs no context: it must
// happen.
func (s *servers) stop() {
	if s.owned {
		for _, name := range []string{s.name, s.databaseName()} {
			command := s.command(context.Background(), name, "down")
			command.Stdout, command.Stderr = s.log, s.log
			_ = command.Run() // the log says why; a later "up" tries again
		}
	}
	_ = s.log.Close()
}
