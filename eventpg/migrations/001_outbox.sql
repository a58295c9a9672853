-- Events of committed transactions that are not yet known to be in Kafka.
-- There is no status column: a sent event's row is deleted.
CREATE TABLE events_outbox (
    scope      text        NOT NULL, -- the library's prefix: several libraries can share the tables
    -- A cache of 1, because the relay tells rows that are still to come from
    -- those that are not by the order in which seqs are drawn. A session that
    -- draws seqs in advance breaks that.
    seq        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1),
    id         uuid        NOT NULL,
    topic      text        NOT NULL, -- with the prefix, as Kafka knows it
    key        bytea,                -- NULL: a record without key
    headers    bytea,                -- as the record format v2 writes them
    payload    bytea,                -- NULL: a tombstone
    created_at timestamptz NOT NULL,
    PRIMARY KEY (scope, seq)
) WITH (
    -- Rows are inserted once, never updated, and deleted soon: pages may be
    -- filled to the brim (the default), but every row becomes a dead one
    -- within seconds. The defaults wait until a fifth of the table is dead,
    -- and then vacuum slowly. A fixed number of dead rows keeps the table as
    -- small as what is under way, however large it was once.
    autovacuum_vacuum_scale_factor  = 0,
    autovacuum_vacuum_threshold     = 5000,
    autovacuum_vacuum_cost_delay    = 0,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold    = 50000,
    -- Giving empty pages at the end back to the file system locks the table
    -- exclusively, and the next burst needs them again.
    vacuum_truncate       = false,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_threshold    = 5000,
    toast.autovacuum_vacuum_cost_delay   = 0,
    toast.vacuum_truncate = false
);

-- Events that Kafka refused for themselves. They stay until somebody decides.
-- After a recovery that lost commits a seq can be drawn again, so that id is
-- a part of the key.
CREATE TABLE events_outbox_parked (
    scope      text        NOT NULL,
    seq        bigint      NOT NULL,
    id         uuid        NOT NULL,
    topic      text        NOT NULL,
    key        bytea,
    headers    bytea,
    payload    bytea,
    created_at timestamptz NOT NULL,
    error      text        NOT NULL,
    parked_at  timestamptz NOT NULL,
    PRIMARY KEY (scope, seq, id)
);

-- Which process relays a scope, and until when. One row per scope, updated
-- every few seconds; no column of it but the key is indexed, so that updates
-- stay on the page (HOT) if there is room.
CREATE TABLE events_lease (
    scope       text        NOT NULL PRIMARY KEY,
    owner       text        NOT NULL,
    epoch       integer     NOT NULL,
    producer_id bigint      NOT NULL, -- -1: none yet
    cluster_id  text        NOT NULL, -- the Kafka cluster that the scope is relayed to
    expires_at  timestamptz NOT NULL  -- '-infinity': released
) WITH (fillfactor = 25);

-- Which handler has done which event: a hash of both, see eventmodels.Mark.
CREATE TABLE events_marks (
    k       bytea       NOT NULL PRIMARY KEY,
    done_at timestamptz NOT NULL DEFAULT now()
) WITH (
    -- The table is large and loses a little at a time; a fifth of it would be
    -- a week of dead rows.
    autovacuum_vacuum_scale_factor        = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor       = 0.02
);

CREATE INDEX events_marks_done_at ON events_marks (done_at);
