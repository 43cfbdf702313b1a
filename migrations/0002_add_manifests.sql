-- What a query asks before it lists extents, and indexes that find a window anywhere in time.

-- Rises whenever a table of the database is created, dropped, or changes its schema or format.
-- By trigger, so that nodes from before this migration raise it, too. Takes the lock of the database's row after that of
-- the table's row, as a commit does.
ALTER TABLE databases ADD COLUMN schema_version bigint NOT NULL DEFAULT 0;
CREATE FUNCTION raise_schema_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE databases SET schema_version = schema_version + 1 WHERE id = NEW.database_id;
    RETURN NULL;
END $$;
CREATE TRIGGER raise_schema_version AFTER INSERT OR UPDATE ON tables
    FOR EACH ROW EXECUTE FUNCTION raise_schema_version();

-- One row per table that ever had extents: what its extents add up to now. `sequence` is the latest commit that added or
-- removed some. Extents that were removed at or before `forgotten_seq` may have no row any more. Half of a page stays
-- free, so that a commit rewrites the row in its page without touching an index.
CREATE TABLE manifests (
    table_id      bigint PRIMARY KEY,
    database_id   bigint NOT NULL,
    sequence      bigint NOT NULL,
    forgotten_seq bigint NOT NULL DEFAULT 0,
    extent_count  bigint NOT NULL,
    row_count     bigint NOT NULL,
    stored_bytes  bigint NOT NULL,
    raw_bytes     bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX manifests_by_database ON manifests (database_id);

-- Rows that were forgotten before this migration are not known: nothing up to now can be caught up with.
INSERT INTO manifests (table_id, database_id, sequence, forgotten_seq, extent_count, row_count, stored_bytes, raw_bytes)
SELECT e.table_id, e.database_id, max(greatest(added_seq, removed_seq)), max(d.sequence),
       count(*) FILTER (WHERE removed_seq IS NULL),
       coalesce(sum(row_count) FILTER (WHERE removed_seq IS NULL), 0),
       coalesce(sum(object_length) FILTER (WHERE removed_seq IS NULL), 0),
       coalesce(sum(raw_bytes) FILTER (WHERE removed_seq IS NULL), 0)
FROM extents e JOIN databases d ON d.id = e.database_id
GROUP BY e.table_id, e.database_id;

-- Hexadecimal digits of an extent's duration: it is shorter than 16 ^ span nanoseconds, so an extent that ends
-- later than that after a window does not overlap it. 16 is "any length"; what a subtraction could not hold is 16, too.
ALTER TABLE extents ADD COLUMN span smallint GENERATED ALWAYS AS (
    CASE WHEN time_start < -4611686018427387904 OR time_end > 4611686018427387903 THEN 16
         ELSE length(to_hex(time_end - time_start)) END
) STORED;

-- Bounds of columns as the list can test them; see `keys.rs`. Absent for extents that are older than this migration.
ALTER TABLE extents ADD COLUMN lows integer[], ADD COLUMN highs integer[];

-- The list of a table merges walks of one of these, one per span, newest or oldest first; each is bounded at both ends
-- of time, and the time at the extent's other end is tested in the index.
DROP INDEX extents_newest;
DROP INDEX extents_oldest;
CREATE INDEX extents_newest ON extents (table_id, span, time_end, id, time_start);
CREATE INDEX extents_oldest ON extents (table_id, span, time_start, id, time_end);

-- What changed after a sequence.
CREATE INDEX extents_added ON extents (table_id, added_seq);
CREATE INDEX extents_removed_by_seq ON extents (table_id, removed_seq) WHERE removed_seq IS NOT NULL;

-- Manifests follow extents by trigger: in the transaction that changes them, whoever does, without a round trip. A commit
-- holds the lock of its database's row by then; rows of several tables are locked in the order of their ids.
CREATE FUNCTION manifests_add() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO manifests AS m
        (table_id, database_id, sequence, extent_count, row_count, stored_bytes, raw_bytes)
    SELECT table_id, database_id, max(greatest(added_seq, removed_seq)), count(*) FILTER (WHERE removed_seq IS NULL),
           coalesce(sum(row_count) FILTER (WHERE removed_seq IS NULL), 0),
           coalesce(sum(object_length) FILTER (WHERE removed_seq IS NULL), 0),
           coalesce(sum(raw_bytes) FILTER (WHERE removed_seq IS NULL), 0)
    FROM added GROUP BY table_id, database_id ORDER BY table_id
    ON CONFLICT (table_id) DO UPDATE SET
        sequence     = greatest(m.sequence, excluded.sequence),
        extent_count = m.extent_count + excluded.extent_count,
        row_count    = m.row_count + excluded.row_count,
        stored_bytes = m.stored_bytes + excluded.stored_bytes,
        raw_bytes    = m.raw_bytes + excluded.raw_bytes;
    RETURN NULL;
END $$;

CREATE FUNCTION manifests_remove() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE manifests m SET
        sequence     = greatest(m.sequence, gone.sequence),
        extent_count = m.extent_count - gone.extent_count,
        row_count    = m.row_count - gone.row_count,
        stored_bytes = m.stored_bytes - gone.stored_bytes,
        raw_bytes    = m.raw_bytes - gone.raw_bytes
    FROM (
        SELECT n.table_id, max(n.removed_seq) AS sequence, count(*) AS extent_count, sum(n.row_count) AS row_count,
               sum(n.object_length) AS stored_bytes, sum(n.raw_bytes) AS raw_bytes
        FROM after n JOIN before o ON o.id = n.id
        WHERE o.removed_seq IS NULL AND n.removed_seq IS NOT NULL GROUP BY n.table_id
    ) gone
    WHERE m.table_id = gone.table_id;
    RETURN NULL;
END $$;

CREATE FUNCTION manifests_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM manifests WHERE table_id IN (SELECT table_id FROM forgotten) ORDER BY table_id FOR NO KEY UPDATE;
    UPDATE manifests m SET forgotten_seq = greatest(m.forgotten_seq, gone.sequence)
    FROM (SELECT table_id, max(removed_seq) AS sequence FROM forgotten GROUP BY table_id) gone
    WHERE m.table_id = gone.table_id;
    RETURN NULL;
END $$;

CREATE TRIGGER manifests_add AFTER INSERT ON extents
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION manifests_add();
CREATE TRIGGER manifests_remove AFTER UPDATE ON extents
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION manifests_remove();
CREATE TRIGGER manifests_forget AFTER DELETE ON extents
    REFERENCING OLD TABLE AS forgotten FOR EACH STATEMENT EXECUTE FUNCTION manifests_forget();
