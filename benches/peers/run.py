#!/usr/bin/env python3
"""kyma beside ClickHouse (with and without its text index), DuckDB on Parquet and, when given, VictoriaLogs: same rows, same questions.

  python3 benches/peers/run.py [--rows 2000000] [--repeat 7] [--victorialogs BINARY] [--flat] [--out docs/benchmarks.md] [--json FILE]
  python3 benches/peers/run.py --engines kyma --only Q1,Q10 --no-cold      (while working on one question)
  python3 benches/peers/run.py --sets operators --engines kyma,duckdb --rows 1000000 --out docs/benchmarks-kql.md
                                                                           (KQL's operators beside DuckDB's SQL)

The rows are made by the shared generator (KYMA_SHARED, default ../shared; seed 42) and kept in --data for the next run; the real
logs come from the shared data. Engines run one after the other, each in a process of its own with every core; each is loaded with
its best sensible schema, started anew and asked every question: the first run, three to warm up, then the median of --repeat runs
(hot), at last once in a fresh process with the page cache dropped where the system lets us (cold). Answers are compared row by row.

kyma answers over HTTP with JSON from another process; ClickHouse (chdb) and DuckDB run inside a Python process, without HTTP.
Needs a release build (cargo build --release -p kyma) and `pip install chdb duckdb` (installed when missing). The exit code is 1
when answers differ.
"""
import argparse
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import engines as known  # noqa: E402
from questions import GENERATED, NEZHA, OPERATORS  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SHARED = pathlib.Path(os.environ.get("KYMA_SHARED", ROOT.parent / "shared"))
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
KYMA = os.environ.get("KYMA_BIN", str(TARGET / "release/kyma"))
# Runs after the first that do not count: threads find their memory and their code.
WARM_UP = 3

LOGS = {
    "clickhouse": "timestamp DateTime64(6, 'UTC'), service LowCardinality(String), host LowCardinality(String), level LowCardinality(String), "
                  "status UInt16, latency_ms Float64, trace_id String CODEC(ZSTD), message String CODEC(ZSTD)",
    "clickhouse_indexes": ["INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1",
                           "INDEX by_term message TYPE text(tokenizer = 'splitByNonAlpha')"],
    "clickhouse_order": "(service, timestamp)",
    "clickhouse_select": ["*"],
    "clickhouse_input": "timestamp DateTime64(6, \\'UTC\\'), service String, host String, level String, status UInt16, latency_ms Float64, trace_id String, message String",
    "duckdb_select": "*",
    "duckdb_input": "{timestamp: 'TIMESTAMP', service: 'VARCHAR', host: 'VARCHAR', level: 'VARCHAR', status: 'INTEGER', latency_ms: 'DOUBLE', trace_id: 'VARCHAR', message: 'VARCHAR'}",
    "duckdb_order": "service, timestamp",
}
REAL = {
    "clickhouse": "timestamp DateTime64(9, 'UTC'), time_unix_nano Int64, k8s JSON, trace_id String CODEC(ZSTD), span_id String CODEC(ZSTD), "
                  "stream LowCardinality(String), message String CODEC(ZSTD), system LowCardinality(String), part LowCardinality(String)",
    "clickhouse_indexes": ["INDEX by_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1",
                           "INDEX by_term message TYPE text(tokenizer = 'splitByNonAlpha')"],
    "clickhouse_order": "timestamp",
    "clickhouse_select": ["*"],
    "clickhouse_input": "timestamp DateTime64(9, \\'UTC\\'), time_unix_nano Int64, k8s JSON, trace_id String, span_id String, stream String, message String, system String, part String",
    "duckdb_select": "*",
    "duckdb_input": "{timestamp: 'TIMESTAMP_NS', time_unix_nano: 'BIGINT', k8s: 'STRUCT(node VARCHAR, pod VARCHAR, container VARCHAR)', trace_id: 'VARCHAR', "
                    "span_id: 'VARCHAR', stream: 'VARCHAR', message: 'VARCHAR', system: 'VARCHAR', part: 'VARCHAR'}",
    "duckdb_order": "timestamp",
}


def libraries():
    try:
        import chdb, duckdb  # noqa: F401
    except ImportError:
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "chdb", "duckdb"], check=True)


