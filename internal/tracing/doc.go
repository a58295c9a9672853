// Package tracing makes the OpenTelemetry spans of the library, by the
// messaging conventions of OpenTelemetry's semantic conventions 1.43.0.
//
//	span              kind      made                                    parent
//	create <topic>    PRODUCER  when an event is produced in a          the context of the transaction,
//	                            transaction, or is one of several in    or of Produce
//	                            a call of Produce
//	send <topic>      PRODUCER  for a call of Produce with one event    the context of Produce
//	send <topic>      CLIENT    for one with several: links to their    the context of Produce
//	                            create spans
//	send <topic>      CLIENT    from when the relay has read an event   the event's create span
//	                            until Kafka has acknowledged it
//	send <topic>      CLIENT    while a dead letter is written              the event's create or send span
//	process <topic>   CONSUMER  for each attempt of a handler           the event's create or send span;
//	                                                                    of a batch none, but links
//
// What travels with an event, through the outbox row's headers and the
// record's, is the context of its create or send span, written by the
// configured propagator: W3C Trace Context and Baggage by default.
//
// A nil [Tracer] makes no spans and costs a comparison.
package tracing
