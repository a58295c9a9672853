package compare

import (
	"runtime/metrics"
	"time"
)

// memoryInterval is how often a memoryWatch looks. Reading the two metrics does
// not stop the program.
const memoryInterval = 10 * time.Millisecond

// memoryWatch keeps the largest amount of memory that the process has had.
type memoryWatch struct {
	stop chan struct{}
	most chan uint64
}

func watchMemory() *memoryWatch {
	w := &memoryWatch{stop: make(chan struct{}), most: make(chan uint64)}
	go w.run()
	return w
}

func (w *memoryWatch) run() {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	ticks := time.NewTicker(memoryInterval)
	defer ticks.Stop()
	most := held(samples)
	for {
		select {
		case <-ticks.C:
			most = max(most, held(samples))
		case <-w.stop:
			w.most <- max(most, held(samples))
			return
		}
	}
}

// end stops the watch and returns what it has found. It is called once.
func (w *memoryWatch) end() uint64 {
	close(w.stop)
	return <-w.most
}

// held is what the runtime has from the operating system and has not given back.
func held(samples []metrics.Sample) uint64 {
	metrics.Read(samples)
	return samples[0].Value.Uint64() - samples[1].Value.Uint64()
}
