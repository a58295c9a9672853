-- Nothing of the scope with this seq or a smaller one is in the outbox, or will
-- be: who relays next does not look there. 0: not known of any.
ALTER TABLE events_lease ADD COLUMN done_to INTEGER NOT NULL DEFAULT 0;
