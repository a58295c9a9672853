package gapset

import (
	"math"
	"testing"
)

// A naive is a Set as one would write it down: the horizon of every open seq.
type naive struct {
	hint int64
	open map[int64]uint64 // 0: unproven
}

func (n *naive) observe(p Page) {
	for _, seq := range p.Seqs {
		if seq <= n.hint {
			delete(n.open, seq)
		}
	}
	var highest uint64
	for _, h := range n.open {
		highest = max(highest, h)
	}
	for seq, h := range n.open {
		if h == 0 && p.Proof.horizon != 0 {
			n.open[seq] = max(p.Proof.horizon, highest)
		}
	}
	for _, seq := range p.Seqs {
		if seq <= n.hint {
			continue
		}
		for skipped := n.hint + 1; skipped < seq; skipped++ {
			n.open[skipped] = 0
		}
		n.hint = seq
	}
	for seq, h := range n.open {
		covered := p.Complete || len(p.Seqs) > 0 && seq < p.Seqs[len(p.Seqs)-1]
		if h == 0 {
			h = math.MaxUint64
		}
		if covered && h <= p.Proof.ended {
			delete(n.open, seq)
		}
	}
}

// FuzzSet compares a Set with the naive one. Three bytes make a page.
func FuzzSet(f *testing.F) {
	f.Add([]byte{0, 0xff, 1, 4, 0x55, 2, 8, 0x0f, 3})
	f.Add([]byte{1, 0x92, 0x10, 3, 0x11, 0x21, 7, 0x80, 0x32, 2, 1, 0x44})
	f.Add([]byte("the quick brown fox jumps over the lazy dog, and then once more"))
	f.Fuzz(func(t *testing.T, input []byte) {
		var s Set
		model := naive{open: map[int64]uint64{}}
		for ; len(input) >= 3; input = input[3:] {
			mode, pick, proof := input[0], input[1], input[2]
			if mode == 0xff {
				s.Reset(int64(pick))
				model = naive{hint: int64(pick), open: map[int64]uint64{}}
				continue
			}
			q := s.Ask()

			// The page: of the candidates, those that pick has a bit for.
			var seqs []int64
			bit := 0
			candidate := func(seq int64) {
				if pick>>(bit%8)&1 == 1 {
					seqs = append(seqs, seq)
				}
				bit++
			}
			for _, g := range q.Gaps {
				for seq := g.Lo; seq <= g.Hi; seq++ {
					candidate(seq)
				}
			}
			for i := range int64(mode % 16) {
				candidate(q.Above + 1 + i)
			}
			page := Page{Seqs: seqs, Complete: mode&0x10 != 0}
			if !page.Complete && len(seqs) > 3 {
				page.Seqs = seqs[:3]
			}
			switch proof % 4 {
			case 1:
				page.Proof = XID(uint64(proof>>4)+1, 0)
			case 2, 3:
				page.Proof = XID(uint64(proof>>4)+1, uint64(proof>>2)+1)
			}
			if proof == 0xf0 {
				page.Proof = Serial()
			}

			model.observe(page)
			if err := s.Observe(q, page); err != nil {
				t.Fatal(err)
			}
			checkInvariants(t, &s)
			if s.Hint() != model.hint || size(&s) != int64(len(model.open)) {
				t.Fatalf("the set is %s, want the hint %d and the gaps %v", state(&s), model.hint, model.open)
			}
			for _, g := range s.gaps {
				for seq := g.Lo; seq <= g.Hi; seq++ {
					h, open := model.open[seq]
					if h == 0 {
						h = unproven
					}
					if !open || h != g.horizon {
						t.Fatalf("seq %d has the horizon %d, want %d (%t)", seq, g.horizon, h, open)
					}
				}
			}
		}
	})
}
