// Bench compares this library with other clients of Kafka and with bare
// statements in PostgreSQL: all of them in turn, on the same servers, in one
// run. It prints what each has achieved and the ratio of the medians. The library's
// own backends are compared with each other, too.
//
//	bench/run                       starts servers of its own, and runs everything
//	bench/run -short                the same, briefly
//	bench/run -run relay -rounds 5  measurements whose name matches
//
// It is a module of its own, so that those that the library is compared with
// stay out of the library's go.mod.
//
// What counts is the ratio. The rates are those of a machine that runs broker,
// database and client on the same few CPUs.
package main
