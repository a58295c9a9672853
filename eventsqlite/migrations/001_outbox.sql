-- Times are integers: microseconds since 1970-01-01 00:00:00 UTC, by the
-- clock of the process that wrote them.

-- Events of committed transactions that are not yet known to be in Kafka.
-- There is no status column: a sent event's row is deleted.
CREATE TABLE events_outbox (
    scope      TEXT    NOT NULL, -- the library's prefix: several libraries can share the tables
    -- AUTOINCREMENT, so that the seq of a deleted row is never drawn again.
    -- One transaction writes at a time, so seqs ascend in the order of commits.
    -- With AUTOINCREMENT no other primary key is possible, (scope, seq) is an
    -- index.
    seq        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id         TEXT    NOT NULL,
    topic      TEXT    NOT NULL, -- with the prefix, as Kafka knows it
    key        BLOB,             -- NULL: a record without key
    headers    BLOB,             -- as the record format v2 writes them
    payload    BLOB,             -- NULL: a tombstone
    created_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_outbox_scope_seq ON events_outbox (scope, seq);

-- Events that Kafka refused for themselves. They stay until somebody decides.
-- After a recovery that lost commits a seq can be drawn again, so that id is
-- a part of the key.
CREATE TABLE events_outbox_parked (
    scope      TEXT    NOT NULL,
    seq        INTEGER NOT NULL,
    id         TEXT    NOT NULL,
    topic      TEXT    NOT NULL,
    key        BLOB,
    headers    BLOB,
    payload    BLOB,
    created_at INTEGER NOT NULL,
    error      TEXT    NOT NULL,
    parked_at  INTEGER NOT NULL,
    PRIMARY KEY (scope, seq, id)
) STRICT;

-- Which process relays a scope, and until when. One row per scope.
CREATE TABLE events_lease (
    scope       TEXT    NOT NULL PRIMARY KEY,
    owner       TEXT    NOT NULL,
    epoch       INTEGER NOT NULL,
    producer_id INTEGER NOT NULL, -- -1: none yet
    cluster_id  TEXT    NOT NULL, -- the Kafka cluster that the scope is relayed to
    expires_at  INTEGER NOT NULL  -- 0: released
) STRICT, WITHOUT ROWID;

-- Which handler has done which event: a hash of both, see eventmodels.Mark.
CREATE TABLE events_marks (
    k       BLOB    NOT NULL PRIMARY KEY,
    done_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX events_marks_done_at ON events_marks (done_at);
