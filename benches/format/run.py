#!/usr/bin/env python3
"""TLM beside Parquet (zstd-3) and ClickHouse (MergeTree, ZSTD), on the same rows in the same order, in the same run.

  python3 benches/format/run.py [--out docs/benchmarks-format.md] [--only nezha_logs,...] [--rows 2000000] [--json FILE]

Loads the shared real data (KYMA_SHARED, default ../shared) and generated rows. `kyma-bench-format` stores each table as TLM at
both levels, checks that every row reads back, asks its questions, and hands the flattened rows over as Arrow; here they become
Parquet and a MergeTree. All times are CPU seconds of one thread. Python packages that are missing go into a throw-away folder.

Data sets: nezha_logs and nezha_spans (by pod and time), zeek as one table and as one per log type, sentinel (one table per
file), generated (`tools/peers_gen.py`, by service, host and time).
"""
import argparse
import csv
import io
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("KYMA_SHARED", ROOT.parent / "shared"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
PACKAGES = ["chdb==4.4.*", "datafusion==55.*", "pyarrow", "numpy"]
CACHE = pathlib.Path(tempfile.gettempdir()) / "kyma-bench-format"
NAMES = ["nezha_logs", "nezha_spans", "zeek", "zeek_by_type", "sentinel", "generated"]
# A string column with at most so many values is LowCardinality in ClickHouse.
LOW_CARDINALITY_MAX = 10_000
REPEAT_SECONDS = 0.5
TIME_NAMES = ["timestamp", "@timestamp", "time", "ts", "_time", "timegenerated", "datetime", "eventtime", "event_time"]
IDENTITY_NAMES = ["service", "app", "application", "pod", "container", "host", "hostname", "computer", "source", "system"]
# What must hold, from the design: the bound of each figure.
PARQUET_MEAN_MAX, PARQUET_WORST_MAX, CLICKHOUSE_MEAN_MAX = 0.65, 0.9, 0.8
NEZHA_BYTES_MAX = 5_500_000
INDEX_SHARE_MAX, ENCODE_MB_MIN, DECODE_RATIO_MAX, HAS_SPEEDUP_MIN = 0.05, 60, 1.0, 5
NEEDLE_PAGES_MAX = 2
HOLDING_REQUESTS_MAX, HOLDING_BYTES_MAX = 3, 200 * 1024
OTHER_REQUESTS_MAX, OTHER_BYTES_MAX = 1, 64 * 1024


def libraries(folder):
    try:
        import chdb, datafusion, numpy, pyarrow  # noqa: F401
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", folder, *PACKAGES], check=True)
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])


def say(text):
    print(text, file=sys.stderr, flush=True)


# Data sets: each gives a list of tables {"path", "table", "time", "sort", "text"?, "id"?}.


def shared(name):
    path = SHARED / "data" / name
    if not path.exists():
        sys.exit(f"{path} is missing: KYMA_SHARED must name the folder with the shared data (here {SHARED})")
    return str(path)


def nezha_logs(_folder, _rows):
    return [dict(path=shared("nezha_logs.ndjson.zst"), table="nezha_logs", time="timestamp", sort=["k8s.pod"], text="message", id="trace_id")]


def nezha_spans(_folder, _rows):
    return [dict(path=shared("nezha_spans.ndjson.zst"), table="nezha_spans", time="start_unix_nano", sort=["pod"], id="trace_id")]


def zeek(_folder, _rows):
    return [dict(path=shared("zeek.ndjson.zst"), table="zeek", time="ts", sort=["_path"], id="uid")]


def zeek_by_type(folder, _rows):
    text = subprocess.run(["zstd", "-dqc", shared("zeek.ndjson.zst")], check=True, stdout=subprocess.PIPE).stdout
    by_type = {}
    for line in text.splitlines():
        by_type.setdefault(json.loads(line)["_path"], []).append(line)
    tables = []
    for name, lines in sorted(by_type.items()):
        path = f"{folder}/zeek_{name}.ndjson"
        pathlib.Path(path).write_bytes(b"\n".join(lines) + b"\n")
        tables.append(dict(path=path, table=f"zeek_{name}", time="ts", sort=[]))
    return tables


