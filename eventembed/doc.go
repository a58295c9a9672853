// Package eventembed is a Kafka-protocol broker inside the process, for demos,
// quick starts and tests.
//
//	broker, err := eventembed.Start(eventembed.Topics(2, "orders"))
//	if err != nil {
//		return err
//	}
//	defer broker.Close()
//	// give broker.Addrs() to any Kafka client
//
// It starts in less than a millisecond, keeps its topics in memory or, with
// [InDir], in a directory, and speaks consumer groups (classic and KIP-848),
// idempotent and transactional producing, SASL and TLS. It is one process
// without replication: not a broker for production.
package eventembed