def generated(folder, rows):
    path = pathlib.Path(folder) / f"generated-{rows}-42.ndjson"
    if not path.exists() or not pathlib.Path(f"{path}.meta").exists():
        print(f"making {rows:,} rows in {path} ...", file=sys.stderr)
        subprocess.run([sys.executable, str(SHARED / "tools/peers_gen.py"), str(rows), str(path), "42"], check=True)
    return str(path), json.loads(pathlib.Path(f"{path}.meta").read_text())


def real_logs(folder):
    path = pathlib.Path(folder) / "nezha.ndjson"
    if not path.exists():
        subprocess.run(["zstd", "-dqfo", str(path), str(SHARED / "data/nezha_logs.ndjson.zst")], check=True)
    with open(path) as lines:
        ids = [json.loads(line).get("trace_id") for _, line in zip(range(5000), lines)]
    return str(path), {"trace": [one for one in ids if one][-1], "service": ""}


def plain(value):
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if hasattr(value, "isoformat"):
        value = value.isoformat(sep=" ")
    if isinstance(value, str) and len(value) >= 19 and value[4] == "-" and value[10] in " T":
        # Microseconds: what all engines print.
        whole, _, fraction = value.replace("T", " ").rstrip("Z").partition(".")
        return f"{whole}.{fraction[:6]}".rstrip("0").rstrip(".")
    if isinstance(value, str) and value.lstrip("-").isdigit() and len(value) < 19:
        return int(value)  # ClickHouse quotes its 64-bit integers.
    return "" if value is None else value


def same(question, mine, theirs):
    """Whether two answers agree: as sets of rows, exactly or within the tolerance."""
    mine, theirs = (sorted(([plain(v) for v in row] for row in rows), key=repr) for rows in (mine, theirs))
    if not question.approximate:
        return mine == theirs
    if len(mine) != len(theirs):
        return False
    pairs = [(a, b) for left, right in zip(mine, theirs) for a, b in zip(left, right)]
    numbers = [(a, b) for a, b in pairs if isinstance(a, (int, float))]
    labels_differ = sum(a != b for a, b in pairs if isinstance(a, str))
    # The last of a top 10 may be another one where two services are as slow as each other.
    return labels_differ <= 1 and all(abs(a - b) <= question.tolerance * max(abs(a), abs(b)) for a, b in numbers) or labels_differ == 1


