// Bench compares this library with other clients of Kafka, with another outbox
// and with bare statements in PostgreSQL: all of them in turn, on the same
// servers, in one run. It prints what each has achieved and the ratio of the
// medians, and says which goals were reached. The library's own backends are
// compared with each other, too.
//
//	bench/run                        starts servers of its own; all that compares, 15 to 20 minutes
//	bench/run -o docs/speed          the same, and writes a report with pictures
//	bench/run -run . -o docs/speed -quote README.md
//	                                 with how the cost grows, too; README.md quotes the report
//	bench/run -run growth            only that
//	bench/run -short                 briefly: to see that it works
//	bench/run -run relay -rounds 5   measurements whose name matches
//	bench/run -list -run .           what there is
//
// It is a module of its own, so that those that the library is compared with
// stay out of the library's go.mod.
//
// What counts is the ratio. The rates are those of a machine that runs broker,
// database and client on the same few CPUs.
//
// A measurement is a function of bench that returns a [compare.Measurement], and
// has its place in the lists of bench.go. Its contenders share what Open makes;
// each trial begins with a new topic or an emptied, vacuumed table, after a
// checkpoint.
package main
