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
//
// # Faults
//
// A test says which requests something shall happen to ([Match]) and what:
//
//	Fail           an error is answered, nothing is done
//	Drop           the connection ends, nothing is done
//	DropResponse   the connection ends after the request was done
//	Stall, Delay   the request waits before it is done
//	StallResponse  the answer waits, the request was done
//	Observe        nothing, but it is counted
//
// The [Fault] that each of them returns tells how often it has acted and can be
// waited for. [Broker.Cut] makes whole brokers unreachable. A [Dialer] cuts,
// stalls or slows all connections of one client.
//
// # Virtual time
//
// With a [Network] in the place of TCP, brokers and clients run in a bubble of
// testing/synctest. What has to be seen to:
//
//   - Build with -tags synctests: only then are franz-go's mutexes such that
//     the bubble's clock can go forward while a goroutine waits for one.
//   - Make the Network and the Broker inside the bubble, and close the Broker in
//     it: that releases what faults hold and ends all its goroutines.
//   - Give every client the network's DialContext, or a Dialer's.
//
// # Where it differs from Kafka
//
//   - message.timestamp.type=LogAppendTime is accepted and ignored: records
//     keep their producer's time.
//   - OffsetFetch for a group that does not exist is answered with error 69
//     (GROUP_ID_NOT_FOUND), where Kafka answers offset -1 without error.
//   - There is one copy of the data, whatever the replication factor. An
//     acknowledged record is never lost, and a leader change truncates nothing.
//   - Nothing moves by itself when a broker is cut: not the partitions that it
//     leads, not the groups that it coordinates ([Broker.MoveLeaders],
//     [Broker.MoveCoordinator]). The last broker is the controller and stays it;
//     while it is cut, topics cannot be created, and brokers are never removed
//     from the cluster.
//   - The first rebalance of a group does not wait for more members
//     (group.initial.rebalance.delay.ms), and quotas are not enforced.
//   - Configurations that it does not know are accepted.
//
// It is built on kfake of github.com/twmb/franz-go.
package eventembed