def sentinel(folder, _rows):
    archive = shared("sentinel_sample_data.tar.zst")
    plain = f"{folder}/sentinel.tar"
    subprocess.run(["zstd", "-dqfo", plain, archive], check=True)
    tables = []
    with tarfile.open(plain) as tar:
        for member in sorted((member for member in tar if member.isfile()), key=lambda member: member.name):
            rows = sentinel_rows(pathlib.PurePath(member.name), tar.extractfile(member).read())
            if not rows:
                continue
            name = re.sub(r"\W+", "_", member.name.split("/", 1)[1])
            path = f"{folder}/{name}.ndjson"
            with open(path, "w") as out:
                out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            keys = {key.lower(): key for key in rows[0]}
            times = [keys[name] for name in TIME_NAMES if name in keys]
            identities = [keys[name] for name in IDENTITY_NAMES if name in keys]
            tables.append(dict(path=path, table=name, time=(times or ["_ingestion_time"])[0], sort=identities[:3]))
    return tables


def sentinel_rows(name, data):
    """The objects of a JSON list, the records of a CSV file, the lines of a log; nothing for other files."""
    text = data.decode("utf-8-sig", errors="replace")
    if name.suffix == ".csv":
        return typed(list(csv.DictReader(io.StringIO(text))))
    if name.suffix in (".txt", ".log"):
        return [{"line": line} for line in text.splitlines() if line.strip()]
    if name.suffix != ".json" or name.name == "INDEX.json":
        return []
    value = json.loads(text)
    rows = value if isinstance(value, list) else [value]
    return [row for row in rows if isinstance(row, dict)]


def typed(records):
    """Fields of a column that are all integers become integers, as ingest reads them."""
    rows = [{key: value for key, value in record.items() if isinstance(key, str) and key and isinstance(value, str) and value} for record in records]
    texts = {key for row in rows for key, value in row.items() if not re.fullmatch(r"0|-?[1-9]\d{0,17}", value)}
    return [{key: value if key in texts else int(value) for key, value in row.items()} for row in rows]


def generated(_folder, rows):
    CACHE.mkdir(exist_ok=True)
    path = CACHE / f"generated-{rows}-42.ndjson"
    if not path.exists():
        say(f"generating {rows:,} rows")
        part = f"{path}.part"
        subprocess.run([sys.executable, str(SHARED / "tools/peers_gen.py"), str(rows), part, "42"], check=True)
        os.replace(part, path)
    return [dict(path=str(path), table="generated", time="timestamp", sort=["service", "host"], text="message", id="trace_id")]


# Measuring.


def cpu_seconds(run, seconds=REPEAT_SECONDS, pick=statistics.mean):
    """CPU seconds of `run`, picked of runs that take `seconds` together after a first one, and its answer."""
    answer = run()
    times = []
    while sum(times) < seconds or len(times) < 3:
        before = time.process_time()
        run()
        times.append(time.process_time() - before)
    return pick(times), answer


def tlm(table, arrow):
    command = [str(TARGET / "release/kyma-bench-format"), table["path"], "--table", table["table"], "--time", table["time"], "--flat", arrow]
    for option in ("text", "id"):
        command += [f"--{option}", table[option]] if option in table else []
    command += ["--sort", ",".join(table["sort"])] if table["sort"] else []
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def parquet(arrow, folder, level):
    import pyarrow
    import pyarrow.parquet
    with pyarrow.memory_map(arrow) as file:
        table = pyarrow.ipc.open_file(file).read_all()
    path = f"{folder}/zstd-{level}.parquet"
    before = time.process_time()
    pyarrow.parquet.write_table(table, path, compression="zstd", compression_level=level)
    encode = time.process_time() - before
    return path, os.path.getsize(path), encode


def parquet_columns(path):
    import pyarrow.parquet
    metadata = pyarrow.parquet.read_metadata(path)
    sizes = {}
    for group in range(metadata.num_row_groups):
        for at in range(metadata.num_columns):
            column = metadata.row_group(group).column(at)
            sizes[column.path_in_schema] = sizes.get(column.path_in_schema, 0) + column.total_compressed_size
    return sizes


