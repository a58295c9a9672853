package gapset

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A database runs transactions that draw seqs, with the visibility and the
// snapshots of PostgreSQL.
type database struct {
	now       int // counts the commits, and so the moments that can be told apart
	nextXID   uint64
	lastEnded uint64 // the highest xid that has ended
	nextSeq   int64
	running   []*transaction
	rows      map[int64]*row
}

type transaction struct {
	xid       uint64
	committed int // the moment of the commit; 0: not
	seqs      []int64
}

type row struct {
	*transaction
	drawn   int // the moment at which the seq was drawn
	deleted bool
}

func newDatabase() *database {
	return &database{nextXID: 3, lastEnded: 2, nextSeq: 1, rows: map[int64]*row{}}
}

func (db *database) drawXID() uint64 {
	xid := db.nextXID
	db.nextXID++
	return xid
}

func (db *database) begin() {
	db.running = append(db.running, &transaction{xid: db.drawXID()})
}

func (db *database) draw(i int, jump int64) {
	tx := db.running[i]
	db.nextSeq += jump
	tx.seqs = append(tx.seqs, db.nextSeq)
	db.rows[db.nextSeq] = &row{transaction: tx, drawn: db.now}
	db.nextSeq++
}

func (db *database) end(i int, commit bool) {
	tx := db.running[i]
	db.running = slices.Delete(db.running, i, i+1)
	db.lastEnded = max(db.lastEnded, tx.xid)
	if commit {
		db.now++
		tx.committed = db.now
		return
	}
	for _, seq := range tx.seqs {
		delete(db.rows, seq)
	}
}

// A snapshot shows what was committed when it was taken.
type snapshot struct {
	seqs       []int64 // visible, and not deleted, in order
	xmin, xmax uint64
	running    []uint64 // those below xmax, in order
}

func (db *database) snapshot() snapshot {
	s := snapshot{xmax: db.lastEnded + 1}
	s.xmin = s.xmax // as GetSnapshotData: what runs above xmax is not looked at
	for _, tx := range db.running {
		s.xmin = min(s.xmin, tx.xid)
		if tx.xid < s.xmax {
			s.running = append(s.running, tx.xid)
		}
	}
	slices.Sort(s.running)
	for seq, row := range db.rows {
		if row.committed != 0 && !row.deleted {
			s.seqs = append(s.seqs, seq)
		}
	}
	slices.Sort(s.seqs)
	return s
}

// read answers q, with at most limit rows.
func (s snapshot) read(q Question, limit int) (p Page) {
	for _, xid := range q.Blockers {
		if !slices.Contains(s.running, xid) {
			return Page{Ended: true}
		}
	}
	gaps := q.Gaps
	for _, seq := range s.seqs {
		for len(gaps) > 0 && gaps[0].Hi < seq {
			gaps = gaps[1:]
		}
		if seq > q.Above || len(gaps) > 0 && seq >= gaps[0].Lo {
			p.Seqs = append(p.Seqs, seq)
		}
	}
	p.Complete = len(p.Seqs) < limit
	if !p.Complete {
		p.Seqs = p.Seqs[:limit]
	}
	return p
}

// FuzzTransactions lets transactions run, and a relay read them, in the order
// that the input says. Every row that is committed must be seen exactly once,
// and none before that of a transaction which had committed when it was drawn.
//
// The relay may take over at any time, and then sees again what has not been
// deleted; it knows what it has in flight.
func FuzzTransactions(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		input := make([]byte, 0, 800)
		for range 200 {
			input = binary.LittleEndian.AppendUint32(input, r.Uint32())
		}
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, backend := range []string{"xid", "running", "clock", "serial"} {
			runTransactions(t, input, backend)
		}
	})
}

