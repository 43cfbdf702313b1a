-- What people define beside tables, and what became of commands that answer before they end. All of it as it was written.

-- A name is unique in its table whatever the kind: a request that names a mapping means one.
CREATE TABLE ingestion_mappings (
    table_id bigint NOT NULL REFERENCES tables (id),
    name     text   NOT NULL,
    kind     text   NOT NULL CHECK (kind IN ('csv', 'json')),
    mapping  json   NOT NULL,
    PRIMARY KEY (table_id, name)
);

CREATE TABLE functions (
    database_id bigint NOT NULL REFERENCES databases (id),
    name        text   NOT NULL,
    parameters  text   NOT NULL,
    body        text   NOT NULL,
    folder      text   NOT NULL,
    docstring   text   NOT NULL,
    PRIMARY KEY (database_id, name)
);

-- Functions are read with the schema: a change of one raises the version that nodes keep both by.
CREATE FUNCTION raise_schema_version_by_function() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE databases SET schema_version = schema_version + 1 WHERE id = coalesce(NEW.database_id, OLD.database_id);
    RETURN NULL;
END $$;
CREATE TRIGGER raise_schema_version AFTER INSERT OR UPDATE OR DELETE ON functions
    FOR EACH ROW EXECUTE FUNCTION raise_schema_version_by_function();

-- What is said about tables and columns: `columns` is an object of texts by column.
CREATE TABLE table_texts (
    table_id  bigint PRIMARY KEY REFERENCES tables (id),
    folder    text   NOT NULL,
    docstring text   NOT NULL,
    columns   json   NOT NULL
);

-- Of the database itself when `table_id` is 0, which no table has.
CREATE TABLE policies (
    database_id bigint NOT NULL REFERENCES databases (id),
    table_id    bigint NOT NULL,
    kind        text   NOT NULL,
    policy      json   NOT NULL,
    PRIMARY KEY (database_id, table_id, kind)
);

CREATE TABLE operations (
    id            uuid        PRIMARY KEY,
    database_name text        NOT NULL,
    kind          text        NOT NULL,
    node_id       uuid        NOT NULL,
    state         text        NOT NULL DEFAULT 'InProgress' CHECK (state IN ('InProgress', 'Completed', 'Failed')),
    status        text        NOT NULL DEFAULT '',
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX operations_by_age ON operations (started_at);
