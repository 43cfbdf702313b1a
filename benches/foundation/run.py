#!/usr/bin/env python3
"""Kyma beside Parquet (zstd-3) through DataFusion, on the same data, in the same run.

  python3 benches/foundation/run.py [--rows 1000000] [--repeat 7] [--out docs/benchmarks.md]

Loads the shared real logs (KYMA_SHARED, default ../shared) and generated rows into a fresh `kyma dev`, writes the same rows as
Parquet (flattened, sorted by stream and time, zstd level 3), asks both the same questions and checks that the answers agree.
kyma answers over HTTP in another process; DataFusion reads a local file inside this one, with as many threads.
Prints for each question the first run, the median of --repeat and the ratio. Needs `pip install datafusion pyarrow`
(installed into a throw-away folder when they are missing) and a release build: cargo build --release -p kyma.
"""
import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("KYMA_SHARED", ROOT.parent / "shared"))
KYMA = os.environ.get("KYMA_BIN", str(ROOT / "target/release/kyma"))
PACKAGES = ["datafusion==55.*", "pyarrow"]
TICK = os.sysconf("SC_CLK_TCK")


def libraries(folder):
    try:
        import datafusion, pyarrow  # noqa: F401
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", folder, *PACKAGES], check=True)
        sys.path.insert(0, folder)
    import datafusion
    import pyarrow
    return datafusion, pyarrow


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


