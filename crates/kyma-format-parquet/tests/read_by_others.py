"""Reads an extent with DuckDB and with pyarrow, and compares every value with what was written.

python3 read_by_others.py extent.parquet expected.json [folder of packages]
"""
import decimal
import json
import struct
import sys
import uuid

sys.path[:0] = sys.argv[3:]
import duckdb  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

path = sys.argv[1]
expected = json.load(open(sys.argv[2]))


def real_bits(value):
    return struct.pack(">d", value).hex()


def spelled(kind, value):
    """A value as the test spells it: text for everything, so that no digit is lost."""
    if value is None:
        return None
    if kind == "bool":
        return "true" if value else "false"
    if kind == "real":
        return real_bits(value)
    if kind == "decimal":
        return str(int(value.scaleb(18, decimal.Context(prec=60))))
    if kind == "guid":
        return (uuid.UUID(bytes=value) if isinstance(value, bytes) else uuid.UUID(str(value))).hex
    return str(value)


def compare(reader, column, kind, values):
    found = [spelled(kind, value) for value in values]
    wanted = expected["columns"][column]["values"]
    assert len(found) == len(wanted), f"{reader}: {column}: {len(found)} rows, not {len(wanted)}"
    for row, (left, right) in enumerate(zip(found, wanted)):
        assert left == right, f"{reader}: {column}, row {row}: {left!r}, not {right!r}"


def with_pyarrow():
    file = pq.ParquetFile(path)
    assert file.metadata.num_rows == expected["rows"]
    assert b"kyma.identity" in file.metadata.metadata
    table = file.read()
    for column, described in expected["columns"].items():
        kind, array = described["type"], table.column(column)
        if kind == "datetime":
            assert array.type == pa.timestamp("ns", tz="UTC"), array.type
            array = array.cast(pa.int64())
        if isinstance(array.type, pa.BaseExtensionType):
            array = pa.chunked_array([chunk.storage for chunk in array.chunks])
        compare("pyarrow", column, kind, array.to_pylist())


def with_duckdb():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    types = dict(row[:2] for row in connection.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall())
    wanted_types = expected["duckdb_types"]
    for column, described in expected["columns"].items():
        kind = described["type"]
        assert types[column] in wanted_types[kind], f"duckdb: {column} is {types[column]}"
        quoted = f'"{column}"'
        has_nanoseconds = types[column].endswith("_NS")
        shown = {
            "datetime": f"epoch_ns({quoted})",
            "dynamic": f"{quoted}::VARCHAR",
            "guid": f"{quoted}::VARCHAR",
        }.get(kind, quoted)
        values = [row[0] for row in connection.execute(f"SELECT {shown} FROM '{path}'").fetchall()]
        if kind == "datetime":
            # Before its version 2, DuckDB kept times with a zone in microseconds.
            unit = 1 if has_nanoseconds else 1000
            wanted = [None if value is None else int(value) // unit * unit for value in described["values"]]
            assert values == wanted, f"duckdb: {column}"
            continue
        compare("duckdb", column, kind, values)
    # Statistics, page index and filters are used here: a wrong one loses rows.
    for column, needle, times in expected["needles"]:
        if types[column] == "UUID":
            needle = str(uuid.UUID(needle))
        literal = "'" + needle.replace("'", "''") + "'"
        sql = f"SELECT count(*) FROM '{path}' WHERE \"{column}\" = {literal}"
        count = connection.execute(sql).fetchone()[0]
        assert count == times, f"duckdb: {column} = {needle!r}: {count}, not {times}"


with_pyarrow()
with_duckdb()
print("read by pyarrow", pa.__version__, "and DuckDB", duckdb.__version__)
