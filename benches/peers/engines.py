"""The engines beside each other: each in a process of its own, loaded, asked, stopped, so that only one runs at a time.

An engine gives: `load(path)`, `ask(text) -> (milliseconds, rows)`, `cpu_seconds()`, `peak_memory()`, `restart()` (everything it
keeps in memory is gone), `stored()` in bytes. Times include turning the answer into rows of Python; kyma's and VictoriaLogs' also
HTTP and JSON.
"""
import json
import multiprocessing
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request

TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def descendants(pid):
    """The process and all below it."""
    below, parents = [pid], {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    for one in below:
        below.extend(parents.get(one, []))
    return below


def cpu_seconds(pid):
    """CPU seconds of the process and those below it, the ended ones included."""
    total = 0
    for one in descendants(pid):
        try:
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(fields[at]) for at in (11, 12, 13, 14))
    return total / TICK


def peak_memory(pid):
    """Highest resident bytes of the process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def drop_page_cache():
    """Whether the operating system forgot what it read."""
    try:
        os.sync()
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("1")
        return True
    except OSError:
        return False


def folder_bytes(folder):
    return sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())


def wait_until(url, process, log):
    for _ in range(1200):
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(pathlib.Path(log).read_text())
            time.sleep(0.05)
    sys.exit(f"no answer from {url}")


class Server:
    """An engine behind HTTP."""

    def __init__(self, folder):
        self.folder = folder
        pathlib.Path(folder).mkdir(parents=True)
        self.start()

    def start(self):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        log = f"{self.folder}/log.txt"
        with open(log, "a") as out:
            self.process = subprocess.Popen(self.command(), stdout=out, stderr=out)
        wait_until(self.url + self.READY, self.process, log)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)

    def restart(self, drop=True):
        self.stop()
        dropped = drop and drop_page_cache()
        self.start()
        return dropped

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def peak_memory(self):
        return peak_memory(self.process.pid)


class Kyma(Server):
    NAME, LANGUAGE, READY = "kyma", "kyma", "/readyz"

    def __init__(self, folder, binary):
        self.binary = binary
        super().__init__(folder)

    def command(self):
        return [self.binary, "dev", "--listen", f"127.0.0.1:{self.port}", "--data-dir", f"{self.folder}/data"]

    def load(self, table, path, schema):
        command = [self.binary, "ingest", "--url", self.url, "--database", "default", "--table", table, path]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    def request(self, text, **more):
        body = json.dumps({"query": text, "language": "kql", "database": "default", **more}).encode()
        request = urllib.request.Request(self.url + "/v1/query", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as response:
            return json.load(response)

    def ask(self, text):
        began = time.perf_counter()
        rows = self.request(text)["rows"]
        return (time.perf_counter() - began) * 1000, rows

    def stored(self, table):
        body = json.dumps({"db": "default", "csl": f".show table {table} details"}).encode()
        request = urllib.request.Request(self.url + "/v1/rest/mgmt", body, {"Content-Type": "application/json"})
        found = json.load(urllib.request.urlopen(request))["Tables"][0]
        names = [column["ColumnName"] for column in found["Columns"]]
        return found["Rows"][0][names.index("TotalExtentSize")]


class VictoriaLogs(Server):
    NAME, LANGUAGE, READY = "VictoriaLogs", "victorialogs", "/health"

    def __init__(self, folder, binary):
        self.binary = binary
        super().__init__(folder)

    def command(self):
        return [self.binary, f"-storageDataPath={self.folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y", "-futureRetention=100y"]

    def load(self, table, path, schema):
        where = urllib.parse.urlencode({"_stream_fields": "service,host", "_time_field": "timestamp", "_msg_field": "message"})
        request = urllib.request.Request(f"{self.url}/insert/jsonline?{where}", open(path, "rb"), {"Content-Type": "application/stream+json"})
        urllib.request.urlopen(request, timeout=600).read()
        urllib.request.urlopen(self.url + "/internal/force_flush").read()

    def ask(self, text):
        began = time.perf_counter()
        body = urllib.parse.urlencode({"query": text, "limit": 1_000_000}).encode()
        with urllib.request.urlopen(self.url + "/select/logsql/query", body, timeout=300) as response:
            rows = [list(json.loads(line).values()) for line in response.read().splitlines()]
        return (time.perf_counter() - began) * 1000, rows

    def stored(self, table):
        return folder_bytes(f"{self.folder}/data")


class Embedded:
    """An engine inside a Python process of its own."""

    def __init__(self, folder):
        self.folder = folder
        pathlib.Path(folder).mkdir(parents=True)
        self.start()

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(type(self), self.folder, theirs), daemon=True)
        self.process.start()
        self.call("ping")

    def call(self, *message):
        self.pipe.send(message)
        ok, answer = self.pipe.recv()
        if not ok:
            sys.exit(f"{self.NAME}: {answer}")
        return answer

    def stop(self):
        self.pipe.send(("stop",))
        self.process.join(60)
        if self.process.is_alive():
            self.process.kill()

    def restart(self, drop=True):
        self.stop()
        dropped = drop and drop_page_cache()
        self.start()
        return dropped

    def load(self, table, path, schema):
        self.call("load", table, path, schema)

    def ask(self, text):
        return self.call("ask", text)

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def peak_memory(self):
        return peak_memory(self.process.pid)

    def stored(self, table):
        return folder_bytes(self.folder)


def serve(kind, folder, pipe):
    """The child's side: answers until told to stop."""
    session = kind.open(folder)
    while (message := pipe.recv())[0] != "stop":
        try:
            match message:
                case ("ping",):
                    answer = None
                case ("load", table, path, schema):
                    answer = kind.fill(session, table, path, schema, folder)
                case ("ask", text):
                    began = time.perf_counter()
                    rows = kind.rows(session, text)
                    answer = (time.perf_counter() - began) * 1000, rows
            pipe.send((True, answer))
        except Exception as error:  # Told to the parent, which ends the run.
            pipe.send((False, repr(error)[:2000]))
    os._exit(0)  # chdb's threads never rest.


