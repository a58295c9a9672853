// Package dashboard is for trying what deploy/ has for operators: it reads the
// dashboard, and runs Prometheus and the example, so that the panels' and the
// alerts' expressions meet real series. It is no part of the library.
package dashboard
