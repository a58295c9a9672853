-- A backup can have the table locked for hours. A statement that waits for it
-- keeps everybody else out, and so the relay from renewing its lease (10 s).
SET LOCAL lock_timeout = '3s';

-- Nothing of the scope with this seq or a smaller one is in the outbox, or will
-- be: who relays next does not look there. 0: not known of any.
ALTER TABLE events_lease ADD COLUMN done_to bigint NOT NULL DEFAULT 0;
