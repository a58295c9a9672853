// Package interop has the tests of the library against the official Go SDK of
// CloudEvents, over the embedded broker. It is a module of its own, so that
// what the SDK and its Kafka client depend on stays out of the library's
// go.mod. The command fixtures writes what internal/cloudevents tests itself
// with.
package interop