class ClickHouse(Embedded):
    NAME, LANGUAGE = "ClickHouse", "clickhouse"
    INDEXES = ""

    @staticmethod
    def open(folder):
        import chdb.session
        session = chdb.session.Session(f"{folder}/data")
        session.query("CREATE DATABASE IF NOT EXISTS bench ENGINE = Atomic")
        session.query("USE bench")
        # Repeated runs are to answer, not to remember which granules answered before.
        session.query("SET use_query_condition_cache = 0")
        return session

    @classmethod
    def fill(cls, session, table, path, schema, folder):
        indexes = "".join(", " + one for one in (schema["clickhouse_indexes"] if cls.INDEXES else []))
        session.query(f"CREATE TABLE {table} ({schema['clickhouse']}{indexes}) ENGINE = MergeTree ORDER BY {schema['clickhouse_order']}")
        columns = ", ".join(schema["clickhouse_select"])
        session.query(f"INSERT INTO {table} SELECT {columns} FROM file('{path}', 'JSONEachRow', '{schema['clickhouse_input']}') "
                      "SETTINGS date_time_input_format = 'best_effort', max_insert_threads = 2")
        session.query(f"OPTIMIZE TABLE {table} FINAL")

    @staticmethod
    def rows(session, text):
        return [json.loads(line) for line in str(session.query(text, "JSONCompactEachRow")).splitlines()]


class ClickHouseText(ClickHouse):
    NAME, INDEXES = "ClickHouse, text index", "yes"


class DuckDB(Embedded):
    NAME, LANGUAGE = "DuckDB on Parquet", "duckdb"

    @staticmethod
    def open(folder):
        import duckdb
        session = duckdb.connect()
        session.execute("SET TimeZone = 'UTC'")
        for path in pathlib.Path(folder).glob("*.parquet"):
            session.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM '{path}'")
        return session

    @classmethod
    def fill(cls, session, table, path, schema, folder):
        file = f"{folder}/{table}.parquet"
        session.execute(f"COPY (SELECT {schema['duckdb_select']} FROM read_json('{path}', columns = {schema['duckdb_input']}, "
                        f"format = 'newline_delimited') ORDER BY {schema['duckdb_order']}) TO '{file}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)")
        session.execute(f"CREATE VIEW {table} AS SELECT * FROM '{file}'")

    @staticmethod
    def rows(session, text):
        return [list(row) for row in session.execute(text).fetchall()]
