package memorydb

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// Client is a process's way to the server.
type Client struct {
	server *Server

	mu      sync.Mutex
	rand    *rand.Rand
	slow    time.Duration // most that a way takes
	failing float64       // share of statements in transactions that fail with a conflict
	losing  float64       // share of COMMITs whose answer is lost
	cut     bool
	dead    bool
	stalled bool
	changed chan struct{} // closed and replaced at every change of the above three
	broken  chan struct{} // closed when the connections are lost, and replaced
	// detect is how long the server needs to notice that a connection is
	// lost: until then its transaction is open.
	detect time.Duration
}

// normal is how long a statement's way to the server and back take at most.
const normal = 2 * time.Millisecond

// NewClient returns a way to the server. What it draws by chance follows the
// seed.
func (s *Server) NewClient(seed uint64) *Client {
	return &Client{
		server:  s,
		rand:    rand.New(rand.NewPCG(seed, 0)),
		slow:    normal,
		changed: make(chan struct{}),
		broken:  make(chan struct{}),
	}
}

// Cut loses all connections, and refuses new ones until Restore. The server
// notices after detect.
func (c *Client) Cut(detect time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.detect = true, detect
	c.change()
	close(c.broken)
	c.broken = make(chan struct{})
}

// Kill is Cut for ever.
func (c *Client) Kill(detect time.Duration) {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.Cut(detect)
}

// Stall keeps all statements and answers on their way until Restore.
func (c *Client) Stall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = true
	c.change()
}

// Restore ends Cut and Stall, but not Kill.
func (c *Client) Restore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut, c.stalled = c.dead, false
	c.change()
}

// SetSlow sets how long a statement's way to the server takes at most, and
// that of its answer; 0 is the default, 2 ms.
func (c *Client) SetSlow(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slow = d; d == 0 {
		c.slow = normal
	}
}

// SetTrouble sets which share of the statements of transactions fails with a
// conflict, and of how many COMMITs the connection is lost, with the outcome
// unknown. The default is none.
func (c *Client) SetTrouble(conflicts, lostCommits float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failing, c.losing = conflicts, lostCommits
}

// change wakes those that wait; mu must be held.
func (c *Client) change() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// chance draws.
func (c *Client) chance(share func() float64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := share()
	return p > 0 && c.rand.Float64() < p
}

// connect returns what is closed when a connection that is made now is lost.
func (c *Client) connect(ctx context.Context) (lost <-chan struct{}, err error) {
	c.mu.Lock()
	lost = c.broken
	cut := c.cut
	c.mu.Unlock()
	if cut {
		// A refusal takes a moment, too: nobody should be able to spin.
		select {
		case <-time.After(time.Millisecond):
			return nil, errLost
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return lost, nil
}

// travel is one way of a statement or an answer.
func (c *Client) travel(ctx context.Context, lost <-chan struct{}) error {
	c.mu.Lock()
	takes := time.Duration(c.rand.Int64N(int64(c.slow)) + 1)
	c.mu.Unlock()
	way := time.NewTimer(takes)
	defer way.Stop()
	select {
	case <-way.C:
	case <-lost:
		return errLost
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		c.mu.Lock()
		stalled, changed := c.stalled, c.changed
		c.mu.Unlock()
		select {
		case <-lost: // also if it is stalled no longer
			return errLost
		default:
		}
		if !stalled {
			return nil
		}
		select {
		case <-changed:
		case <-lost:
			return errLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ask runs a statement in autocommit, on a connection of its own. The function
// statement is called with the server's lock.
func ask[T any](ctx context.Context, c *Client, statement func(*Server) (T, error)) (T, error) {
	var none T
	lost, err := c.connect(ctx)
	if err != nil {
		return none, err
	}
	if err := c.travel(ctx, lost); err != nil {
		// The statement may be on its way already. Half of those take effect
		// some time later, when nobody waits any more.
		if ctx.Err() != nil && c.chance(func() float64 { return 0.5 }) {
			c.late(lost, func(s *Server) { _, _ = statement(s) })
		}
		return none, err
	}
	c.server.mu.Lock()
	answer, err := statement(c.server)
	c.server.mu.Unlock()
	if err == nil {
		err = c.travel(ctx, lost)
	}
	if err != nil {
		return none, err
	}
	return answer, nil
}

// late lets a statement arrive after its client has given up.
func (c *Client) late(lost <-chan struct{}, statement func(*Server)) {
	go func() {
		limit, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if c.travel(limit, lost) == nil {
			c.server.mu.Lock()
			defer c.server.mu.Unlock()
			statement(c.server)
		}
	}()
}

// outcome is what a statement of a transaction has come to on the server: it
// waits for the end of another transaction, or is done.
type outcome struct {
	waitFor <-chan struct{}
	err     error
}

// execute runs a statement of a transaction on the server. run is called with
// the server's lock, again after each wait.
func (c *Client) execute(ctx context.Context, lost <-chan struct{}, run func() outcome) error {
	for {
		c.server.mu.Lock()
		o := run()
		c.server.mu.Unlock()
		if o.waitFor == nil {
			return o.err
		}
		select {
		case <-o.waitFor:
		case <-lost:
			return errLost
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
