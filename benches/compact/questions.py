#!/usr/bin/env python3
"""Whether a table of a thousand extents as ingested answers after a minute of background work as it does when all work is done.

  python3 benches/compact/questions.py [--rows 2000000] [--extents 1000] [--seconds 60] [--out docs/benchmarks-compaction.md]

1. A node without workers takes the rows of the peer benchmark in so many writes that each becomes an extent: nothing is merged.
2. The same catalog and objects with workers, for --seconds.
3. The same with workers that close everything at once, until nothing is left to be merged.

After each step --processes nodes without workers, one after the other, are asked Q1, Q2 and Q7 of benches/peers (ten runs to warm
up, then the median of --repeat; what counts is the median of the nodes), and the answers are compared with those of the first
step. The exit code is 1 when one differs, or is slower after step 2 than 1.3 times what it is after step 3. Needs a release build
(cargo build --release -p kyma).
"""
import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

BENCHES = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCHES / "peers"))
import run as peers  # noqa: E402
from questions import GENERATED  # noqa: E402
from_soak = importlib.util.spec_from_file_location("soak", BENCHES / "soak/run.py")
soak = importlib.util.module_from_spec(from_soak)
from_soak.loader.exec_module(soak)

ASKED, WARM_UP, SLOWER_MAX, CLOSE_SECONDS_MAX = ("Q1", "Q2", "Q7"), 10, 1.3, 900
TABLE = "logs"
WITHOUT_WORKERS = {"KYMA_ROLES": "ingest,query", "KYMA_INGEST__FLUSH_INTERVAL_MILLIS": "1"}
WITH_WORKERS = {"KYMA_ROLES": "ingest,query,worker"}
CLOSING = WITH_WORKERS | {"KYMA_WORKER__COMPACT__QUIET_MILLIS": "1", "KYMA_WORKER__COMPACT__PERIOD_MILLIS": "1000"}


def say(text):
    print(text, file=sys.stderr, flush=True)


def write(node, path, rows, extents):
    """Every write is acked before the next is sent, and becomes an extent."""
    per_write, connection = -(-rows // extents), node.connection()
    with open(path, "rb") as lines:
        body = []
        for at, line in enumerate(lines, 1):
            body.append(line)
            if at % per_write == 0 or at == rows:
                connection.request("POST", f"/v1/ingest/default/{TABLE}", b"".join(body), {"Content-Type": "application/x-ndjson"})
                reply = connection.getresponse()
                answer = reply.read()
                if reply.status != 200:
                    sys.exit(f"a write was refused: {reply.status} {answer[:500]}")
                body = []
                if at % (rows // 10) < per_write:
                    say(f"{at:,} of {rows:,} rows")


def ask(node, texts, repeat):
    """Median milliseconds and the answer, by question."""
    asked = {}
    for name, text in texts.items():
        for _ in range(WARM_UP):
            answer = node.query(text)
        times = []
        for _ in range(repeat):
            began = time.perf_counter()
            node.query(text)
            times.append((time.perf_counter() - began) * 1000)
        asked[name] = statistics.median(times), answer
    return asked


def ask_apart(postgres, folder, texts, processes, repeat):
    """The medians of several nodes' medians, one node after the other: the same question takes a millisecond more in some processes."""
    nodes = [with_node(postgres, folder, WITHOUT_WORKERS, lambda node: ask(node, texts, repeat)) for _ in range(processes)]
    return {name: (statistics.median(node[name][0] for node in nodes), nodes[0][name][1]) for name in texts}


def with_node(postgres, folder, settings, work):
    """What is done with a node of these settings that lives as long."""
    node = soak.Node(peers.KYMA, postgres.url, folder, settings)
    try:
        return work(node)
    finally:
        node.stop()


def close(catalog):
    """Waits until every extent is of the last level."""
    until = time.monotonic() + CLOSE_SECONDS_MAX
    while any(level != "2" for level, _ in catalog.levels()):
        if time.monotonic() > until:
            sys.exit(f"compaction did not end: {catalog.levels()}")
        time.sleep(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="generated rows (default %(default)s)")
    parser.add_argument("--extents", type=int, default=1_000, help="writes, each an extent (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="background work (default %(default)s)")
    parser.add_argument("--repeat", type=int, default=101, help="runs whose median counts (default %(default)s)")
    parser.add_argument("--processes", type=int, default=7, help="nodes whose median counts, one after the other (default %(default)s)")
    parser.add_argument("--data", default=os.path.join(tempfile.gettempdir(), "kyma-bench-format"), help="folder that keeps the rows (default %(default)s)")
    parser.add_argument("--out", help="append the table to this Markdown file")
    args = parser.parse_args()
    pathlib.Path(args.data).mkdir(parents=True, exist_ok=True)
    path, meta = peers.generated(args.data, args.rows)
    texts = {one.name: one.kyma.replace("{t}", TABLE).replace("{trace}", meta["trace"]).replace("{service}", meta["service"]) for one in GENERATED if one.name in ASKED}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        postgres = soak.Postgres(folder)
        catalog, steps = soak.Catalog(postgres.url), []
        runs = (
            ("as ingested", WITHOUT_WORKERS, lambda node: write(node, path, args.rows, args.extents)),
            (f"after {args.seconds:g} s of background work", WITH_WORKERS, lambda node: time.sleep(args.seconds)),
            ("when all is merged", CLOSING, lambda node: close(catalog)),
        )
        try:
            for name, settings, work in runs:
                with_node(postgres, folder, settings, work)
                asked = ask_apart(postgres, folder, texts, args.processes, args.repeat)
                steps.append((name, catalog.levels(), asked))
                say(f"{name}: {steps[-1][1]}")
        finally:
            postgres.stop()
    lines = [f"| {args.rows:,} rows, ms | extents by level | " + " | ".join(texts) + " |", "|---|---|" + "---|" * len(texts)]
    for name, extents, asked in steps:
        lines.append(f"| {name} | {', '.join(f'{count} of level {level}' for level, count in extents)} | "
                     + " | ".join(f"{asked[question][0]:.1f}" for question in texts) + " |")
    (_, _, first), (_, _, after), (_, _, done) = steps
    ratios = {question: after[question][0] / done[question][0] for question in texts}
    lines.append("| **after the work / when all is merged** | | " + " | ".join(f"**{ratio:.2f}**" for ratio in ratios.values()) + " |")
    print("\n".join(lines))
    if args.out:
        with open(args.out, "a") as out:
            out.write("\n".join(lines) + "\n")
    differ = [question for question in texts if any(sorted(map(repr, asked[question][1])) != sorted(map(repr, first[question][1])) for _, _, asked in steps)]
    slow = [question for question, ratio in ratios.items() if ratio > SLOWER_MAX]
    if differ or slow:
        sys.exit(f"answers differ: {differ}; slower than {SLOWER_MAX} times: {slow}")


if __name__ == "__main__":
    main()
