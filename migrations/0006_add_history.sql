-- What was: when extents came, which sequence a database had when, and drops that can be undone.

-- When an extent was added, for rows without an event time. What is older than this migration counts from it.
ALTER TABLE extents ADD COLUMN added_at timestamptz NOT NULL DEFAULT now();

-- The last sequence that a database took in a second, in seconds since 1970. Where no row tells, the one before does. Half of
-- a page stays free, so that a commit in a second that has a row rewrites it in its page.
CREATE TABLE sequence_times (
    database_id bigint NOT NULL REFERENCES databases (id),
    second      bigint NOT NULL,
    sequence    bigint NOT NULL,
    PRIMARY KEY (database_id, second)
) WITH (fillfactor = 50);

-- By trigger, so that nodes from before this migration are seen, too. The lock of the database's row puts commits in
-- order: a later sequence has a later time, or the same.
CREATE FUNCTION note_sequence_time() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sequence_times (database_id, second, sequence)
    VALUES (NEW.id, floor(extract(epoch FROM clock_timestamp())), NEW.sequence)
    ON CONFLICT (database_id, second) DO UPDATE SET sequence = excluded.sequence;
    RETURN NULL;
END $$;
CREATE TRIGGER note_sequence_time AFTER INSERT OR UPDATE OF sequence ON databases
    FOR EACH ROW EXECUTE FUNCTION note_sequence_time();
INSERT INTO sequence_times (database_id, second, sequence)
SELECT id, floor(extract(epoch FROM clock_timestamp())), sequence FROM databases;

-- Sequences before this one are not complete, whatever is left to see of why. What tables there were before this migration is
-- not known.
ALTER TABLE databases ADD COLUMN complete_from bigint NOT NULL DEFAULT 0;
UPDATE databases SET complete_from = sequence;

-- A table is seen by sequences before `dropped_seq`. It is given up when its drop can not be undone any more: its extents
-- are then removed as of the drop. Dropped before this migration: its extents were removed at once.
ALTER TABLE tables ADD COLUMN dropped_seq bigint, ADD COLUMN given_up boolean NOT NULL DEFAULT false;
UPDATE tables SET given_up = true WHERE dropped_at IS NOT NULL;
CREATE INDEX tables_dropped ON tables (dropped_at) WHERE dropped_at IS NOT NULL;

-- A node from before this migration drops a table by removing its extents at the sequence that it takes next, under the lock
-- that this takes first: such a drop can not be undone, and is known to sequences all the same.
CREATE FUNCTION give_up_old_drop() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT sequence + 1 INTO NEW.dropped_seq FROM databases WHERE id = NEW.database_id FOR UPDATE;
    NEW.given_up := true;
    RETURN NEW;
END $$;
CREATE TRIGGER give_up_old_drop BEFORE UPDATE ON tables FOR EACH ROW
    WHEN (OLD.dropped_at IS NULL AND NEW.dropped_at IS NOT NULL AND NEW.dropped_seq IS NULL)
    EXECUTE FUNCTION give_up_old_drop();

-- Sequences that do not see a table because its drop was undone later: `dropped_seq` is the first of them, `restored_seq` the
-- first that sees it again.
CREATE TABLE table_gaps (
    table_id     bigint NOT NULL REFERENCES tables (id),
    dropped_seq  bigint NOT NULL,
    restored_seq bigint NOT NULL,
    PRIMARY KEY (table_id, dropped_seq)
);

-- What an operation has come to so far, for people: an object, or nothing.
ALTER TABLE operations ADD COLUMN details text NOT NULL DEFAULT '';
