package service

import (
	"github.com/google/uuid"
)

// The topics, without prefix.
const (
	// Orders is what transactions produce: keys have their orders in the order
	// of the commits.
	Orders = "orders"
	// Invoices has an event for each of Orders, made by an exactly-once handler.
	Invoices = "invoices"
	// Growing gets more partitions, so it has no order per key.
	Growing = "growing"
	// Brief loses records to its retention before they are read.
	Brief = "brief"
)

// Topics are all of them.
var Topics = []string{Orders, Invoices, Growing, Brief}

// The handlers. Each is in a group of the same name, except the broadcast.
const (
	// Ledger is exactly-once and ordered by key, and derives invoices.
	Ledger = "ledger"
	// Payments is exactly-once, in batches, on Invoices.
	Payments = "payments"
	// Audit is idempotent and ordered by key; a letter is saved.
	Audit = "audit"
	// Mail is idempotent and in any order; what fails is tried again as a letter.
	Mail = "mail"
	// Survey is idempotent on Growing, Digest on Brief.
	Survey = "survey"
	Digest = "digest"
	// Cache is the broadcast, on Orders, Growing and Brief.
	Cache = "cache"
)

// Groups are the consumer groups, by the topic that they read.
var Groups = map[string]string{Ledger: Orders, Payments: Invoices, Audit: Orders, Mail: Orders, Survey: Growing, Digest: Brief}

// Fate is what happens to an order in the handlers.
type Fate string

const (
	// Fine is handled at once.
	Fine Fate = ""
	// Flaky fails twice in each process that tries it.
	Flaky Fate = "flaky"
	// Poison fails for good in Ledger and Audit: a letter each.
	Poison Fate = "poison"
	// Late fails for good at its first attempt in Mail, and succeeds as a letter.
	Late Fate = "late"
)

// Order is the payload of all events.
type Order struct {
	ID   uuid.UUID `json:"id"`
	Key  string    `json:"key"`
	N    int64     `json:"n"` // it is the nth committed one of its key, from 1; 0 where keys have no order
	Fate Fate      `json:"fate,omitempty"`
	Pad  string    `json:"pad,omitempty"`
}
