-- Times are integers: microseconds since 1970-01-01 00:00:00 UTC, by the
-- server's clock, or the event's. All text is binary: a collation would merge
-- what differs in case or trailing blanks.
--
-- Everything that has an order within a scope is in the scope's partition: a
-- read sees one snapshot of a partition, and not of several.

-- Events of committed transactions that are not yet known to be in Kafka.
-- There is no status column: a sent event's row is deleted. A rowstore, since
-- rows are inserted and deleted one by one within seconds.
CREATE ROWSTORE TABLE IF NOT EXISTS events_outbox (
    scope      varbinary(255) NOT NULL, -- the library's prefix: several libraries can share the tables
    seq        bigint         NOT NULL, -- drawn from events_seqs
    id         binary(16)     NOT NULL, -- a UUID
    topic      varbinary(255) NOT NULL, -- with the prefix, as Kafka knows it
    `key`      longblob,                -- NULL: a record without key
    headers    longblob,                -- as the record format v2 writes them
    payload    longblob,                -- NULL: a tombstone
    created_at bigint         NOT NULL,
    PRIMARY KEY (scope, seq),
    SHARD KEY (scope)
);

-- The last seq that was drawn. AUTO_INCREMENT is not one sequence: every
-- aggregator draws from a range of its own.
CREATE ROWSTORE TABLE IF NOT EXISTS events_seqs (
    scope varbinary(255) NOT NULL,
    n     bigint         NOT NULL,
    PRIMARY KEY (scope),
    SHARD KEY (scope)
);

-- The rows that transactions lock before they draw, one for each hash of a key.
CREATE ROWSTORE TABLE IF NOT EXISTS events_key_locks (
    scope  varbinary(255) NOT NULL,
    prefix varbinary(255) NOT NULL, -- the lockPrefix of New
    bucket smallint       NOT NULL,
    n      bigint         NOT NULL, -- how often
    PRIMARY KEY (scope, prefix, bucket),
    SHARD KEY (scope)
);

-- Events that Kafka refused for themselves. They stay until somebody decides.
-- A columnstore, since they are few, large and seldom looked at, and need not
-- be in memory.
CREATE TABLE IF NOT EXISTS events_outbox_parked (
    scope      varbinary(255) NOT NULL,
    seq        bigint         NOT NULL,
    id         binary(16)     NOT NULL,
    topic      varbinary(255) NOT NULL,
    `key`      longblob,
    headers    longblob,
    payload    longblob,
    created_at bigint         NOT NULL,
    error      longtext       NOT NULL,
    parked_at  bigint         NOT NULL,
    UNIQUE KEY (scope, seq, id) USING HASH,
    SHARD KEY (scope),
    SORT KEY (scope, seq)
);

-- Which process relays a scope, and until when. One row per scope.
CREATE ROWSTORE TABLE IF NOT EXISTS events_lease (
    scope       varbinary(255) NOT NULL,
    owner       varbinary(255) NOT NULL,
    epoch       int            NOT NULL,
    producer_id bigint         NOT NULL, -- -1: none yet
    cluster_id  varbinary(255) NOT NULL, -- the Kafka cluster that the scope is relayed to; empty: none yet
    expires_at  bigint         NOT NULL, -- 0: released
    PRIMARY KEY (scope),
    SHARD KEY (scope)
);

-- Which handler has done which event: a hash of both, see eventmodels.Mark. A
-- rowstore: a handler waits for each mark, by its key and under a row lock.
CREATE ROWSTORE TABLE IF NOT EXISTS events_marks (
    k       binary(16) NOT NULL,
    token   bigint     NOT NULL, -- of the statement that inserted the mark
    done_at bigint     NOT NULL,
    PRIMARY KEY (k),
    SHARD KEY (k),
    KEY events_marks_done_at (done_at)
);
