// Package kafka is the only place that talks to Kafka. It wraps franz-go:
// what it adds are this library's choices (DESIGN.md says why), not another
// client.
package kafka
