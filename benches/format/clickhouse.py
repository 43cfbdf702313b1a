#!/usr/bin/env python3
"""Bytes that ClickHouse's MergeTree takes for Arrow files: a process of its own, because its threads never rest.

Reads `[{"path", "order": [column, ...], "low_cardinality": [column, ...]}, ...]` from standard input and prints for each file
`{codec: {"compressed", "on_disk", "columns": {name: bytes}}}`. Every column has the codec; there is no index but the sparse one
that the sort key brings. Strings are not nullable (null is ''), other columns only where nulls occur.
"""
import json
import sys
import tempfile

import chdb.session
import pyarrow

CODECS = ["ZSTD", "ZSTD(3)"]


def quoted(name):
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def column_type(field, has_nulls, low_cardinality):
    if pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type):
        return "LowCardinality(String)" if field.name in low_cardinality else "String"
    plain = {"int64": "Int64", "double": "Float64", "bool": "Bool"}.get(str(field.type), "DateTime64(9, 'UTC')")
    return f"Nullable({plain})" if has_nulls else plain


class Store:
    def __init__(self, folder):
        self.session = chdb.session.Session(folder)
        self.session.query("CREATE DATABASE bench ENGINE = Atomic")

    def rows(self, query):
        text = self.session.query(query, "JSONCompactEachRow").data()
        return [json.loads(line) for line in text.splitlines()]

    def sizes(self, task, codec):
        with pyarrow.memory_map(task["path"]) as file:
            table = pyarrow.ipc.open_file(file).read_all()
        nulls = {name: table.column(name).null_count > 0 for name in table.column_names}
        fields, values = [], []
        for field in table.schema:
            ty = column_type(field, nulls[field.name], task["low_cardinality"])
            fields.append(f"{quoted(field.name)} {ty} CODEC({codec})")
            values.append(f"ifNull({quoted(field.name)}, '')" if "String" in ty else quoted(field.name))
        order = ", ".join(quoted(name) for name in task["order"]) or "tuple()"
        self.session.query("DROP TABLE IF EXISTS bench.t SYNC")
        self.session.query(f"CREATE TABLE bench.t ({', '.join(fields)}) ENGINE = MergeTree ORDER BY ({order}) SETTINGS allow_nullable_key = 1")
        path = task["path"].replace("'", "\\'")
        self.session.query(f"INSERT INTO bench.t SELECT {', '.join(values)} FROM file('{path}', 'Arrow')")
        self.session.query("OPTIMIZE TABLE bench.t FINAL")
        [(rows, compressed, on_disk)] = self.rows(
            "SELECT toFloat64(sum(rows)), toFloat64(sum(data_compressed_bytes)), toFloat64(sum(bytes_on_disk)) FROM system.parts WHERE active AND database = 'bench'")
        assert rows == table.num_rows, (task["path"], rows, table.num_rows)
        columns = self.rows("SELECT name, toFloat64(data_compressed_bytes) FROM system.columns WHERE database = 'bench' AND table = 't'")
        return {"compressed": compressed, "on_disk": on_disk, "columns": dict(columns)}


def main():
    tasks = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="kyma-clickhouse-") as folder:
        store = Store(folder)
        answer = [{codec: store.sizes(task, codec) for codec in CODECS} for task in tasks]
        store.session.close()
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
