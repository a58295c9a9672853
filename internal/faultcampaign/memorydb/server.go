package memorydb

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/seed46dd6f11/events/eventmodels"
	"github.com/seed46dd6f11/events/internal/faultcampaign/checker"
)

// Server is the database. Its zero value is not usable.
type Server struct {
	mu sync.Mutex

	skew      time.Duration // of its clock
	nextXID   uint64
	lastEnded uint64 // the highest id of a transaction that has ended
	nextSeq   int64
	sessions  map[*Tx]struct{} // open transactions
	locks     map[string]*Tx   // rows that are locked, by name
	ears      map[int]func()   // those who listen for Wake
	nextEar   int

	outbox []outboxRow // ordered by seq
	parked []parkedRow
	leases map[string]leaseRow
	marks  map[eventmodels.Mark]time.Time

	loses     int64 // the seq of a row that is not stored; 0 is none
	forgetful bool  // of marks

	// The application's tables.
	counters  map[string]int64 // by key: the Seq of the last committed event
	committed []checker.Committed
	effects   []checker.Effect
}

type outboxRow struct {
	scope string
	eventmodels.OutboxRow
}

type parkedRow struct {
	scope string
	eventmodels.ParkedRow
	headers, payload []byte
}

type leaseRow struct {
	eventmodels.Lease
	expires time.Time
}

// New makes an empty database.
func New() *Server {
	return &Server{
		nextXID:  1,
		sessions: make(map[*Tx]struct{}),
		locks:    make(map[string]*Tx),
		ears:     make(map[int]func()),
		leases:   make(map[string]leaseRow),
		marks:    make(map[eventmodels.Mark]time.Time),
		counters: make(map[string]int64),
	}
}

// SetSkew sets how far the server's clock is ahead of the processes'. The
// default is 0.
func (s *Server) SetSkew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// now is the server's clock; mu must be held.
func (s *Server) now() time.Time { return time.Now().Add(s.skew) }

// Restart ends all open transactions, as a server that is restarted at once.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for tx := range s.sessions {
		tx.end(errRestarted)
	}
}

// Committed are the events that were committed, in the order of the commits.
func (s *Server) Committed() []checker.Committed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.committed)
}

// Effects are what exactly-once handlers have left behind, in the order of the
// commits.
func (s *Server) Effects() []checker.Effect {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.effects)
}

// Waiting is the number of rows in the outbox and of those that were parked,
// and Open that of the transactions that are open.
func (s *Server) Waiting() (outbox, parked, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.outbox), len(s.parked), len(s.sessions)
}

// store adds a committed row to the outbox; mu must be held.
func (s *Server) store(row outboxRow) {
	if row.Seq == s.loses {
		return
	}
	at, _ := slices.BinarySearchFunc(s.outbox, row.Seq, func(r outboxRow, seq int64) int { return cmp.Compare(r.Seq, seq) })
	s.outbox = slices.Insert(s.outbox, at, row)
}

// take removes a row; mu must be held.
func (s *Server) take(scope string, key eventmodels.OutboxKey) (outboxRow, bool) {
	at, found := slices.BinarySearchFunc(s.outbox, key.Seq, func(r outboxRow, seq int64) int { return cmp.Compare(r.Seq, seq) })
	if !found || s.outbox[at].ID != key.ID || s.outbox[at].scope != scope {
		return outboxRow{}, false
	}
	row := s.outbox[at]
	s.outbox = slices.Delete(s.outbox, at, at+1)
	return row, true
}

// snapshot is what PostgreSQL's snapshots say of transactions: all with an id
// below xmax that are not running have ended. xmax is one above the highest id
// that has ended, so a transaction that runs may have a higher one; xmin is the
// lowest that runs, or xmax. mu must be held.
func (s *Server) snapshot() (xmin, xmax uint64, running []uint64) {
	xmin, xmax = s.lastEnded+1, s.lastEnded+1
	for tx := range s.sessions {
		if tx.xid != 0 && tx.xid < xmax {
			running = append(running, tx.xid)
			xmin = min(xmin, tx.xid)
		}
	}
	slices.Sort(running)
	return xmin, xmax, running
}

// The server's errors.
var (
	errLost      = errors.New("memorydb: the connection is lost")
	errRestarted = errors.New("memorydb: the server has ended the connection: it restarts")
	errConflict  = errors.New("memorydb: could not serialize access")
	errEnded     = errors.New("memorydb: the transaction has ended")
	errNoSQL     = errors.New("memorydb: there is no SQL")
)

// fault says whose fault an error is, as eventpg does.
func fault(err error) eventmodels.Fault {
	switch {
	case errors.Is(err, errLost), errors.Is(err, errRestarted):
		return eventmodels.FaultAway
	case errors.Is(err, errConflict):
		return eventmodels.FaultConflict
	}
	return eventmodels.FaultEvent
}

// LoseRow makes the server lose the row with a seq when its transaction
// commits. It is for tests of those who are to notice.
func (s *Server) LoseRow(seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loses = seq
}

// ForgetMarks makes the server forget marks as soon as they are committed. It is
// for tests of those who are to notice.
func (s *Server) ForgetMarks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetful = true
}
