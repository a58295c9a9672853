// Package compare runs several ways to do the same work in turn, A B A B, and
// reports how they relate.
//
// What one way achieves on a machine that other programs use, too, changes from
// one minute to the next; the ratio of two that were measured beside each other
// changes much less. So every [Measurement] has all its contenders in every
// round, and what counts is the ratio of the medians.
package compare