def clickhouse(tables, arrows):
    import pyarrow
    import pyarrow.compute as compute
    tasks = []
    for table, arrow in zip(tables, arrows):
        with pyarrow.memory_map(arrow) as file:
            rows = pyarrow.ipc.open_file(file).read_all()
        low = [name for name, column in zip(rows.column_names, rows.columns)
               if pyarrow.types.is_string(column.type) and compute.count_distinct(column).as_py() <= min(LOW_CARDINALITY_MAX, rows.num_rows // 4)]
        keys = [*table["sort"], table["time"]]
        tasks.append(dict(path=arrow, order=[key for key in keys if key in rows.column_names], low_cardinality=low))
    script = pathlib.Path(__file__).with_name("clickhouse.py")
    done = subprocess.run([sys.executable, str(script)], input=json.dumps(tasks).encode(), check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def rival_queries(question):
    """SQL with the same answer; the fastest counts."""
    column, needle = f'"{question["column"]}"', question["needle"]
    if question["op"] == "==":
        return [f"select count(*) from t where {column} = '{needle}'"]
    term = f"regexp_like({column}, '(?i)(^|[^\\pL\\pN]){needle}([^\\pL\\pN]|$)')"
    return [
        f"select count(*) from t where {term}",
        f"select count(*) from t where {column} ilike '%{needle}%' and {term}",
        f"select count(*) from t where strpos(lower({column}), '{needle.lower()}') > 0 and {term}",
    ]


def ask_parquet(path, questions):
    import datafusion
    context = datafusion.SessionContext(datafusion.SessionConfig().with_target_partitions(1))
    context.register_parquet("t", path)
    for question in questions:
        best = math.inf
        for sql in rival_queries(question):
            seconds, table = cpu_seconds(lambda: context.sql(sql).to_arrow_table())
            hits = table.column(0)[0].as_py()
            assert hits == question["hits"], (sql, hits, question["hits"])
            best = min(best, seconds)
        question["parquet_seconds"] = best


def measure(name, folder, rows):
    import pyarrow.parquet
    tables = globals()[name](folder, rows)
    sums = dict(name=name, tables=len(tables), rows=0, raw=0, ids=0, level0=0, level1=0, data=0, index=0, footer=0, parquet=0, parquet9=0,
                clickhouse=0, clickhouse3=0, clickhouse_disk=0, encode0=0.0, encode1=0.0, encode_parquet=0.0, decode=0.0, decode_flat=0.0, decode_parquet=0.0)
    details, arrows = [], []
    for at, table in enumerate(tables):
        arrow = f"{folder}/{at}.arrow"
        arrows.append(arrow)
        report = tlm(table, arrow)
        path, size, encode = parquet(arrow, folder, 3)
        _, size9, _ = parquet(arrow, folder, 9)
        if report["questions"]:
            ask_parquet(path, report["questions"])
        # As for TLM, the fastest counts.
        decode, _ = cpu_seconds(lambda: pyarrow.parquet.read_table(path, use_threads=False), REPEAT_SECONDS if len(tables) == 1 else 0.0, min)
        level0, level1 = report["level0"], report["level1"]
        for key, value in dict(
            rows=report["rows"], raw=report["raw_bytes"], ids=report["ids"]["bytes"], level0=level0["bytes"], level1=level1["bytes"],
            data=level1["data"], index=level1["index"], footer=level1["footer"], parquet=size, parquet9=size9, encode0=level0["encode_seconds"],
            encode1=level1["encode_seconds"], encode_parquet=encode, decode=level1["decode"]["seconds"],
            decode_flat=level1["decode"]["flat_seconds"], decode_parquet=decode,
        ).items():
            sums[key] += value
        report["parquet"], report["parquet_columns"] = size, parquet_columns(path)
        details.append(report)
    say(f"{name}: ClickHouse")
    for report, sizes in zip(details, clickhouse(tables, arrows)):
        report["clickhouse"] = sizes["ZSTD"]["compressed"]
        report["clickhouse_columns"] = sizes["ZSTD"]["columns"]
        sums["clickhouse"] += sizes["ZSTD"]["compressed"]
        sums["clickhouse_disk"] += sizes["ZSTD"]["on_disk"]
        sums["clickhouse3"] += sizes["ZSTD(3)"]["compressed"]
    for arrow in arrows:
        os.remove(arrow)
    return sums, details


# Reporting.


def mega(size):
    return f"{size / 1e6:.2f}" if size >= 1e4 or size == 0 else f"{size / 1e6:.4f}"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def sizes_table(sets):
    head = ["MB", "rows", "raw", "ids", "level 0", "level 1", "data", "index", "footer", "Parquet", "(zstd-9)", "ClickHouse", "(ZSTD(3))", "/ Parquet", "/ ClickHouse"]
    rows = []
    for s in sets:
        sizes = [mega(s[key]) for key in ("raw", "ids", "level0", "level1", "data", "index", "footer", "parquet", "parquet9", "clickhouse", "clickhouse3")]
        rows.append([s["name"], f"{s['rows']:,}", *sizes, f"**{s['level1'] / s['parquet']:.3f}**", f"**{s['level1'] / s['clickhouse']:.3f}**"])
    return table(head, rows)


def speed_table(sets):
    head = ["", "encode level 0, MB/s", "encode level 1, MB/s", "Parquet write, MB/s", "decode all, s", "decode flat, s", "Parquet, s", "all / Parquet", "flat / Parquet"]
    rows = []
    for s in sets:
        speeds = [f"{s['raw'] / 1e6 / s[key]:.0f}" for key in ("encode0", "encode1", "encode_parquet")]
        seconds = [f"{s[key]:.3f}" for key in ("decode", "decode_flat", "decode_parquet")]
        rows.append([s["name"], *speeds, *seconds, f"**{s['decode'] / s['decode_parquet']:.2f}**", f"{s['decode_flat'] / s['decode_parquet']:.2f}"])
    return table(head, rows)


def questions_table(name, questions):
    head = [name, "hits", "TLM, ms", "Parquet, ms", "times faster", "rows decoded", "pages", "of them with hits"]
    rows = [[f"{q['title']}: `{q['column']} {q['op']} {q['needle']}`", q["hits"], f"{q['seconds'] * 1e3:.2f}", f"{q['parquet_seconds'] * 1e3:.2f}",
             f"**{q['parquet_seconds'] / q['seconds']:.1f}**", q["rows_decoded"], q["pages_decoded"], q["pages_with_hits"]] for q in questions]
    return table(head, rows)


def cold_table(name, questions):
    """Requests and KiB per extent: of the index alone, until the rows are known, and with the rest of these rows."""
    head = [name, "extents with hits", "index", "and filter", "and whole rows", "extents without", "index", "and filter"]

    def cost(costs, prefix):
        return f"{costs[prefix + 'requests_max']}, {costs[prefix + 'bytes_max'] / 1024:.0f} KiB" if costs["extents"] else ""

    rows = []
    for q in questions:
        a, b = q["cold_holding"], q["cold_other"]
        rows.append([q["title"], a["extents"], cost(a, "prune_"), cost(a, ""), cost(a, "whole_rows_"), b["extents"], cost(b, "prune_"), cost(b, "")])
    return table(head, rows)


def columns_table(report):
    """Bytes per column; nested columns of the rivals count for the column they came from."""
    def owner(name):
        return name if name in report["level1"]["columns"] else name.split(".")[0]
    def grouped(sizes):
        sums = {}
        for name, size in sizes.items():
            sums[owner(name)] = sums.get(owner(name), 0) + size
        return sums
    theirs, others = grouped(report["parquet_columns"]), grouped(report["clickhouse_columns"])
    ours = sorted(report["level1"]["columns"].items(), key=lambda item: -item[1])
    rows = [[f"`{name}`", mega(report["level0"]["columns"].get(name, 0)), mega(size), mega(theirs.get(name, 0)), mega(others.get(name, 0)),
             f"{size / theirs[name]:.2f}" if theirs.get(name) else ""] for name, size in ours[:COLUMNS_SHOWN]]
    return table([f"{report['table']}, MB", "level 0", "level 1", "Parquet", "ClickHouse", "/ Parquet"], rows)


COLUMNS_SHOWN = 20
TABLES_SHOWN = 12


def tables_table(name, details):
    largest = sorted(details, key=lambda report: -report["raw_bytes"])[:TABLES_SHOWN]
    rows = [[f"`{r['table']}`", r["rows"], mega(r["raw_bytes"]), mega(r["ids"]["bytes"]), mega(r["level1"]["bytes"]), mega(r["level1"]["footer"]), mega(r["parquet"]), mega(r["clickhouse"]),
             f"{r['level1']['bytes'] / r['parquet']:.2f}", f"{r['level1']['bytes'] / r['clickhouse']:.2f}"] for r in largest]
    return table([f"{name}: largest tables", "rows", "raw", "ids", "level 1", "footer", "Parquet", "ClickHouse", "/ Parquet", "/ ClickHouse"], rows)


def targets_table(sets, asked):
    parquet_ratios = {s["name"]: s["level1"] / s["parquet"] for s in sets}
    clickhouse_ratios = {s["name"]: s["level1"] / s["clickhouse"] for s in sets}
    decode_ratios = {s["name"]: s["decode"] / s["decode_parquet"] for s in sets}
    rows = []

    def line(what, value, target, met, shown="{:.3f}"):
        rows.append([what, shown.format(value), target, "met" if met else "**missed**"])

    def worst(ratios):
        name = max(ratios, key=ratios.get)
        return name, ratios[name]

    ratio = statistics.geometric_mean(parquet_ratios.values())
    line("bytes / Parquet zstd-3, geometric mean", ratio, f"≤ {PARQUET_MEAN_MAX}", ratio <= PARQUET_MEAN_MAX)
    name, ratio = worst(parquet_ratios)
    line(f"bytes / Parquet zstd-3, worst ({name})", ratio, f"≤ {PARQUET_WORST_MAX}", ratio <= PARQUET_WORST_MAX)
    ratio = statistics.geometric_mean(clickhouse_ratios.values())
    line("bytes / ClickHouse ZSTD, geometric mean", ratio, f"≤ {CLICKHOUSE_MEAN_MAX}", ratio <= CLICKHOUSE_MEAN_MAX)
    name, ratio = worst(clickhouse_ratios)
    line(f"bytes / ClickHouse ZSTD, worst ({name})", ratio, f"≤ {CLICKHOUSE_MEAN_MAX}", ratio <= CLICKHOUSE_MEAN_MAX)
    for s in sets:
        if s["name"] == "nezha_logs":
            line("nezha_logs, MB at level 1", s["level1"] / 1e6, f"≤ {NEZHA_BYTES_MAX / 1e6}", s["level1"] <= NEZHA_BYTES_MAX, "{:.2f}")
    name, share = worst({s["name"]: s["index"] / s["raw"] for s in sets})
    line(f"index / raw, worst ({name})", share, f"≤ {INDEX_SHARE_MAX}", share <= INDEX_SHARE_MAX, "{:.4f}")
    speed, name = min((s["raw"] / 1e6 / s["encode0"], s["name"]) for s in sets)
    line(f"encode at level 0, MB/s of NDJSON per core, slowest ({name})", speed, f"≥ {ENCODE_MB_MIN}", speed >= ENCODE_MB_MIN, "{:.0f}")
    name, ratio = worst(decode_ratios)
    line(f"decode of all columns, CPU / Parquet's, worst ({name})", ratio, f"≤ {DECODE_RATIO_MAX}", ratio <= DECODE_RATIO_MAX, "{:.2f}")
    for name, questions in asked:
        for q in questions:
            faster = q["parquet_seconds"] / q["seconds"]
            if q["title"].endswith("term"):
                line(f"{name}: count where has, {q['title']}, times faster", faster, f"≥ {HAS_SPEEDUP_MIN}", faster >= HAS_SPEEDUP_MIN, "{:.1f}")
            if not q["title"].endswith("term"):
                pages, pages_max = q["pages_decoded"] - q["pages_with_hits"], NEEDLE_PAGES_MAX * (q["cold_holding"]["extents"] + q["cold_other"]["extents"])
                line(f"{name}: {q['title']}, pages decoded beyond the hits' own", pages, f"≤ {pages_max}", pages <= pages_max, "{}")
                cold(line, name, q)
    return table(["figure", "measured", "target", ""], rows)


def cold(line, name, question):
    for costs, what, requests_max, bytes_max in (
        (question["cold_holding"], "that holds it", HOLDING_REQUESTS_MAX, HOLDING_BYTES_MAX),
        (question["cold_other"], "that does not", OTHER_REQUESTS_MAX, OTHER_BYTES_MAX),
    ):
        if costs["extents"]:
            requests, size = costs["requests_max"], costs["bytes_max"]
            met = requests <= requests_max and size <= bytes_max
            line(f"{name}: cold {question['title']}, per extent {what}", f"{requests} requests, {size / 1024:.0f} KiB", f"≤ {requests_max}, ≤ {bytes_max // 1024} KiB", met, "{}")


def report(results):
    sets = [sums for sums, _ in results]
    asked = [(sums["name"], details[0]["questions"]) for sums, details in results if len(details) == 1 and details[0]["questions"]]
    parts = ["## Targets\n", targets_table(sets, asked), "## Bytes\n", sizes_table(sets), "## Speed\n", speed_table(sets), "## Questions\n"]
    parts += [part for name, questions in asked for part in (questions_table(name, questions), cold_table(name, questions))]
    parts.append("## Columns\n")
    parts += [columns_table(details[0]) if len(details) == 1 else tables_table(sums["name"], details) for sums, details in results]
    return "\n".join(parts)


NOTES = """# Benchmarks of the format

Made by `python3 benches/format/run.py --out docs/benchmarks-format.md`; see there for what is measured and how.

- Level 0 is what ingest writes (flushes of 32 MiB of lines, each sorted), level 1 what compaction writes (sorted as a whole, extents
  of about a million rows), all indexes and footers included. Parquet: pyarrow's defaults with zstd-3, same columns flattened, same
  order. ClickHouse: MergeTree, `CODEC(ZSTD)` on every column, LowCardinality where it is sensible, after `OPTIMIZE FINAL`,
  compressed bytes of the columns alone.
- ids: bytes of distinct random identifiers, which no encoder can go below.
- Times are CPU seconds of one thread; files are in memory or in the page cache. Encoding is the format's work alone, on rows that
  are decoded from JSON and sorted already. `decode all` gives columns as kyma stores them, `decode
  flat` the paths of dynamic columns as the columns that Parquet has.
- Questions at TLM: `prune`, `narrow`, `read` of the filter's column, the filter. At Parquet: DataFusion, one partition, the fastest of
  several ways to say it in SQL. Cold: footers are open, nothing else is; ranges up to 64 KiB apart are one request;
  the most that any extent took.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="generated rows")
    parser.add_argument("--only", default=",".join(NAMES), help="data sets, by comma: " + ", ".join(NAMES))
    parser.add_argument("--out", help="also write the tables to this Markdown file")
    parser.add_argument("--json", help="also write every figure to this file")
    args = parser.parse_args()
    chosen = args.only.split(",")
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"no such data set: {', '.join(sorted(unknown))}")
    shared("README.md")
    subprocess.run(["cargo", "build", "--release", "--quiet", "-p", "kyma-bench-format"], check=True, cwd=ROOT)
    results = []
    with tempfile.TemporaryDirectory(prefix="kyma-bench-") as folder:
        libraries(f"{folder}/pip")
        for name in chosen:
            say(name)
            results.append(measure(name, folder, args.rows))
    text = report(results)
    print(text)
    if args.out:
        pathlib.Path(args.out).write_text(NOTES + "\n" + text)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps([dict(sums=sums, tables=details) for sums, details in results], indent=1))


if __name__ == "__main__":
    main()
