-- What background work needs: extents that may still be merged, snapshots that are in use, writes recognised by their content.

-- Extents below the last level; merged ones leave the index.
CREATE INDEX extents_uncompacted ON extents (table_id, added_seq) WHERE removed_seq IS NULL AND level < 2;

-- The oldest snapshot of each database that a node's queries read. Its objects are not deleted before `until`.
CREATE TABLE holds (
    node_id     uuid        NOT NULL,
    database_id bigint      NOT NULL,
    sequence    bigint      NOT NULL,
    until       timestamptz NOT NULL,
    PRIMARY KEY (node_id, database_id)
);

-- For how long a write without a key is recognised by its content; 0 is not at all.
ALTER TABLE tables ADD COLUMN deduplication_seconds bigint NOT NULL DEFAULT 0 CHECK (deduplication_seconds >= 0);

-- How many tasks there are of each kind and state.
CREATE INDEX tasks_by_kind ON tasks (kind, state) WHERE state <> 'done';