@contextlib.contextmanager
def server(folder):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    log = open(f"{folder}/kyma.log", "w")
    process = subprocess.Popen([KYMA, "dev", "--listen", f"127.0.0.1:{port}", "--data-dir", f"{folder}/data"], stdout=log, stderr=log)
    for _ in range(1200):
        try:
            urllib.request.urlopen(url + "/readyz", timeout=5).read()
            break
        except OSError:
            if process.poll() is not None:
                sys.exit(open(f"{folder}/kyma.log").read())
            time.sleep(0.1)
    try:
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def ask(url, text):
    body = json.dumps({"query": text, "language": "kql", "database": "default"}).encode()
    request = urllib.request.Request(url + "/v1/query", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as response:
        return json.load(response)


def timed(repeat, run):
    times, answer = [], None
    for _ in range(repeat + 1):
        began = time.perf_counter()
        answer = run()
        times.append((time.perf_counter() - began) * 1000)
    return times[0], statistics.median(times[1:]), answer


def plain(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    return "" if value is None else value


def rows_of(table):
    return sorted(([plain(v) for v in row.values()] for row in table.to_pylist()), key=repr)


def flatten(path, pyarrow, times):
    """The NDJSON rows with nested objects as dotted columns and times as timestamps, as a Parquet user would store them."""
    import pyarrow.compute as compute
    import pyarrow.json as json_reader
    table = json_reader.read_json(path)
    while nested := [field.name for field in table.schema if pyarrow.types.is_struct(field.type)]:
        struct = pyarrow.concat_arrays(table.column(nested[0]).chunks)
        for field, column in zip(struct.type, struct.flatten()):
            table = table.append_column(f"{nested[0]}.{field.name}", column)
        table = table.drop_columns(nested[:1])
    for name in times:
        place = table.column_names.index(name)
        text = table.column(name)
        has_zone = compute.match_substring_regex(text, r"(Z|[+-]\d\d:?\d\d)$")
        text = compute.if_else(has_zone, text, compute.binary_join_element_wise(text, "Z", ""))
        table = table.set_column(place, name, text.cast(pyarrow.timestamp("ns", "UTC")))
    return table


class Suite:
    def __init__(self, url, pid, folder, repeat, datafusion, pyarrow):
        self.url, self.pid, self.folder, self.repeat = url, pid, folder, repeat
        self.datafusion, self.pyarrow, self.lines = datafusion, pyarrow, []

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def load(self, name, path, times, order):
        import pyarrow.parquet as parquet
        raw = os.path.getsize(path)
        before, began = cpu_seconds(self.pid), time.perf_counter()
        subprocess.run([KYMA, "ingest", "--url", self.url, "--database", "default", "--table", name, path], check=True, stderr=subprocess.DEVNULL)
        wall, cpu = time.perf_counter() - began, cpu_seconds(self.pid) - before
        details = ask(self.url, f"{name} | count")["rows"][0][0]
        stored = self.stored(name)
        table = flatten(path, self.pyarrow, times).sort_by([(column, "ascending") for column in order])
        file = f"{self.folder}/{name}.parquet"
        began_parquet = time.process_time()
        parquet.write_table(table, file, compression="zstd", compression_level=3)
        encode = time.process_time() - began_parquet
        size = os.path.getsize(file)
        self.say(f"### {name}: {table.num_rows:,} rows, {raw / 1e6:.1f} MB of NDJSON\n")
        self.say("| | kyma | Parquet zstd-3 | ratio |\n|---|---|---|---|")
        self.say(f"| stored, MB | {stored / 1e6:.2f} | {size / 1e6:.2f} | {stored / size:.2f} |")
        self.say(f"| stored per raw byte | {stored / raw:.4f} | {size / raw:.4f} | |")
        self.say(f"| ingest to durable, MB of NDJSON per CPU second of the node | {raw / 1e6 / cpu:.1f} | (write alone: {raw / 1e6 / encode:.1f}) | |")
        self.say(f"| ingest to durable, MB/s wall | {raw / 1e6 / wall:.1f} | | |\n")
        assert details == table.num_rows, (details, table.num_rows)
        context = self.datafusion.SessionContext(self.datafusion.SessionConfig().with_target_partitions(os.cpu_count()))
        context.register_parquet(name, file)
        return context

    def stored(self, name):
        body = json.dumps({"db": "default", "csl": f".show table {name} details"}).encode()
        request = urllib.request.Request(self.url + "/v1/rest/mgmt", body, {"Content-Type": "application/json"})
        table = json.load(urllib.request.urlopen(request))["Tables"][0]
        names = [column["ColumnName"] for column in table["Columns"]]
        return table["Rows"][0][names.index("TotalExtentSize")]

    def compare(self, context, questions):
        self.say("| question | kyma first | kyma median | Parquet first | Parquet median | ratio |\n|---|---|---|---|---|---|")
        for title, kql, sql in questions:
            first, median, answer = timed(self.repeat, lambda: ask(self.url, kql))
            first_p, median_p, table = timed(self.repeat, lambda: context.sql(sql).to_arrow_table())
            mine, theirs = sorted(([plain(v) for v in row] for row in answer["rows"]), key=repr), rows_of(table)
            agree = mine == theirs
            self.say(f"| {title} | {first:.1f} | {median:.1f} | {first_p:.1f} | {median_p:.1f} | {median / median_p:.2f}{'' if agree else ' ANSWERS DIFFER'} |")
            if not agree:
                print(f"differ: {kql}\n  kyma {mine[:3]}\n  parquet {theirs[:3]}", file=sys.stderr)
        self.say("\nMilliseconds; ratio of the medians, below 1 kyma is faster.\n")


def nezha(suite):
    path = f"{suite.folder}/nezha.ndjson"
    subprocess.run(["zstd", "-dqfo", path, str(SHARED / "data/nezha_logs.ndjson.zst")], check=True)
    context = suite.load("nezha", path, ["timestamp"], ["k8s.pod", "time_unix_nano"])
    needle = ask(suite.url, "nezha | where isnotempty(trace_id) | take 1 | project trace_id")["rows"][0][0]
    suite.compare(context, [
        ("count everything", "nezha | count", "select count(*) from nezha"),
        ("full scan: aggregates of a number", "nezha | summarize min(time_unix_nano), max(time_unix_nano), s = sum(time_unix_nano / 1000000000)",
         "select min(time_unix_nano), max(time_unix_nano), sum(time_unix_nano / 1000000000) from nezha"),
        ("group by two columns", "nezha | summarize count() by stream, system", 'select stream, system, count(*) from nezha group by 1, 2'),
        ("group by pod (nested)", "nezha | summarize count() by pod = tostring(k8s.pod)", 'select "k8s.pod", count(*) from nezha group by 1'),
        ("distinct traces", "nezha | distinct trace_id | count", "select count(*) from (select distinct trace_id from nezha)"),
        ("needle: one trace id", f"nezha | where trace_id == '{needle}' | count", f"select count(*) from nezha where trace_id = '{needle}'"),
        ("substring over all lines", "nezha | where message contains_cs 'error' | count", "select count(*) from nezha where message like '%error%'"),
        ("all lines, length", "nezha | summarize s = sum(strlen(message))", "select sum(character_length(message)) from nezha"),
    ])


def generated(suite, rows):
    path = f"{suite.folder}/shop.ndjson"
    with open(path, "w") as out:
        began = time.perf_counter()
        subprocess.run([KYMA, "generate", "--rows", str(rows), "--seed", "42"], check=True, stdout=out)
        suite.say(f"`kyma generate`: {rows / (time.perf_counter() - began):,.0f} rows/s\n")
    context = suite.load("shop", path, ["Timestamp"], ["Service", "Pod", "Timestamp"])
    needle = ask(suite.url, "shop | where Level == 'Error' | take 1 | project TraceId")["rows"][0][0]
    suite.compare(context, [
        ("count everything", "shop | count", "select count(*) from shop"),
        ("full scan: sum, min, max of a real", "shop | summarize sum(DurationMs), min(DurationMs), max(DurationMs)",
         'select sum("DurationMs"), min("DurationMs"), max("DurationMs") from shop'),
        ("group by service and level", "shop | summarize count() by Service, Level", 'select "Service", "Level", count(*) from shop group by 1, 2'),
        ("group by route, average (nested)", "shop | summarize n = count(), a = max(DurationMs) by tostring(Attributes.http.route)",
         'select "Attributes.http.route", count(*), max("DurationMs") from shop group by 1'),
        ("nested filter: status >= 500", "shop | where Attributes.http.status >= 500 | summarize count() by Service",
         'select "Service", count(*) from shop where "Attributes.http.status" >= 500 group by 1'),
        ("needle: one trace id", f"shop | where TraceId == '{needle}' | count", f"select count(*) from shop where \"TraceId\" = '{needle}'"),
        ("substring over all messages", "shop | where Message contains_cs 'exhausted' | count", "select count(*) from shop where \"Message\" like '%exhausted%'"),
        ("histogram by minute", "shop | summarize n = count() by t = bin(Timestamp, 1m) | summarize count(), max(n)",
         "select count(*), max(n) from (select date_bin(interval '1 minute', \"Timestamp\") t, count(*) n from shop group by 1)"),
        ("last 100 of a service", "shop | where Service == 'payments' | top 100 by Timestamp | summarize count()",
         "select count(*) from (select * from shop where \"Service\" = 'payments' order by \"Timestamp\" desc limit 100)"),
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--out", help="also write the tables to this Markdown file")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kyma-bench-") as folder:
        datafusion, pyarrow = libraries(f"{folder}/pip")
        with server(folder) as (url, pid):
            suite = Suite(url, pid, folder, args.repeat, datafusion, pyarrow)
            nezha(suite)
            generated(suite, args.rows)
    if args.out:
        out = pathlib.Path(args.out)
        begin, end = "<!-- peers: begin -->", "<!-- peers: end -->"
        before = out.read_text() if out.exists() else ""
        peers = begin + before.split(begin, 1)[1].split(end, 1)[0] + end + "\n\n" if begin in before else ""
        head = "## Beside Parquet\n\nMade by `python3 benches/foundation/run.py --out docs/benchmarks.md` on two cores; see there for what is measured and how.\n\n"
        out.write_text("# Benchmarks\n\n" + peers + head + "\n".join(suite.lines) + "\n")


if __name__ == "__main__":
    main()
