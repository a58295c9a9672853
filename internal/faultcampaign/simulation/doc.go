// Package simulation runs whole services in one process and in virtual time
// while faults happen to them: several instances of the Library, the embedded
// broker on its virtual network, and a database in memory that fails
// (internal/faultcampaign/memorydb). At the end the checker
// (internal/faultcampaign/checker) says which promises were not kept.
//
// A seed is a run: [NewPlan] makes of it the world (how many brokers,
// partitions, instances, how much load), the schedule of faults, and what each
// handler does with each event (works, is slow, fails some times, panics,
// hangs, fails for good). [Run] carries it out, in a testing/synctest bubble.
//
// The same seed gives the same plan. What follows from it is as deterministic
// as Go's scheduler and the clients' own dice let it be: which of several
// goroutines that are ready at the same virtual instant runs first, which case
// of a select with several ready ones is taken, the order of maps, the jitter of
// backoffs and the ids that clients draw differ from run to run. So a seed that
// has failed may need a few runs to fail again; see the test's -repeat.
package simulation
