// Package recordbatch encodes record batches of Kafka's format version 2 (KIP-98),
// which are what the Records of a produce request consist of:
//
//	baseOffset            int64   0, the broker assigns it
//	batchLength           int32   of what follows
//	partitionLeaderEpoch  int32   -1, the broker assigns it
//	magic                 int8    2
//	crc                   uint32  CRC-32C of what follows
//	attributes            int16   the compression; create time; not transactional
//	lastOffsetDelta       int32   the number of records - 1
//	baseTimestamp         int64   of the first record, in ms
//	maxTimestamp          int64
//	producerId            int64
//	producerEpoch         int16
//	baseSequence          int32
//	records               int32   their number
//	                      []byte  the records, as a whole compressed or not
//
// A record is, with all lengths and deltas as zigzag varints and a length of -1
// for null:
//
//	length, attributes int8 (0), timestampDelta, offsetDelta,
//	key, value, number of headers, and of each header its key and its value
//
// The package knows nothing of requests, partitions or brokers, and keeps
// nothing between two calls but the codecs' buffers. The relay writes its own
// batches, since it chooses its producer's id and epoch, and since a retry must
// consist of the same bytes: the sequence numbers by which a broker recognises
// a batch are part of them.
package recordbatch
