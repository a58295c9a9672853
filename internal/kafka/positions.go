package kafka

// positions is what a reader has read, and finds what it will never read. It is
// a plain state: no clock, no network, no lock.
//
// A gap is seen in one of two ways. A fetch shows it when its first record is
// above the position and so is the log's start; without the latter it is only
// a hole, of which compacted and transactional topics have many. A partition
// where nothing is appended any more is never fetched from, so the log's start
// is also looked at from time to time. Then the position can lag behind
// because what was fetched before it was removed still waits to be polled; so
// the first look only suspects, and the second, at the same position, tells.
// Telling moves the position to the log's start, so that each gap is told once.
type positions struct {
	next    map[TopicPartition]int64 // the next offset expected
	suspect map[TopicPartition]int64 // the position at the last look, if the log's start was above
}

func newPositions() positions {
	return positions{next: make(map[TopicPartition]int64), suspect: make(map[TopicPartition]int64)}
}

// begin sets a position without looking for a gap.
func (p *positions) begin(tp TopicPartition, at int64) {
	p.next[tp] = at
	delete(p.suspect, tp)
}

// known says whether the partition is read.
func (p *positions) known(tp TopicPartition) bool {
	_, ok := p.next[tp]
	return ok
}

// drop forgets a topic's partitions.
func (p *positions) drop(t WireTopic) {
	for tp := range p.next {
		if tp.Topic == t {
			delete(p.next, tp)
			delete(p.suspect, tp)
		}
	}
}

// fetched moves the position after what was fetched, records from first up to
// next, when the log started at logStart.
func (p *positions) fetched(tp TopicPartition, first, logStart, next int64) (Gap, bool) {
	at, ok := p.next[tp]
	p.begin(tp, next)
	if ok && logStart > at && first > at {
		return Gap{tp, at, logStart}, true
	}
	return Gap{}, false
}

// looked is told where the log starts. idle says that nothing fetched waits to
// be polled.
func (p *positions) looked(tp TopicPartition, logStart int64, idle bool) (Gap, bool) {
	at, ok := p.next[tp]
	if !ok || logStart <= at {
		delete(p.suspect, tp)
		return Gap{}, false
	}
	if before, suspected := p.suspect[tp]; !idle && (!suspected || before != at) {
		p.suspect[tp] = at
		return Gap{}, false
	}
	p.begin(tp, logStart)
	return Gap{tp, at, logStart}, true
}
