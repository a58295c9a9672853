package eventembed

import "fmt"

// Cut makes brokers unreachable, all of them if no node ids are given: their
// connections are closed and new ones refused, until Restore. What they have
// stored, and which partitions they lead, stays; see [Broker.MoveLeader]. The
// error names a node that does not exist; then nothing is cut.
func (b *Broker) Cut(nodes ...int32) error {
	listeners, err := b.nodes(nodes)
	if err != nil {
		return err
	}
	for _, l := range listeners {
		l.cut()
	}
	return nil
}

// Restore makes brokers reachable again at the same addresses, all of them if
// no node ids are given. It fails when a node does not exist, when another
// program has taken a port meanwhile, or with [ErrClosed].
func (b *Broker) Restore(nodes ...int32) error {
	listeners, err := b.nodes(nodes)
	if err != nil {
		return err
	}
	return b.call(func() error {
		b.restoring.Lock()
		defer b.restoring.Unlock()
		for _, l := range listeners {
			if err := l.restore(); err != nil {
				return fmt.Errorf("eventembed: restore node %d: %w", l.node, err)
			}
		}
		return nil
	})
}

// nodes is the listeners of nodes, of all if nodes is empty.
func (b *Broker) nodes(nodes []int32) ([]*listener, error) {
	if len(nodes) == 0 {
		return b.listeners, nil
	}
	listeners := make([]*listener, 0, len(nodes))
	for _, n := range nodes {
		if n < 0 || int(n) >= len(b.listeners) {
			return nil, fmt.Errorf("eventembed: no node %d; the nodes are 0 to %d", n, len(b.listeners)-1)
		}
		listeners = append(listeners, b.listeners[n])
	}
	return listeners, nil
}
