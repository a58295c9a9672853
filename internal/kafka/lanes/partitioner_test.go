package lanes

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestPartitionOf(t *testing.T) {
	pick := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	rnd := rand.New(rand.NewPCG(1, 2))
	keys := [][]byte{{}, {0}, {0xff}, []byte("\x00\xff\x80"), []byte("order-1"), make([]byte, 1000)}
	for n := range 40 {
		for range 50 {
			key := make([]byte, n)
			for i := range key {
				key[i] = byte(rnd.Uint32())
			}
			keys = append(keys, key)
		}
	}
	for i := range 2000 {
		keys = append(keys, fmt.Appendf(nil, "customer-%d", i))
	}
	for _, partitions := range []int{1, 2, 3, 7, 12, 50, 100, 1000} {
		for _, key := range keys {
			if got, want := partitionOf(key, partitions), pick.Partition(&kgo.Record{Key: key}, partitions); got != want {
				t.Fatalf("key %q is in partition %d of %d, want %d", key, got, partitions, want)
			}
		}
	}
}

// TestMurmur2 has the values of Kafka's own test.
func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}
