// Package delivery brings fetched records to handlers, decides what becomes of
// each, and commits the offsets of what is done.
//
//	Source.Poll -> backlog -> admission -> queue -> worker -> verdict -> window -> Committer
//
// An [Engine] serves one consumer group, or one broadcast. It is told what the
// group owns by the methods of kafka.Assignments, fetches from a kafka.Source,
// and commits with a [Committer].
//
// # What is where
//
//	config.go limits.go     what an engine is made of, and every default
//	verdict.go outcome.go   what becomes of a delivery: a pure function, and what it is asked about
//	slots.go                how many deliveries run at once in the whole library
//	event.go queue.go retries.go backlog.go partition.go    the state's parts
//	scheduler.go admission.go finish.go hold.go flow.go     the state machine over them
//	deadline.go panic.go    the context and the panics of handlers
//	engine.go assignments.go drain.go                       life cycle
//	lane.go                 order of deliveries: by key, by partition
//	parts.go group.go judgement.go      batches that fail: how they are taken apart, where they wait, what each event gets
//	pausing.go              handlers that nothing is started of
//	sink.go postpone.go     deliveries that are done when something is written, or not run yet
//	poller.go committer.go timekeeper.go prober.go worker.go    the goroutines
//	observer.go report.go stats.go positions.go             seeing it work
//
// # Words
//
// An event is a record that was admitted to its partition's ack window. It has
// one delivery for every handler of its topic, and is done when each of them
// has its final verdict. What was fetched and does not fit waits, undecoded,
// in its partition's backlog.
//
// A partition here is a partition in one assignment. When it is revoked or lost
// its phase changes to ended for good, and another assignment is another
// partition with another epoch. A delivery belongs to its partition for ever,
// so that its result changes nothing once the epoch has ended; and it holds a
// slot of the ack window, which is worth nothing once a truncation has replaced
// the record.
//
// A delivery is in exactly one of these places:
//
//	queued    in its handler's queue, at most the queue's depth; it can run
//	due       a retry whose time has come, or what was parked, in its handler's list before the queue
//	running   in the hands of a worker; holds a slot
//	waiting   in the heap of retries, also if Run has postponed it; holds neither a slot nor a place in a queue
//	parked    with its partition, which is held until the servers answer
//	grouped   in a batch that has failed, which waits, is parked, due or running with others of its members
//	behind    in its lane, waiting for those in front of it
//	asked     with the prober: its final verdict waits for the servers' health
//	sent      with the sink, or waiting for it: its letter, or what Run has handed over, is to be written
//	stuck     blocked for good (no more attempts), until the partition moves or the process restarts
//	gone      has its final verdict, or its epoch or its window's slot has ended
//
// # Goroutines
//
//	poller        one per engine: polls, feeds the scheduler, pauses and resumes partitions at the source
//	committer     one per group's engine: commits what has advanced, on a short interval
//	timekeeper    one per engine: makes retries due, notices handlers that outlive their deadline, samples gauges
//	sink          one per engine with Config.Sink: hands it what is to be written, again until it is
//	prober        one per engine with Config.Healthy: asks it, for all who wait for the answer
//	workers       one per delivery or batch that runs: live while their handler has work and they have a slot
//
// Assigned, Revoked, Lost, Drain and Stop run on the caller's goroutine.
//
// # Batches
//
// A batch is what has queued up while all runs that are allowed were busy: the
// first runs of an idle handler have one event each. When a batch fails and the
// error does not say by which event (eventmodels.BatchError), it becomes a
// group, which keeps its members to itself: it runs once more as it is, and
// then in halves, in order, until each event that fails stands alone. Only an
// event that has run alone, or that the error names, has a verdict of its own
// and is counted; then it leaves the group, and so does what is revoked or
// replaced. What is nobody's fault (a server away, a conflict, a partition of
// the batch that is lost while it runs) is tried again by the same group
// without a step further. Time that is not counted is given back. A group holds
// no slot while it waits.
//
// An event that has failed alone runs alone from then on. If the servers turn
// out to be away when its final verdict is asked about, that is forgotten.
//
// # Lanes
//
// A handler with an Ordering has a lane for each key, or partition, of which
// something is not done. Only the first delivery of a lane is in one of the
// other places; a batch may take those that follow it along. A lane keeps its
// first one until that has its final verdict and, if it has a letter, until
// that is written. While the first one is tried again, the others take no room
// in the queue (they do in the window), so that other lanes go on.
//
// # On the way to the sink
//
// A delivery that is to have a letter, from the verdict on, counts among those
// that run of its partition: a revocation and a drain wait for it, and it may
// arrive while the epoch ends. When the epoch is over, or a truncation has
// replaced the record, the sink's answer changes nothing; the letter may have
// been written, and whoever owns the partition next writes it again.
//
// # Postponed deliveries
//
// Run may say that it will not handle an event yet ([NotBefore]). If the
// partition's window is full meanwhile, the oldest of these are run again, up
// to a hundred, to hand themselves to the sink instead, which writes
// them to the end of the log. None is asked before it has been here for
// Limits.PressAfter, and no more are woken before those have gone.
//
// # Locks
//
// The commit gate (a channel, held while a commit is on its way: "the lock of
// the revocation") comes before Engine.mu, which guards the scheduler and
// everything that it reaches; Engine.mu comes before Slots.mu; the lock of a
// handler's context is a leaf. Nothing waits, logs, or calls out with a lock
// held, but for the commit gate, in which the commit itself waits.
//
// A slot that becomes free can belong to another engine's handler next. The
// engine that frees it tells the other one after it has let go of its own lock.
package delivery
