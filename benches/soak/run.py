#!/usr/bin/env python3
"""A soak: a node under steady load, with queries, compaction and collection, and what is left of it at the end.

  python3 benches/soak/run.py --bin target/release/kyma [--minutes 30] [--out docs/benchmarks-soak.md]

1. Starts a throw-away PostgreSQL and one node with every role over a local store (or takes --catalog-url), with grace periods
   so short that collection has work all the time.
2. Finds the most that the node takes in: as many writers as needed, each sending its next write as soon as the last is acked.
3. Sends 60 % of that (--share) for --minutes on a fixed schedule, while others ask queries. An ack's time counts from when its
   write was due, so a node that stalls is not flattered by writers that wait.
4. Lets background work come to rest, then counts: every acked write, row by row, and every object.

Every write has an idempotency key and is sent again under it until it is acked. Exits 1 when something that must hold does
not: 0 lost, 0 doubled, p99 of acks at most a second, memory slope below 1 MiB/min after warm-up, no orphans, no backlog.
With --out it writes the page and, beside it, its picture. Python's own library is all it needs.
"""
import argparse
import collections
import http.client
import json
import os
import pathlib
import platform
import queue
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NOBODY = 65534
ROWS_PER_WRITE = 2_000
TEMPLATES = 24
# Fixed-width places in a body that are filled in for each write.
BATCH_MARK, SECOND_MARK = b"1@@@@@@@@@", b"2000-01-01T00:00:00"
BATCH_FIRST = 1_000_000_000
# What must hold.
ACK_P99_SECONDS_MAX, SLOPE_MIB_PER_MINUTE_MAX = 1.0, 1.0
SAMPLE_SECONDS, QUERY_PAUSE_SECONDS, SETTLE_SECONDS_MAX = 2.0, 1.0, 300
DISK_FREE_BYTES_MIN = 2 << 30
GRACE = {
    "KYMA_WORKER__GARBAGE__PERIOD_MILLIS": "5000",
    "KYMA_WORKER__GARBAGE__RESERVATION_AGE_MILLIS": "60000",
    "KYMA_WORKER__GARBAGE__REMOVED_GRACE_MILLIS": "60000",
    "KYMA_WORKER__GARBAGE__SWEEP_PERIOD_MILLIS": "20000",
    "KYMA_WORKER__GARBAGE__UNKNOWN_AGE_MILLIS": "60000",
    "KYMA_WORKER__GARBAGE__CLOCK_DIFFERENCE_MILLIS": "1000",
}
# What caches say that they hold in memory.
CACHES = ['kyma_store_cache_held_bytes{tier="memory"}', "kyma_query_footers_bytes", "kyma_query_manifests_bytes"]
QUERIES = [
    "Soak | where Timestamp > ago(1m) | count",
    "Soak | where Timestamp > ago(2m) and Level == 'Error' | summarize n = count() by Service",
    "Soak | where Timestamp > ago(1m) and Message has 'timeout' | summarize n = count() by bin(Timestamp, 10s)",
    "Soak | where Timestamp > ago(5m) | top 20 by Timestamp desc",
    "Soak | where TraceId == 'trace-1000000007-77' | take 10",
    "Soak | summarize n = count()",
]


def say(text):
    print(text, file=sys.stderr, flush=True)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Postgres:
    """A throw-away server; as root it runs as nobody, because it refuses to run as root."""

    def __init__(self, folder):
        self.folder, self.port = pathlib.Path(folder) / "postgres", free_port()
        self.bin = self.find()
        self.who = dict(user=NOBODY, group=NOBODY, extra_groups=[]) if os.getuid() == 0 else {}
        self.folder.mkdir()
        if self.who:
            os.chown(self.folder, NOBODY, NOBODY)
        self.run("initdb", "-D", self.folder / "data", "-U", "kyma", "-A", "trust", "-E", "UTF8", "--locale=C")
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder} -c shared_buffers=256MB"
        self.run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")
        self.url = f"postgres://kyma@127.0.0.1:{self.port}/postgres"

    @staticmethod
    def find():
        named = os.environ.get("KYMA_POSTGRES_BIN")
        places = [pathlib.Path(named)] if named else sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        on_path = shutil.which("initdb")
        places += [pathlib.Path(on_path).parent] if on_path else []
        for place in places:
            if (place / "initdb").exists():
                return place
        sys.exit("no PostgreSQL was found: install it, name its programs with KYMA_POSTGRES_BIN, or give --catalog-url")

    def run(self, program, *args):
        # The server inherits what pg_ctl has: a pipe would stay open as long as it runs.
        with tempfile.TemporaryFile() as output:
            command = [self.bin / program, *map(str, args)]
            code = subprocess.run(command, stdout=output, stderr=output, cwd="/", **self.who).returncode
            output.seek(0)
            if code != 0:
                sys.exit(f"{program} failed: {output.read().decode(errors='replace')}")

    def stop(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "fast", "stop")


