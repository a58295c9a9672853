package lanes

// Stats are counts of what the sender has in its hands and has done, for tests and
// benchmarks.
type Stats struct {
	// Rows have been given to Send and were not reported; InFlight of them
	// are in requests that are not answered.
	Rows, InFlight int
	// HeldTopics are those that were reported as Held and not resumed.
	HeldTopics int
	// Requests and Batches have been sent; Retries of the Batches again, with
	// the same bytes.
	Requests, Batches, Retries uint64
	// Acked, Refused and Returned count rows.
	Acked, Refused, Returned uint64
}

// Stats returns the counts of now.
func (s *Sender) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.m.stats
	for _, r := range s.m.flying {
		for _, b := range r.batches {
			stats.InFlight += len(b.rows)
		}
	}
	for _, t := range s.m.topics {
		if t.state != open {
			stats.HeldTopics++
		}
	}
	return stats
}
