// Package eventtest is the conformance suite that every database backend
// passes, on an embedded broker and on Kafka.
//
// A backend's test calls [Run] with a [Harness] that opens its database:
//
//	func TestConformance(t *testing.T) {
//		eventtest.Run(t, eventtest.Harness[eventmodels.StringEventID, *eventsqlite.Tx, *eventsqlite.DB]{
//			Brokers: broker.Addrs(),
//			Open:    func(t testing.TB) *eventsqlite.DB { ... },
//			Bind:    func(int) string { return "?" },
//		})
//	}
package eventtest
