package compare

import (
	"context"
	"errors"
	"slices"
	"time"
)

// cleanupLimit bounds all of a Cleanup.
const cleanupLimit = time.Minute

// Cleanup is what has to be undone at the end, also after an error and after an
// interrupt.
type Cleanup struct {
	undo []func(context.Context) error
}

// Defer adds something to undo: the last one is done first.
func (c *Cleanup) Defer(undo func(context.Context) error) { c.undo = append(c.undo, undo) }

// Run undoes everything. It does so even though ctx has ended.
func (c *Cleanup) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupLimit)
	defer cancel()
	var errs []error
	for _, undo := range slices.Backward(c.undo) {
		errs = append(errs, undo(ctx))
	}
	c.undo = nil
	return errors.Join(errs...)
}
