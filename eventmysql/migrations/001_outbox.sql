-- Times are integers: microseconds since 1970-01-01 00:00:00 UTC, by the
-- server's clock, or the event's. All text is binary: a collation would merge
-- what differs in case or trailing blanks.

-- Events of committed transactions that are not yet known to be in Kafka.
-- There is no status column: a sent event's row is deleted.
CREATE TABLE IF NOT EXISTS events_outbox (
    scope      varbinary(255) NOT NULL, -- the library's prefix: several libraries can share the tables
    seq        bigint         NOT NULL AUTO_INCREMENT,
    id         binary(16)     NOT NULL, -- a UUID
    topic      varbinary(255) NOT NULL, -- with the prefix, as Kafka knows it
    `key`      longblob,                -- NULL: a record without key
    headers    longblob,                -- as the record format v2 writes them
    payload    longblob,                -- NULL: a tombstone
    created_at bigint         NOT NULL,
    PRIMARY KEY (scope, seq),
    KEY events_outbox_seq (seq)         -- AUTO_INCREMENT must be the first column of one
) ENGINE = InnoDB;

-- Events that Kafka refused for themselves. They stay until somebody decides.
-- After a recovery that lost commits a seq can be drawn again, so that id is
-- a part of the key.
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
    PRIMARY KEY (scope, seq, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Which process relays a scope, and until when. One row per scope.
CREATE TABLE IF NOT EXISTS events_lease (
    scope       varbinary(255) NOT NULL PRIMARY KEY,
    owner       varbinary(255) NOT NULL,
    epoch       int            NOT NULL,
    producer_id bigint         NOT NULL, -- -1: none yet
    cluster_id  varbinary(255) NOT NULL, -- the Kafka cluster that the scope is relayed to; empty: none yet
    expires_at  bigint         NOT NULL  -- 0: released
) ENGINE = InnoDB;

-- Which handler has done which event: a hash of both, see eventmodels.Mark.
CREATE TABLE IF NOT EXISTS events_marks (
    k       binary(16) NOT NULL PRIMARY KEY,
    token   bigint     NOT NULL, -- of the statement that inserted the mark
    done_at bigint     NOT NULL,
    KEY events_marks_done_at (done_at)
) ENGINE = InnoDB;

-- The rows that WithKeyLocks locks, one for each hash of a key.
CREATE TABLE IF NOT EXISTS events_key_locks (
    bucket smallint NOT NULL PRIMARY KEY
) ENGINE = InnoDB;

INSERT IGNORE INTO events_key_locks (bucket)
WITH RECURSIVE buckets (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM buckets WHERE n < 255)
SELECT n FROM buckets;