func runTransactions(t *testing.T, input []byte, backend string) {
	const patience = 1000
	db := newDatabase()
	var s Set
	seen := map[int64]bool{} // since the last takeover
	var sent []int64         // in the order in which they were first seen
	inFlight := map[int64]bool{}
	clock := time.Unix(1, 0)

	// What may happen at any time.
	step := func(b byte) {
		arg := int(b >> 4)
		switch op := b & 15; {
		case op < 4:
			if len(db.running) == 0 || backend != "serial" && len(db.running) < 12 {
				db.begin()
			}
		case len(db.running) == 0:
		case op < 11:
			db.draw(arg%len(db.running), 0)
		case op == 11:
			db.draw(arg%len(db.running), int64(arg)*int64(arg)*1_000_000)
		case op == 12:
			db.end(arg%len(db.running), false)
		default:
			db.end(arg%len(db.running), true)
		}
	}

	// The relay reads; others go on between its question and its answer.
	read := func(limit int, between []byte) {
		split := len(between) / 2
		drawEarly := len(between) > 0 && between[0]&1 == 0
		q := s.Ask()
		var drawn uint64
		draw := func() {
			if s.unproven() && drawn == 0 {
				drawn = db.drawXID() // of a transaction that ends at once
				db.lastEnded = max(db.lastEnded, drawn)
			}
		}
		if drawEarly {
			draw()
		}
		for _, b := range between[:split] {
			step(b)
		}
		clock = clock.Add(10)
		snap := db.snapshot()
		page := snap.read(q, limit)
		switch backend {
		case "xid":
			draw()
			page.Proof = XID(snap.xmin, drawn)
		case "running":
			draw()
			page.Proof = XID(snap.xmin, drawn).Running(snap.running, snap.xmax)
		case "clock":
			page.Proof = Clock(clock, patience)
		case "serial":
			page.Proof = Serial()
		}
		for _, b := range between[split:] {
			step(b)
		}
		if err := s.Observe(q, page); err != nil {
			t.Fatal(err)
		}
		checkInvariants(t, &s)
		for _, seq := range page.Seqs {
			if seen[seq] {
				t.Fatalf("%s: seq %d was seen twice", backend, seq)
			}
			seen[seq] = true
			if !inFlight[seq] {
				inFlight[seq] = true
				sent = append(sent, seq)
			}
		}
	}

	for ; len(input) >= 4; input = input[4:] {
		switch b := input[0]; {
		case b%4 == 0:
			read(int(input[1]%16)+1, input[2:4])
		case b == 1: // a takeover
			s.Reset(0)
			clear(seen)
		case b%16 == 2: // what was sent, or some of it, has been acknowledged
			for _, seq := range sent {
				db.rows[seq].deleted = seq%3 != 0
			}
		default:
			for _, b := range input[:4] {
				step(b)
			}
		}
		// With a patience, transactions must not take longer than that.
		if backend == "clock" && len(input)%64 < 4 {
			for len(db.running) > 0 {
				db.end(0, true)
			}
			clock = clock.Add(patience)
		}
	}

	// Everything comes to its end.
	for len(db.running) > 0 {
		db.end(0, len(db.running)%2 == 0)
	}
	for range 4 {
		clock = clock.Add(patience)
		for more := true; more; {
			n := len(seen)
			read(7, nil)
			more = len(seen) > n
		}
		read(1<<30, nil)
	}

	for seq, row := range db.rows {
		if row.committed != 0 && !inFlight[seq] {
			t.Fatalf("%s: seq %d was committed, and has not been seen; the set is %s", backend, seq, state(&s))
		}
	}
	if len(s.gaps) != 0 {
		t.Fatalf("%s: all transactions have ended, and the gaps have not: %s", backend, state(&s))
	}
	latestDraw := 0 // of all that were sent before
	for _, seq := range sent {
		row := db.rows[seq]
		if row.committed <= latestDraw {
			t.Fatalf("%s: seq %d was sent behind one that was drawn after it had been committed: %v", backend, seq, sent)
		}
		latestDraw = max(latestDraw, row.drawn)
	}
}
