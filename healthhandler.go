package events

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// healthTimeout bounds how long a probe waits for the servers.
const healthTimeout = 5 * time.Second

// HealthHandler serves Library.Health for probes: at a path that ends in /live
// the status is 200 or 503 by Health.Live, at one that ends in /ready, and at
// every other, by Health.Ready. The body is the whole report in JSON. It names
// topics, handlers and servers' errors, so it is for the inside.
//
//	mux.Handle("/health/", lib.HealthHandler())
//
// A process whose servers are away for a moment is still live: restarting it
// would not help. A liveness probe that asks /ready restarts all instances of a
// service at once when the database does.
func (l *Library[ID, TX, DB]) HealthHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
		defer cancel()
		h := l.Health(ctx)
		well := h.Ready
		if strings.HasSuffix(strings.TrimSuffix(r.URL.Path, "/"), "/live") {
			well = h.Live
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if !well {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(h) // the client has gone
	})
}
