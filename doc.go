// Package events produces typed events inside SQL transactions and consumes
// them from Kafka: what a service changes in its database and what it tells
// other services happen both or not at all.
//
// # The pieces
//
// A [Library] is the one object of a service. It is made in a package variable
// or init(), told about handlers there, connected to the database and the
// brokers with Configure in main(), and started:
//
//	var (
//		lib     = eventpg.NewLibrary()
//		billing = events.NewConsumerGroup("billing")
//		placed  = eventpg.BindTopic[OrderPlaced]("orders.placed")
//	)
//
//	func init() {
//		lib.ConsumeExactlyOnce(billing, eventmodels.OnFailureBlock, "invoice", placed.HandlerTx(invoice))
//	}
//
//	func main() {
//		db, err := eventpg.Open(ctx, dsn, eventpg.WithMigrate())
//		...
//		lib.Configure(db, nil, false, nil, nil, brokers)
//		relayDone, err := lib.CatchUpProduce(ctx, time.Second, 500)
//		...
//		consumed := lib.StartConsumingOrPanic(ctx)
//		err = db.Transact(ctx, func(tx *eventpg.Tx) error {
//			... // change rows
//			tx.Produce(placed.Event(order.ID, OrderPlaced{...}))
//			return nil
//		})
//		...
//		cancel()
//		<-consumed
//		<-relayDone
//	}
//
// # Guarantees
//
//   - tx.Produce: the event reaches Kafka if and only if the transaction
//     commits, at least once; events of one key in the order of the commits, for
//     transactions that hold a common exclusive row lock at COMMIT.
//   - ConsumeIdempotent: every event reaches one instance of the group at least
//     once. A new group starts at the beginning of the topic.
//   - ConsumeExactlyOnce: the handler's SQL effects happen once per group,
//     handler and event, within 30 days after the handling.
//   - ConsumeBroadcast: every event appended after the consumer has started
//     reaches every running instance.
//
// The README has these with their limits.
//
// # Life cycle
//
// A Library is new, configured, running, draining, stopped, in this order.
// Setters and Consume* are for the time before it runs. When the contexts
// given to StartConsuming and CatchUpProduce end, it drains: no handler
// starts any more, running ones get their time, what is done is committed, the
// relay makes a last pass, and the channels close. [Library.Shutdown] does the
// same with a limit, closes the connections, and says what it had to abandon.
package events