class Node:
    """One node with every role; its objects are files."""

    def __init__(self, binary, catalog_url, folder, settings):
        self.port, self.objects = free_port(), pathlib.Path(folder) / "objects"
        self.log_path = pathlib.Path(folder) / "kyma.log"
        self.objects.mkdir(exist_ok=True)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KYMA_")}
        environment |= GRACE | settings | {"KYMA_CACHE_DIR": str(pathlib.Path(folder) / "cache")}
        self.log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [binary, "serve", "--listen", f"127.0.0.1:{self.port}", "--catalog-url", catalog_url, "--store-url", self.objects.as_uri()],
            env=environment, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.until_ready()

    def until_ready(self):
        for _ in range(600):
            if self.process.poll() is not None:
                sys.exit(f"the node ended with {self.process.returncode}:\n{self.log_path.read_text()[-4000:]}")
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        sys.exit("the node was not ready within a minute")

    def connection(self, seconds=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def get(self, path):
        connection = self.connection()
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read()

    def query(self, text, seconds=None):
        body = {"query": text, "limits": {"rows": 0, "bytes": 0} | ({"seconds": seconds} if seconds else {})}
        connection = self.connection(seconds or 120)
        connection.request("POST", "/v1/query", json.dumps(body))
        reply = connection.getresponse()
        answer = json.loads(reply.read())
        if reply.status != 200:
            raise RuntimeError(f"{reply.status}: {answer}")
        return answer["rows"]

    def resident_bytes(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024

    def series(self):
        """Value by name and labels."""
        lines = self.get("/metrics")[1].decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#") and " " in line)
        return {name: float(value) for name, value in pairs}

    def metrics(self):
        """Value by name; of families with labels the sum."""
        values = collections.Counter()
        for name, value in self.series().items():
            values[name.split("{")[0]] += value
        return values

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        code = self.process.wait(60)
        return code, time.monotonic() - began


class Catalog:
    """What the catalog says, by psql: the node is not asked about itself."""

    def __init__(self, url):
        self.url, self.psql = url, shutil.which("psql") or str(Postgres.find() / "psql")

    def rows(self, sql):
        out = subprocess.run([self.psql, self.url, "-At", "-c", sql], capture_output=True, text=True, check=True, cwd="/")
        return [line.split("|") for line in out.stdout.splitlines()]

    def live_extents(self):
        return int(self.rows("SELECT count(*) FROM extents WHERE removed_seq IS NULL")[0][0])

    def levels(self):
        return self.rows("SELECT level, count(*) FROM extents WHERE removed_seq IS NULL GROUP BY 1 ORDER BY 1")

    def keys(self):
        return {key for (key,) in self.rows("SELECT DISTINCT object_key FROM extents")}

    def tasks(self):
        """Tasks that wait or run and do not just come round again, and those that were given up."""
        sql = "SELECT kind, state, count(*) FROM tasks WHERE state IN ('running', 'parked') OR (state = 'queued' AND dedup_key <> 'periodic') GROUP BY 1, 2"
        return [f"{kind} {state}: {count}" for kind, state, count in self.rows(sql)]


def templates():
    """Bodies of logs of a web shop, alike as logs are; `i` counts the rows of a write."""
    rng = random.Random(7)
    services = [f"shop-{name}" for name in ("cart", "pay", "search", "mail", "auth", "stock", "edge", "image")]
    messages = [
        "GET /api/v1/items/{n} answered 200 in {m} ms", "cache miss for key item:{n}, asking the database",
        "user {n} signed in from 10.{a}.{b}.{c}", "timeout after {m} ms while calling stock, attempt {a} of 3",
        "order {n} was paid, total {m}.{a} EUR", "queue depth is {m}, oldest message {a} s old",
    ]
    bodies = []
    for _ in range(TEMPLATES):
        rows = []
        for i in range(ROWS_PER_WRITE):
            values = dict(n=rng.randrange(10**6), m=rng.randrange(2000), a=rng.randrange(9), b=rng.randrange(256), c=rng.randrange(256))
            service = rng.choice(services)
            row = {
                "Timestamp": f"{SECOND_MARK.decode()}.{i * 500:06d}Z", "Level": rng.choices(["Info", "Debug", "Warning", "Error"], [70, 20, 7, 3])[0],
                "Service": service, "Host": f"{service}-{rng.randrange(6)}", "Message": rng.choice(messages).format(**values),
                "TraceId": f"trace-{BATCH_MARK.decode()}-{i // 4}", "k8s": {"pod": {"name": f"{service}-{rng.randrange(20)}"}, "zone": rng.choice("abc")},
                "batch": int(BATCH_FIRST), "i": i,
            }
            line = json.dumps(row, separators=(",", ":"))
            rows.append(line.replace(str(BATCH_FIRST), BATCH_MARK.decode()))
        bodies.append(("\n".join(rows) + "\n").encode())
    return bodies


class Load:
    """Writers that send until each write is acked."""

    def __init__(self, node, writers):
        self.node, self.bodies = node, templates()
        self.bytes_per_write = sum(map(len, self.bodies)) / len(self.bodies)
        self.lock, self.acked, self.next = threading.Lock(), set(), BATCH_FIRST
        self.again, self.errors = collections.Counter(), []
        self.latencies, self.writers = [], writers

    def new_batch(self):
        with self.lock:
            self.next += 1
            return self.next

    def write(self, connection, batch, due):
        """Sends one write until it is acked; the connection to go on with."""
        second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()).encode()
        body = self.bodies[batch % TEMPLATES].replace(BATCH_MARK, str(batch).encode()).replace(SECOND_MARK, second)
        headers = {"Idempotency-Key": f"batch-{batch}", "Content-Type": "application/x-ndjson"}
        for _ in range(1000):
            try:
                connection.request("POST", "/v1/ingest/default/Soak", body, headers)
                reply = connection.getresponse()
                answer = reply.read()
            except (OSError, http.client.HTTPException) as error:
                self.again[type(error).__name__] += 1
                connection.close()
                connection = self.node.connection()
                time.sleep(0.2)
                continue
            if reply.status == 200:
                now = time.monotonic()
                with self.lock:
                    self.acked.add(batch)
                    self.latencies.append((now, now - due))
                if json.loads(answer)["rows"] != ROWS_PER_WRITE:
                    self.errors.append(f"batch {batch}: {answer[:300]}")
                return connection
            self.again[str(reply.status)] += 1
            if reply.status not in (429, 503):
                self.errors.append(f"batch {batch}: {reply.status} {answer[:300]}")
                return connection
            time.sleep(0.1)
        self.errors.append(f"batch {batch} was never acked")
        return connection

    def flat_out(self, seconds):
        """The most that is acked: bytes per second over the second half."""
        until, begun = time.monotonic() + seconds, time.monotonic()

        def writer():
            connection = self.node.connection()
            while time.monotonic() < until:
                connection = self.write(connection, self.new_batch(), time.monotonic())

        run_all(writer, self.writers)
        half = begun + seconds / 2
        counted = sum(half <= at < until for at, _ in self.latencies)
        return counted * self.bytes_per_write / (seconds / 2)

    def steady(self, bytes_per_second, seconds):
        """Writes that are due one after the other at a fixed rate."""
        every = self.bytes_per_write / bytes_per_second
        begun, turns = time.monotonic(), iter(range(int(seconds / every)))

        def writer():
            connection = self.node.connection()
            while True:
                with self.lock:
                    turn = next(turns, None)
                if turn is None:
                    return
                due = begun + turn * every
                time.sleep(max(0.0, due - time.monotonic()))
                connection = self.write(connection, self.new_batch(), due)

        run_all(writer, self.writers * 2)


def run_all(work, count):
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class Watch(threading.Thread):
    """Samples the node, and asks it queries, until stopped."""

    def __init__(self, node, catalog, folder, begun):
        super().__init__(daemon=True)
        self.node, self.catalog, self.folder, self.begun, self.over = node, catalog, folder, begun, threading.Event()
        self.samples, self.queries, self.query_errors = [], [], []

    def run(self):
        asking = threading.Thread(target=self.ask, daemon=True)
        asking.start()
        while not self.over.wait(SAMPLE_SECONDS):
            minute, series = (time.monotonic() - self.begun) / 60, self.node.series()
            cached = sum(series.get(name, 0) for name in CACHES)
            self.samples.append(dict(minute=minute, rss=self.node.resident_bytes(), cached=cached, extents=self.catalog.live_extents(), series=series))
            if shutil.disk_usage(self.folder).free < DISK_FREE_BYTES_MIN:
                say("the disk is almost full: nothing more can be learned here")
                os._exit(1)
        asking.join()

    def over_time(self, key, unit=1):
        """What was seen of one thing, as (minute, value)."""
        return [(sample["minute"], sample[key] / unit) for sample in self.samples]

    def ask(self):
        turn = 0
        while not self.over.wait(QUERY_PAUSE_SECONDS):
            text, began = QUERIES[turn % len(QUERIES)], time.monotonic()
            try:
                self.node.query(text, 60)
                self.queries.append((text, time.monotonic() - began))
            except Exception as error:  # Whatever it is, it is counted and shown.
                self.query_errors.append(f"{text}: {error}")
            turn += 1


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def means(points, step):
    """Means of (minute, value) over every `step` minutes, as (minute in the middle, value)."""
    buckets = collections.defaultdict(list)
    for minute, value in points:
        buckets[int(minute / step)].append(value)
    return [((bucket + 0.5) * step, sum(values) / len(values)) for bucket, values in sorted(buckets.items())]


def slope(points):
    """Least squares of (minute, value): what it rises by in a minute, and the standard error of that."""
    if len(points) < 3:
        return float("nan"), float("nan")
    mean_x, mean_y = (sum(axis) / len(points) for axis in zip(*points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    misses = sum((y - mean_y - rise * (x - mean_x)) ** 2 for x, y in points)
    return rise, (misses / (len(points) - 2) / spread) ** 0.5


def objects_of(folder):
    base = pathlib.Path(folder)
    return {str(path.relative_to(base)) for path in (base / "extents").rglob("*.kyma")}


def settle(node, catalog):
    """Waits until nothing is left to be done; how long, which objects no extent has, and what still waits."""
    began, calm = time.monotonic(), 0
    while True:
        orphans, tasks = objects_of(node.objects) - catalog.keys(), catalog.tasks()
        waited = time.monotonic() - began
        # Twice in a row: a task may be between two others.
        calm = calm + 1 if not orphans and not tasks else 0
        if calm >= 2 or waited > SETTLE_SECONDS_MAX:
            return waited, sorted(orphans), tasks
        time.sleep(2)


def verify(node, load):
    """Counts every row of every acked write: lost, doubled, and never acked but there."""
    expected_sum = ROWS_PER_WRITE * (ROWS_PER_WRITE - 1) // 2
    found = {int(batch): (int(n), int(s)) for batch, n, s in node.query("Soak | summarize n = count(), s = sum(i) by batch", 600)}
    lost = [batch for batch in load.acked if found.get(batch, (0, 0))[0] < ROWS_PER_WRITE]
    doubled = [batch for batch, (n, _) in found.items() if n > ROWS_PER_WRITE]
    wrong = [batch for batch, (n, s) in found.items() if n == ROWS_PER_WRITE and s != expected_sum]
    strangers = [batch for batch in found if batch not in load.acked]
    return lost, doubled, wrong, strangers


def picture(panels, path):
    """An SVG of lines over minutes; each panel is (title, [(label, colour, [(minute, value)])])."""
    width, height, left, gap = 900, 170, 70, 46
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{len(panels) * (height + gap) + 10}" font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>']
    for nth, (title, lines) in enumerate(panels):
        top = nth * (height + gap) + 28
        points = [point for _, _, line in lines for point in line]
        x_max = max((x for x, _ in points), default=1) or 1
        y_max = max((y for _, y in points), default=1) * 1.1 or 1
        place = lambda x, y: f"{left + x / x_max * (width - left - 20):.1f},{top + height - y / y_max * height:.1f}"
        out.append(f'<text x="{left}" y="{top - 8}" font-weight="bold">{title}</text>')
        for share in (0, 0.5, 1):
            y = top + height - share * height
            out.append(f'<line x1="{left}" x2="{width - 20}" y1="{y}" y2="{y}" stroke="#ddd"/>')
            out.append(f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share * y_max:.3g}</text>')
        out.append(f'<text x="{width - 20}" y="{top + height + 14}" text-anchor="end">{x_max:.1f} min</text>')
        for place_of_label, (label, colour, line) in enumerate(lines):
            out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{" ".join(place(x, y) for x, y in line)}"/>')
            out.append(f'<text x="{width - 20 - 110 * place_of_label}" y="{top - 8}" text-anchor="end" fill="{colour}">{label}</text>')
    out.append("</svg>")
    pathlib.Path(path).write_text("\n".join(out) + "\n")


def panels(begun, seconds, load, watch):
    step = max(2.0, seconds / 150)
    buckets = collections.defaultdict(list)
    for at, latency in load.latencies:
        if at >= begun:
            buckets[int((at - begun) / step)].append(latency)
    minute = lambda bucket: bucket * step / 60
    line = lambda share: [(minute(bucket), percentile(values, share)) for bucket, values in sorted(buckets.items())]
    rate = [(minute(bucket), len(values) * load.bytes_per_write / step / 1e6) for bucket, values in sorted(buckets.items())]
    return [
        ("time to ack, seconds", [("p99", "#c0392b", line(0.99)), ("p50", "#2c7fb8", line(0.5))]),
        ("acked, MB/s of input", [("MB/s", "#2c7fb8", rate)]),
        ("memory, MiB", [("RSS", "#6a3d9a", watch.over_time("rss", 1 << 20)), ("of it caches", "#e67e22", watch.over_time("cached", 1 << 20))]),
        ("live extents", [("extents", "#33a02c", watch.over_time("extents"))]),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", default=str(ROOT / "target/release/kyma"), help="the node's binary")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--probe-seconds", type=float, default=40, help="how long the maximum is looked for")
    parser.add_argument("--share", type=float, default=0.6, help="of the maximum")
    parser.add_argument("--warm-up-minutes", type=float, help="not counted for memory; a fifth of the time unless given")
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--max-mb-per-second", type=float, help="never more than this, where the disk is small")
    parser.add_argument("--catalog-url", help="an empty database to use instead of a throw-away PostgreSQL")
    parser.add_argument("--set", action="append", default=[], metavar="KYMA_NAME=VALUE", help="a setting of the node")
    parser.add_argument("--samples", help="write what was seen of the node there, a line of JSON every two seconds")
    parser.add_argument("--out", help="write the page there, and its picture beside it")
    args = parser.parse_args()
    if not pathlib.Path(args.bin).exists():
        sys.exit(f"{args.bin} is missing: build it with cargo build --release -p kyma, or name it with --bin")
    folder = tempfile.mkdtemp(prefix="kyma-soak-")
    os.chmod(folder, 0o755)
    postgres = None if args.catalog_url else Postgres(folder)
    node = None
    try:
        catalog = Catalog(args.catalog_url or postgres.url)
        node = Node(args.bin, catalog.url, folder, dict(pair.split("=", 1) for pair in args.set))
        failed = soak(args, node, catalog, folder)
    finally:
        if node and node.process.poll() is None:
            node.process.kill()
            node.process.wait()
        if postgres:
            postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1 if failed else 0)


def soak(args, node, catalog, folder):
    load = Load(node, args.writers)
    say(f"looking for the most that the node takes in, for {args.probe_seconds:.0f} s")
    maximum = load.flat_out(args.probe_seconds)
    rate = maximum * args.share
    if args.max_mb_per_second:
        rate = min(rate, args.max_mb_per_second * 1e6)
    say(f"{maximum / 1e6:.1f} MB/s; now {rate / 1e6:.1f} MB/s for {args.minutes:g} minutes")
    seconds, begun = args.minutes * 60, time.monotonic()
    watch = Watch(node, catalog, folder, begun)
    watch.start()
    load.steady(rate, seconds)
    watch.over.set()
    watch.join()
    after = node.metrics()
    if args.samples:
        pathlib.Path(args.samples).write_text("".join(json.dumps(sample) + "\n" for sample in watch.samples))
    extents_at_the_end = catalog.live_extents()
    say("letting background work come to rest")
    waited, orphans, tasks = settle(node, catalog)
    lost, doubled, wrong, strangers = verify(node, load)
    levels = ", ".join(f"level {level}: {count}" for level, count in catalog.levels())
    code, stop_seconds = node.stop()

    acks = [latency for at, latency in load.latencies if begun <= at]
    warm = args.warm_up_minutes if args.warm_up_minutes is not None else args.minutes / 5
    resident = [(minute, value) for minute, value in watch.over_time("rss", 1 << 20) if minute < args.minutes]
    # Of means over a minute: samples two seconds apart see the same merge.
    rise, rise_error = slope(means([point for point in resident if point[0] >= warm], 1))
    query_seconds = [took for _, took in watch.queries]
    p99 = percentile(acks, 0.99)
    holds = [
        ("writes that were acked and are not there", f"{len(lost)}", not lost),
        ("writes that are there twice", f"{len(doubled)}", not doubled),
        ("writes whose rows are others", f"{len(wrong)}", not wrong),
        ("writes that were not acked and are there", f"{len(strangers)}", not strangers),
        ("errors of writes that no retry answers", f"{len(load.errors)}", not load.errors),
        ("errors of queries", f"{len(watch.query_errors)}", not watch.query_errors),
        (f"p99 of acks (at most {ACK_P99_SECONDS_MAX:g} s)", f"{p99:.3f} s", p99 <= ACK_P99_SECONDS_MAX),
        (f"memory after warm-up (less than {SLOPE_MIB_PER_MINUTE_MAX:g} MiB/min)", f"{rise:+.2f} ± {rise_error:.2f} MiB/min", rise < SLOPE_MIB_PER_MINUTE_MAX),
        ("objects that no extent needs, after rest", f"{len(orphans)}", not orphans),
        ("tasks that still wait, run or were given up, after rest", f"{len(tasks)}", not tasks),
        ("the node stopped well", f"code {code} in {stop_seconds:.1f} s", code == 0 and stop_seconds <= 10),
    ]
    facts = [
        ("maximum ingest", f"{maximum / 1e6:.1f} MB/s of NDJSON"),
        ("load", f"{rate / 1e6:.1f} MB/s ({rate / maximum:.0%}) for {args.minutes:g} minutes"),
        ("written", f"{len(load.acked):,} writes, {len(load.acked) * ROWS_PER_WRITE:,} rows, {len(load.acked) * load.bytes_per_write / 1e9:.2f} GB"),
        ("acks", f"p50 {percentile(acks, 0.5) * 1e3:.0f} ms, p95 {percentile(acks, 0.95) * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, worst {max(acks, default=0) * 1e3:.0f} ms"),
        ("sent again", ", ".join(f"{why}: {count}" for why, count in load.again.items()) or "nothing"),
        ("queries", f"{len(query_seconds)}, p50 {percentile(query_seconds, 0.5) * 1e3:.0f} ms, p99 {percentile(query_seconds, 0.99) * 1e3:.0f} ms"),
        ("resident memory", f"{max((value for _, value in resident), default=0):,.0f} MiB at most; means over a twelfth of the time, MiB: "
                            + ", ".join(f"{value:,.0f}" for _, value in means(resident, args.minutes / 12))),
        ("live extents", f"{extents_at_the_end} when the load ended; after {waited:.0f} s of rest {levels}"),
        ("objects deleted", f"{after['kyma_worker_objects_deleted_total']:.0f} while the load ran"),
        *[(name, f"{value:g} when the load ended") for name, value in sorted(after.items()) if re.search("backlog|amplification", name)],
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}; node, writers, PostgreSQL and store share it"),
    ]
    shown = [f"--{name.replace('_', '-')} {value}" for name, value in vars(args).items()
             if name in ("minutes", "warm_up_minutes", "share", "writers", "max_mb_per_second") and value is not None]
    page = render(holds, facts, " ".join(shown + [f"--set {pair}" for pair in args.set]))
    print(page)
    for detail in (load.errors[:5] + watch.query_errors[:5] + orphans[:5] + tasks[:5]):
        say(f"  {detail}")
    if args.out:
        out = pathlib.Path(args.out)
        picture(panels(begun, seconds, load, watch), out.with_suffix(".svg"))
        out.write_text(page.replace("(picture)", f"![the soak over time]({out.with_suffix('.svg').name})"))
    return not all(good for _, _, good in holds)


def render(holds, facts, arguments):
    lines = ["# A soak", "", "A node at a share of its maximum, with queries, compaction and collection: what it took, and what was left.", "",
             f"Made by `python3 benches/soak/run.py {arguments} --out docs/benchmarks-soak.md`; the script says how.", "",
             "| what must hold | measured | |", "|---|---|---|"]
    lines += [f"| {name} | {value} | {'holds' if good else '**does not hold**'} |" for name, value, good in holds]
    lines += ["", "| | |", "|---|---|"] + [f"| {name} | {value} |" for name, value in facts] + ["", "(picture)", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
