// Package eventtest is for tests: of services that use the library, and of the
// library's own backends.
//
// # Tests of a service
//
// [Start] runs a service's Library on an embedded broker in one call, with the
// database that it is given; sqlitetest.Start brings one in memory. A test
// then does what users of the service do, and asks what came of it:
//
//	func TestInvoice(t *testing.T) {
//		lib := eventsqlite.NewLibrary()
//		shop.Register(lib) // the service's own code: handlers and settings
//		s, db := sqlitetest.Start(t, lib)
//
//		s.FailNth("invoice", 1, errors.New("the tax service is away"))
//		placeOrder(t, db, "order-1")
//
//		eventtest.Produced(s, shop.Invoiced).WithKey("order-1").Expect(1)
//	}
//
// [Service.WaitQuiet] waits until nothing is left to do, so that tests need no
// pauses: all that follows from an event has happened then, through the outbox,
// Kafka and all handlers. [Produced] looks at a topic as Kafka has it.
// [Service.FailNth] and [Service.RedeliverNth] are the faults that every
// handler must cope with; those of the broker are methods of [Service].Broker.
//
// What takes time is tested in a bubble of testing/synctest, where minutes
// take milliseconds, with go test -tags synctests; [Service.Advance] lets time
// pass.
//
// # The conformance suite
//
// [Run] is what every database backend passes, on the embedded broker and on
// Kafka. A backend's test calls it with a [Harness] that opens its database.
package eventtest