class Run:
    def __init__(self, args):
        self.args, self.figures = args, {"load": {}, "questions": {}, "memory": {}}
        self.answers = {}

    def data(self, name, engine_class, make, table, path, meta, schema, questions):
        engine = make()
        try:
            cpu, began = engine.cpu_seconds(), time.perf_counter()
            engine.load(table, path, schema)
            wall, cpu = time.perf_counter() - began, engine.cpu_seconds() - cpu
            load = {"cpu": cpu, "wall": wall, "stored": engine.stored(table), "raw": os.path.getsize(path), "memory": engine.peak_memory()}
            self.figures["load"].setdefault(name, {})[engine.NAME] = load
            print(f"{name}: {engine.NAME} loaded: {cpu:.1f} CPU s, {wall:.1f} s, {load['stored'] / 1e6:.1f} MB, {load['memory'] / 1e6:.0f} MB of memory", file=sys.stderr)
            if self.args.settle:
                time.sleep(self.args.settle)
            engine.restart(drop=False)
            asked = [one for one in questions if not self.args.only or one.name in self.args.only]
            texts = {one.name: getattr(one, engine.LANGUAGE).replace("{t}", table).replace("{trace}", meta["trace"]).replace("{service}", meta["service"])
                     for one in asked if getattr(one, engine.LANGUAGE)}
            for one in asked:
                if one.name in texts:
                    self.hot(name, engine, one, texts[one.name])
            self.figures["memory"].setdefault(name, {})[engine.NAME] = engine.peak_memory()
            for one in asked:
                if one.name in texts and not self.args.no_cold:
                    self.figures["dropped"] = engine.restart()
                    cold, _ = engine.ask(texts[one.name])
                    self.figures["questions"][name][one.name][engine.NAME]["cold"] = cold
            if self.args.flat and name == "generated" and engine.NAME == "kyma":
                self.flat(engine, table, path, schema, texts)
        finally:
            engine.stop()

    def flat(self, engine, table, path, schema, texts):
        """The questions that should not get slower with five times the rows."""
        once = {name: self.median(engine, texts[name]) for name in ("Q7", "Q10")}
        more, _ = generated(self.args.data, 5 * self.args.rows)
        engine.load("five", more, schema)
        five = {name: text.replace(f"{table} |", "five |", 1) for name, text in texts.items()}
        self.figures["flat"] = {name: (once[name], self.median(engine, five[name])) for name in once}

    def median(self, engine, text):
        engine.ask(text)
        return statistics.median(engine.ask(text)[0] for _ in range(4 * self.args.repeat))

    def hot(self, name, engine, question, text):
        first, rows = engine.ask(text)
        for _ in range(WARM_UP):
            engine.ask(text)
        times = [engine.ask(text)[0] for _ in range(self.args.repeat)]
        figures = {"first": first, "hot": statistics.median(times), "rows": len(rows)}
        self.figures["questions"].setdefault(name, {}).setdefault(question.name, {})[engine.NAME] = figures
        self.answers[(name, question.name, engine.NAME)] = rows
        print(f"  {question.name:4} {engine.NAME}: first {first:.1f}, hot {figures['hot']:.1f} ms, {len(rows)} rows", file=sys.stderr)

    def compare(self, name, questions):
        differ = []
        for question in questions:
            answers = {engine: rows for (data, asked, engine), rows in self.answers.items() if (data, asked) == (name, question.name)}
            for engine, rows in answers.items():
                if "kyma" in answers and engine != "kyma" and not same(question, answers["kyma"], rows):
                    differ.append((name, question.name, engine))
                    print(f"ANSWERS DIFFER: {name} {question.name}: kyma {sorted(answers['kyma'], key=repr)[:3]} {engine} {sorted(rows, key=repr)[:3]}", file=sys.stderr)
        return differ


def table(lines, head, rows):
    lines.append("| " + " | ".join(head) + " |")
    lines.append("|" + "---|" * len(head))
    lines.extend("| " + " | ".join(row) + " |" for row in rows)
    lines.append("")


def report(run, sets, differ):
    lines = []
    for name, (title, questions) in sets.items():
        loads = run.figures["load"].get(name, {})
        if not loads:
            continue
        lines += [f"### {title}", ""]
        table(lines, ["loaded, durable, with all indexes", *loads],
              [["CPU s", *(f"{one['cpu']:.1f}" for one in loads.values())], ["wall s", *(f"{one['wall']:.1f}" for one in loads.values())],
               ["stored MB", *(f"{one['stored'] / 1e6:.1f}" for one in loads.values())],
               ["peak memory of the load, MB", *(f"{one['memory'] / 1e6:.0f}" for one in loads.values())],
               ["peak memory of the questions, MB", *(f"{run.figures['memory'][name][one] / 1e6:.0f}" for one in loads)]])
        for kind, heading in (("hot", "median of the repeated runs, ms"), ("first", "first run in a loaded engine, ms"), ("cold", "first run of a fresh process, ms")):
            rows = []
            for question in questions:
                figures = {engine: one[kind] for engine, one in run.figures["questions"].get(name, {}).get(question.name, {}).items() if kind in one}
                if "kyma" not in figures:
                    continue
                rivals = [value for engine, value in figures.items() if engine != "kyma"]
                ratio = min(rivals) / figures["kyma"] if rivals else float("nan")
                verdict = "" if not rivals or kind != "hot" else ("yes" if ratio >= question.ahead else f"**no** (wants {question.ahead:g})")
                marks = {engine: " (differs)" for data, asked, engine in differ if (data, asked) == (name, question.name)}
                rows.append([f"{question.name} {question.title}", *(f"{figures[engine]:.1f}{marks.get(engine, '')}" if engine in figures else "" for engine in loads),
                             f"{ratio:.2f}", *([verdict] if kind == "hot" else [])])
            if rows:
                table(lines, [heading, *loads, "best rival / kyma", *(["level?"] if kind == "hot" else [])], rows)
    return lines


