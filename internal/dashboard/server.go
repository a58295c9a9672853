package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// Server is a Prometheus of our own, on the loopback interface.
type Server struct {
	url    string
	folder string
	cmd    *exec.Cmd
	log    bytes.Buffer // read after the process has ended
	client http.Client
}

// Start starts Prometheus, which scrapes target every second and evaluates the
// rules of the file. It returns when it answers. The error is exec.ErrNotFound
// (errors.Is) where Prometheus is not installed.
func Start(ctx context.Context, target, rules string) (*Server, error) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, err
	}
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	if rules, err = filepath.Abs(rules); err != nil {
		return nil, err
	}
	s := &Server{url: "http://" + address}
	if s.folder, err = os.MkdirTemp("", "prometheus"); err != nil {
		return nil, err
	}
	config := filepath.Join(s.folder, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs: [{job_name: shop, static_configs: [{targets: [%q]}]}]\n", rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	s.cmd = exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(s.folder, "data"),
		"--web.listen-address="+address, "--log.level=warn")
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.folder))
	}
	if err := poll(ctx, time.Minute, func() error { return s.get(ctx, "/-/ready", nil, nil) }); err != nil {
		stopped := s.Stop()
		return nil, fmt.Errorf("prometheus does not answer: %w\n%s", errors.Join(err, stopped), s.log.String())
	}
	return s, nil
}

// Stop ends it and removes its data.
func (s *Server) Stop() error {
	s.client.CloseIdleConnections()
	killed := s.cmd.Process.Kill() // nothing that is worth being written
	_ = s.cmd.Wait()               // says that it was killed
	return errors.Join(killed, os.RemoveAll(s.folder))
}

// Series is what a query has found.
type Series struct {
	Metric map[string]string
	Values []Sample
}

// Sample is a value at a time, in seconds.
type Sample struct{ At, Value float64 }

// UnmarshalJSON reads [time, "value"].
func (s *Sample) UnmarshalJSON(text []byte) (err error) {
	var value string
	if err := json.Unmarshal(text, &[2]any{&s.At, &value}); err != nil {
		return err
	}
	s.Value, err = strconv.ParseFloat(value, 64)
	return err
}

// Query evaluates an expression now. The error says if it cannot be parsed.
func (s *Server) Query(ctx context.Context, expr string) ([]Series, error) {
	var answer struct{ Result []Series }
	err := s.get(ctx, "/api/v1/query", url.Values{"query": {expr}}, &answer)
	return answer.Result, err
}

// QueryRange evaluates it again and again from one time to another.
func (s *Server) QueryRange(ctx context.Context, expr string, from, to time.Time, step time.Duration) ([]Series, error) {
	var answer struct{ Result []Series }
	at := func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }
	err := s.get(ctx, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {at(from)}, "end": {at(to)}, "step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	}, &answer)
	return answer.Result, err
}

// Rule is an alert as Prometheus has loaded it.
type Rule struct {
	Name        string
	Query       string
	Health      string // "ok" once it was evaluated without error
	LastError   string
	Annotations map[string]string
	Labels      map[string]string
}

// Rules are all that were loaded.
func (s *Server) Rules(ctx context.Context) (rules []Rule, err error) {
	var answer struct{ Groups []struct{ Rules []Rule } }
	err = s.get(ctx, "/api/v1/rules", nil, &answer)
	for _, group := range answer.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules, err
}

// get asks the API; data is where the answer's data go, nil for an answer that
// is no JSON.
func (s *Server) get(ctx context.Context, path string, query url.Values, data any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if data == nil {
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	}
	answer := struct {
		Data  any
		Error string
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}

// FreeAddress is one that nobody listens at now.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// poll calls do until it succeeds, for limit at most.
func poll(ctx context.Context, limit time.Duration, do func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := do()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
