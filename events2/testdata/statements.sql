-- Made by go test ./events2 -run TestStatements -update

CREATE ROWSTORE TABLE IF NOT EXISTS events_schema (
		version    int       NOT NULL PRIMARY KEY,
		applied_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP
	);

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

-- Nothing of the scope with this seq or a smaller one is in the outbox, or will
-- be: who relays next does not look there. 0: not known of any.
ALTER TABLE events_lease ADD COLUMN done_to bigint NOT NULL DEFAULT 0;

COMMIT;

DELETE FROM events_marks WHERE k IN (?) AND done_at < TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) - ?;

DELETE FROM events_outbox WHERE scope = ? AND seq = ? AND id = ?;

DELETE FROM events_outbox WHERE scope = ? AND seq IN (?) AND id IN (?);

DELETE FROM events_outbox_parked WHERE scope = ? AND id IN (?);

INSERT IGNORE INTO events_key_locks (scope, prefix, bucket, n) VALUES (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0), (?, ?, ?, 0);

INSERT IGNORE INTO events_lease (scope, owner, epoch, producer_id, cluster_id, expires_at) VALUES (?, '', 0, -1, '', 0);

INSERT IGNORE INTO events_marks (k, token, done_at) VALUES (?, ?, TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)));

INSERT IGNORE INTO events_marks (k, token, done_at) VALUES (?, ?, TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6))), (?, ?, TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)));

INSERT IGNORE INTO events_outbox_parked (scope, seq, id, topic, `key`, headers, payload, created_at, error, parked_at) SELECT scope, seq, id, topic, `key`, headers, payload, created_at, ?, TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) FROM events_outbox WHERE scope = ? AND seq = ? AND id = ?;

INSERT IGNORE INTO events_seqs (scope, n) VALUES (?, 0);

INSERT INTO events_outbox (scope, seq, id, topic, `key`, headers, payload, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

INSERT INTO events_outbox (scope, seq, id, topic, `key`, headers, payload, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?), (?, ?, ?, ?, ?, ?, ?, ?);

SELECT 1;

SELECT COUNT(*) FROM (SELECT 1 FROM events_outbox_parked WHERE scope = ? LIMIT ?) AS counted;

SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'events_lease' AND column_name = 'done_to';

SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN
	('events_outbox', 'events_seqs', 'events_key_locks', 'events_outbox_parked', 'events_lease', 'events_marks');

SELECT COUNT(*), COALESCE(MIN(seq), 0), COALESCE(MAX(seq), 0) FROM (SELECT seq FROM events_outbox WHERE scope = ? AND seq > ? ORDER BY seq LIMIT ?) AS counted;

SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) - created_at FROM events_outbox WHERE scope = ? AND seq > ? ORDER BY seq LIMIT 1;

SELECT k FROM events_marks WHERE done_at < TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) - ? ORDER BY done_at LIMIT ?;

SELECT k FROM events_marks WHERE k IN (?, ?) AND token = ?;

SELECT n FROM events_seqs WHERE scope = ?;

SELECT owner, cluster_id, epoch, producer_id, done_to, expires_at > TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) FROM events_lease WHERE scope = ?;

SELECT seq FROM events_outbox WHERE scope = ? AND seq > ? ORDER BY seq DESC LIMIT 1;

SELECT seq, id, topic, `key`, COALESCE(OCTET_LENGTH(payload), 0), created_at, error, parked_at FROM events_outbox_parked WHERE scope = ? AND (parked_at < ? OR parked_at = ? AND (seq < ? OR seq = ? AND id < ?)) ORDER BY parked_at DESC, seq DESC, id DESC LIMIT ?;

SELECT seq, id, topic, `key`, COALESCE(OCTET_LENGTH(payload), 0), created_at, error, parked_at FROM events_outbox_parked WHERE scope = ? ORDER BY parked_at DESC, seq DESC, id DESC LIMIT ?;

SELECT seq, id, topic, created_at, IF(topic IN (?), NULL, `key`), IF(topic IN (?), NULL, headers), IF(topic IN (?), NULL, payload) FROM events_outbox WHERE scope = ? AND (seq > 4711 OR seq BETWEEN 17 AND 99 OR seq IN (1,2)) ORDER BY seq LIMIT 500;

SELECT seq, id, topic, created_at, `key`, headers, payload FROM events_outbox WHERE scope = ? AND (seq > 0) ORDER BY seq LIMIT 500;

SELECT seq, id, topic, created_at, `key`, headers, payload FROM events_outbox_parked WHERE scope = ? AND id IN (?) ORDER BY seq;

START TRANSACTION;

UPDATE events_key_locks SET n = n + 1 WHERE scope = ? AND prefix = ? AND bucket = ?;

UPDATE events_lease SET
    producer_id = IF(epoch < 32000, producer_id, -1),
    epoch       = IF(epoch < 32000, epoch + 1, 0),
    owner       = ?,
    cluster_id  = ?,
    expires_at  = TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) + ?
WHERE scope = ? AND cluster_id IN ('', ?) AND (owner = ? OR expires_at <= TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)));

UPDATE events_lease SET expires_at = 0, done_to = ? WHERE scope = ? AND owner = ? AND epoch = ?;

UPDATE events_lease SET expires_at = TIMESTAMPDIFF(MICROSECOND, '1970-01-01 00:00:00', UTC_TIMESTAMP(6)) + ?, done_to = ? WHERE scope = ? AND owner = ? AND epoch = ?;

UPDATE events_lease SET producer_id = ?, epoch = ?, expires_at = expires_at + 1 WHERE scope = ? AND owner = ? AND epoch = ?;

UPDATE events_seqs SET n = ? WHERE scope = ? AND n = ?;

