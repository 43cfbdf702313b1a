#!/usr/bin/env python3
"""Whether a table of a thousand extents as ingested answers after a minute of background work as it does when all work is done.

  python3 benches/compact/questions.py [--rows 2000000] [--extents 1000] [--seconds 60] [--out docs/benchmarks-compaction.md]

1. A node without workers takes the rows of the peer benchmark in so many writes that each becomes an extent: nothing is merged.
2. The same catalog and objects with workers, for --seconds.
3. The same with workers that close everything at once, until nothing is left to be merged.

After each step a node without workers is asked Q1, Q2 and Q7 of benches/peers (three runs to warm up, then the median of --repeat),
and the answers are compared with those of the first step. The exit code is 1 when one differs, or is slower after step 2 than
1.3 times what it is after step 3. Needs a release build (cargo build --release -p kyma).
"""
import argparse
import http.client
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "benches/peers"))
import engines  # noqa: E402
import run as peers  # noqa: E402
from questions import GENERATED  # noqa: E402

ASKED, SLOWER_MAX, CLOSE_SECONDS_MAX = ("Q1", "Q2", "Q7"), 1.3, 900
TABLE = "logs"
WITHOUT_WORKERS = {"KYMA_ROLES": "ingest,query", "KYMA_INGEST__FLUSH_INTERVAL_MILLIS": "1"}
WITH_WORKERS = {"KYMA_ROLES": "ingest,query,worker"}
CLOSING = WITH_WORKERS | {"KYMA_WORKER__COMPACT__QUIET_MILLIS": "1", "KYMA_WORKER__COMPACT__PERIOD_MILLIS": "1000"}


class Node(engines.Kyma):
    """A `kyma dev` that is started again with other settings."""

    def start(self):
        os.environ.update(self.settings)
        super().start()

    def again(self, settings):
        for name in self.settings:
            os.environ.pop(name, None)
        self.stop()
        self.settings = settings
        self.start()

    settings = WITHOUT_WORKERS

    def extents(self):
        """How many there are of each level, by level."""
        rows = self.request(f".show table {TABLE} extents")
        level = [column["name"] for column in rows["columns"]].index("Level") if "columns" in rows else None
        counts = {}
        for row in rows["rows"]:
            counts[row[level]] = counts.get(row[level], 0) + 1
        return dict(sorted(counts.items()))

    def open_merges(self):
        """Extents that may be merged, as the planner last saw them, and merges in the queue."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode().splitlines()
        backlog = [float(line.split()[-1]) for line in lines if line.startswith("kyma_compact_backlog_extents ")]
        waiting = self.request(".show tasks | where Kind == 'merge' and State in ('queued', 'running') | count")["rows"][0][0]
        return (backlog or [0])[0], waiting


def write(node, path, rows, extents):
    """Every write is acked before the next is sent, and becomes an extent."""
    per_write, connection = -(-rows // extents), http.client.HTTPConnection("127.0.0.1", node.port, timeout=120)
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
                print(f"\r{at:,} of {rows:,} rows", end="", file=sys.stderr)
    print(file=sys.stderr)


def ask(node, texts, repeat):
    """Median milliseconds and the answer, by question."""
    asked = {}
    for name, text in texts.items():
        for _ in range(peers.WARM_UP):
            node.ask(text)
        runs = [node.ask(text) for _ in range(repeat)]
        asked[name] = statistics.median(ms for ms, _ in runs), runs[0][1]
    return asked


def close(node):
    """Waits until nothing is left to be merged."""
    until, calm = time.monotonic() + CLOSE_SECONDS_MAX, 0
    while calm < 3:
        if time.monotonic() > until:
            sys.exit("compaction did not end")
        time.sleep(2)
        calm = calm + 1 if node.open_merges() == (0, 0) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2_000_000, help="generated rows (default %(default)s)")
    parser.add_argument("--extents", type=int, default=1_000, help="writes, each an extent (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="background work (default %(default)s)")
    parser.add_argument("--repeat", type=int, default=21, help="runs whose median counts (default %(default)s)")
    parser.add_argument("--data", default=os.path.join(tempfile.gettempdir(), "kyma-bench-format"), help="folder that keeps the rows (default %(default)s)")
    parser.add_argument("--out", help="append the table to this Markdown file")
    args = parser.parse_args()
    pathlib.Path(args.data).mkdir(parents=True, exist_ok=True)
    path, meta = peers.generated(args.data, args.rows)
    texts = {one.name: one.kyma.replace("{t}", TABLE).replace("{trace}", meta["trace"]).replace("{service}", meta["service"]) for one in GENERATED if one.name in ASKED}
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        node = Node(f"{folder}/kyma", peers.KYMA)
        try:
            write(node, path, args.rows, args.extents)
            steps = [("as ingested", node.extents(), ask(node, texts, args.repeat))]
            for name, settings, work in (
                (f"after {args.seconds:g} s of background work", WITH_WORKERS, lambda: time.sleep(args.seconds)),
                ("when all is merged", CLOSING, lambda: close(node)),
            ):
                node.again(settings)
                work()
                node.again(WITHOUT_WORKERS)
                steps.append((name, node.extents(), ask(node, texts, args.repeat)))
        finally:
            node.stop()
    lines = [f"| {args.rows:,} rows, ms | extents by level | " + " | ".join(texts) + " |", "|---|---|" + "---|" * len(texts)]
    for name, extents, asked in steps:
        lines.append(f"| {name} | {', '.join(f'{count} of level {level}' for level, count in extents.items())} | "
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