def flat_lines(figures, rows):
    lines = []
    table(lines, [f"kyma, median ms over {rows:,} rows and over five times as many", "once", "five times", "ratio"],
          [[name, f"{once:.1f}", f"{five:.1f}", f"{five / once:.2f}"] for name, (once, five) in figures.items()])
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="generated rows (default %(default)s)")
    parser.add_argument("--repeat", type=int, default=7, help="runs whose median counts (default %(default)s)")
    parser.add_argument("--data", default=os.path.join(tempfile.gettempdir(), "kyma-bench-format"), help="folder that keeps the rows (default %(default)s)")
    parser.add_argument("--engines", default="kyma,clickhouse,clickhouse-text,duckdb", help="which to run (default %(default)s)")
    parser.add_argument("--only", default="", help="questions, such as Q1,Q10")
    parser.add_argument("--sets", default="generated,nezha", help="which rows and questions: generated, nezha, operators (default %(default)s)")
    parser.add_argument("--victorialogs", help="path of its binary; not run without")
    parser.add_argument("--no-cold", action="store_true", help="skip the runs in fresh processes")
    parser.add_argument("--settle", type=float, default=0, help="seconds to wait after the load for background work")
    parser.add_argument("--flat", action="store_true", help="then load five times as many rows (made once, 3 GB) and ask kyma Q7 and Q10 of them")
    parser.add_argument("--out", help="write the tables to this Markdown file, in place of its part about peers")
    parser.add_argument("--json", help="write every figure to this file")
    args = parser.parse_args()
    args.only = set(filter(None, args.only.split(",")))
    libraries()
    pathlib.Path(args.data).mkdir(parents=True, exist_ok=True)
    run, wanted = Run(args), args.engines.split(",") + (["victorialogs"] if args.victorialogs else [])
    sets = {"generated": (f"{args.rows:,} generated rows", GENERATED), "nezha": ("nezha: real logs of microservices", NEZHA),
            "operators": (f"Operators over {args.rows:,} generated rows", OPERATORS)}
    sources = {"generated": (lambda: generated(args.data, args.rows), LOGS, GENERATED),
               "operators": (lambda: generated(args.data, args.rows), LOGS, OPERATORS), "nezha": (lambda: real_logs(args.data), REAL, NEZHA)}
    differ = []
    with tempfile.TemporaryDirectory(prefix="kyma-peers-") as folder:
        for name in args.sets.split(","):
            source, schema, questions = sources[name]
            path, meta = source()
            for engine in wanted:
                place = f"{folder}/{name}-{engine}"
                make = {"kyma": lambda: known.Kyma(place, KYMA), "clickhouse": lambda: known.ClickHouse(place), "clickhouse-text": lambda: known.ClickHouseText(place),
                        "duckdb": lambda: known.DuckDB(place), "victorialogs": lambda: known.VictoriaLogs(place, args.victorialogs)}[engine]
                run.data(name, engine, make, "nezha" if name == "nezha" else "logs", path, meta, schema, questions)
            differ += run.compare(name, questions)
    lines = report(run, sets, differ)
    if "flat" in run.figures:
        lines += flat_lines(run.figures["flat"], args.rows)
    print("\n".join(lines))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(run.figures, indent=1))
    if args.out:
        write(pathlib.Path(args.out), lines, args)
    sys.exit(1 if differ else 0)


BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


def write(path, lines, args):
    """Replaces the part between the marks, or puts it first."""
    text = path.read_text() if path.exists() else ""
    asked = shlex.join(sys.argv[1:]).replace(f" --json {args.json}", "")
    part = f"{BEGIN}\n## Beside its peers\n\nMade by `python3 benches/peers/run.py {asked}` on {os.cpu_count()} cores; see there for what is measured and how.\n\n" + "\n".join(lines) + END
    if BEGIN in text:
        before, rest = text.split(BEGIN, 1)
        text = before + part + rest.split(END, 1)[1]
    else:
        head, _, rest = text.partition("\n")
        text = f"{head}\n\n{part}\n{rest}" if head.startswith("# ") else part + "\n" + text
    path.write_text(text)


if __name__ == "__main__":
    main()
