-- A query goes by caching policies, which it keeps with what else it knows of a database.
CREATE TRIGGER raise_schema_version AFTER INSERT OR UPDATE OR DELETE ON policies
    FOR EACH ROW EXECUTE FUNCTION raise_schema_version_by_function();
