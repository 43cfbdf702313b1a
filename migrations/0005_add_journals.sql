-- How far each database is written down in the bucket, so that the catalog can be made again from there.

CREATE TABLE journals (
    database_id         bigint PRIMARY KEY REFERENCES databases (id),
    revision            bigint NOT NULL,
    sequence            bigint NOT NULL,
    definitions_version bigint NOT NULL,
    full_revision       bigint NOT NULL
);
CREATE INDEX receipts_by_sequence ON receipts (database_id, sequence, key);

-- The catalog whose journal this one was made again from.
ALTER TABLE catalog ADD COLUMN rebuilt_from uuid;

-- Rises whenever a table, function, mapping, policy or text of the database changes. By trigger, so that nodes from before this
-- migration raise it, too. Starts at 1: nothing is written down yet.
ALTER TABLE databases ADD COLUMN definitions_version bigint NOT NULL DEFAULT 1;
CREATE FUNCTION raise_definitions_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE databases SET definitions_version = definitions_version + 1 WHERE id = coalesce(NEW.database_id, OLD.database_id);
    RETURN NULL;
END $$;
CREATE FUNCTION raise_definitions_version_by_table() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE databases SET definitions_version = definitions_version + 1
    WHERE id = (SELECT database_id FROM tables WHERE id = coalesce(NEW.table_id, OLD.table_id));
    RETURN NULL;
END $$;
CREATE TRIGGER raise_definitions_version AFTER INSERT OR UPDATE ON tables
    FOR EACH ROW EXECUTE FUNCTION raise_definitions_version();
CREATE TRIGGER raise_definitions_version AFTER INSERT OR UPDATE OR DELETE ON functions
    FOR EACH ROW EXECUTE FUNCTION raise_definitions_version();
CREATE TRIGGER raise_definitions_version AFTER INSERT OR UPDATE OR DELETE ON policies
    FOR EACH ROW EXECUTE FUNCTION raise_definitions_version();
CREATE TRIGGER raise_definitions_version AFTER INSERT OR UPDATE OR DELETE ON ingestion_mappings
    FOR EACH ROW EXECUTE FUNCTION raise_definitions_version_by_table();
CREATE TRIGGER raise_definitions_version AFTER INSERT OR UPDATE OR DELETE ON table_texts
    FOR EACH ROW EXECUTE FUNCTION raise_definitions_version_by_table();
