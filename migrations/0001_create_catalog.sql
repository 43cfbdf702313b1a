-- The catalog. Times of events are integer nanoseconds with closed bounds; times of bookkeeping are the catalog's own
-- clock. `json` (not `jsonb`) holds what came from users, because it keeps every string, U+0000 included.

-- One row: which catalog this is, and since when. The sweep never touches objects older than the catalog.
CREATE TABLE catalog (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO catalog DEFAULT VALUES;

-- `sequence` is the latest commit of the database. The row's lock puts commits in order.
CREATE TABLE databases (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     text   NOT NULL UNIQUE,
    sequence bigint NOT NULL DEFAULT 0
);

CREATE TABLE tables (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    database_id    bigint      NOT NULL REFERENCES databases (id),
    name           text        NOT NULL,
    columns        json        NOT NULL,
    schema_version bigint      NOT NULL DEFAULT 1,
    time_column    text        NOT NULL,
    sort_key       text[]      NOT NULL,
    format         text        NOT NULL,
    dropped_at     timestamptz
);
CREATE UNIQUE INDEX tables_by_name ON tables (database_id, name) WHERE dropped_at IS NULL;

-- Every object that was ever reserved and is not yet forgotten.
--   reserved   -> registered   its commit took place
--   reserved   -> revoked      it never will; the object may be deleted
--   registered -> doomed       its extents are gone for longer than the grace period
CREATE TABLE objects (
    key            text        PRIMARY KEY,
    state          text        NOT NULL CHECK (state IN ('reserved', 'registered', 'revoked', 'doomed')),
    reservation_id uuid        UNIQUE,
    writer         uuid,
    reserved_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    sequences      json
);
CREATE INDEX objects_reserved ON objects (reserved_at) WHERE state = 'reserved';
CREATE INDEX objects_doomed ON objects (key) WHERE state IN ('revoked', 'doomed');

CREATE TABLE extents (
    id            uuid     PRIMARY KEY,
    database_id   bigint   NOT NULL,
    table_id      bigint   NOT NULL,
    added_seq     bigint   NOT NULL,
    removed_seq   bigint,
    removed_at    timestamptz,
    time_start    bigint   NOT NULL,
    time_end      bigint   NOT NULL,
    level         smallint NOT NULL,
    format        text     NOT NULL,
    object_key    text     NOT NULL,
    object_offset bigint   NOT NULL,
    object_length bigint   NOT NULL,
    footer_length bigint   NOT NULL,
    row_count     bigint   NOT NULL,
    block_count   bigint   NOT NULL,
    raw_bytes     bigint   NOT NULL,
    sorted_by     text[]   NOT NULL,
    tags          text[]   NOT NULL,
    paths         json,
    bounds        json     NOT NULL
);
-- The list of a table is a walk of one of these, newest or oldest first; the other time bound is tested in the index.
CREATE INDEX extents_newest ON extents (table_id, time_end, id, time_start);
CREATE INDEX extents_oldest ON extents (table_id, time_start, id, time_end);
CREATE INDEX extents_by_object ON extents (object_key);
CREATE INDEX extents_removed ON extents (removed_at) WHERE removed_at IS NOT NULL;

-- What idempotent requests were answered.
CREATE TABLE receipts (
    database_id bigint      NOT NULL,
    key         text        NOT NULL,
    sequence    bigint      NOT NULL,
    answer      json        NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (database_id, key)
);
CREATE INDEX receipts_by_age ON receipts (created_at);

CREATE TABLE nodes (
    id           uuid        PRIMARY KEY,
    roles        text[]      NOT NULL,
    http_address text        NOT NULL,
    grpc_address text        NOT NULL,
    version      text        NOT NULL,
    zone         text        NOT NULL,
    heartbeat_at timestamptz NOT NULL
);

-- The queue. `token` rises with every claim; only the holder of the current one may renew, complete or fail.
CREATE TABLE tasks (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text        NOT NULL,
    dedup_key    text        NOT NULL,
    payload      json        NOT NULL,
    priority     integer     NOT NULL,
    state        text        NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'parked')),
    token        bigint      NOT NULL DEFAULT 0,
    attempts     integer     NOT NULL DEFAULT 0,
    attempts_max integer     NOT NULL,
    run_at       timestamptz NOT NULL,
    lease_until  timestamptz,
    node_id      uuid,
    error        text,
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE UNIQUE INDEX tasks_in_flight ON tasks (kind, dedup_key) WHERE state IN ('queued', 'running');
CREATE INDEX tasks_open ON tasks (priority DESC, run_at, id) WHERE state IN ('queued', 'running');
CREATE INDEX tasks_done ON tasks (changed_at) WHERE state = 'done';
