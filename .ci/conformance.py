#!/usr/bin/env python3
"""Starts a fresh kyma, runs the shared KQL conformance cases against it and loads the shared real logs into it.

  KYMA_BIN=target/release/kyma KYMA_SHARED=../shared python3 .ci/conformance.py [--update]

Fails when a case that passed before fails now (the ratchet, .ci/kql_ratchet.txt: hashes of the ids of passed cases),
when the floors are missed, or when a count over the loaded logs differs from the raw file. --update rewrites the
ratchet from this run. Standard library only.
"""
import argparse
import collections
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHARED = pathlib.Path(os.environ.get("KYMA_SHARED", ROOT.parent / "shared"))
KYMA = os.environ.get("KYMA_BIN", str(ROOT / "target/release/kyma"))
RATCHET = ROOT / ".ci/kql_ratchet.txt"
FLOOR_ALL, FLOOR_P0 = 0.97, 0.98


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def server():
    """A fresh `kyma dev` on a free port, stopped and checked at the end."""
    with tempfile.TemporaryDirectory(prefix="kyma-ci-") as folder:
        url = f"http://127.0.0.1:{free_port()}"
        log = open(pathlib.Path(folder) / "log", "w+")
        process = subprocess.Popen(
            [KYMA, "dev", "--listen", url.removeprefix("http://"), "--data-dir", f"{folder}/data"], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(url + "/readyz", timeout=5).read()
                    break
                except (urllib.error.URLError, OSError):
                    if process.poll() is not None or time.monotonic() > deadline:
                        log.seek(0)
                        sys.exit("kyma dev did not become ready:\n" + log.read()[-4000:])
                    time.sleep(0.1)
            yield url
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
            if code != 0:
                log.seek(0)
                sys.exit(f"kyma dev ended with {code}:\n" + log.read()[-4000:])
        finally:
            if process.poll() is None:
                process.kill()


def query(url, text, database="default"):
    body = json.dumps({"query": text, "language": "kql", "database": database}).encode()
    request = urllib.request.Request(url + "/v1/query", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return json.load(response)["rows"]
    except urllib.error.HTTPError as error:
        sys.exit(f"query failed: {text}\n{error.read().decode()[:2000]}")


def short(case_id):
    return hashlib.sha256(case_id.encode()).hexdigest()[:12]


def conformance(url, update):
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as out:
        cases = SHARED / "conformance/kql"
        subprocess.run(
            [sys.executable, str(SHARED / "tools/kql_conformance.py"), "--url", url, "--out", out.name, "--jobs", "2",
             str(cases / "golden.jsonl"), str(cases / "duckdbkql.jsonl")], check=True)
        results = [json.loads(line) for line in open(out.name)]
    passed = {short(r["id"]): r["id"] for r in results if r["ok"]}
    ran = {short(r["id"]): r for r in results}
    p0 = [r["ok"] for r in results if r["priority"] == "P0"]
    share, share_p0 = len(passed) / len(results), sum(p0) / len(p0)
    print(f"conformance: {len(passed)}/{len(results)} = {share:.1%}, P0 {sum(p0)}/{len(p0)} = {share_p0:.1%}")
    if update:
        RATCHET.write_text("\n".join(sorted(passed)) + "\n")
        return []
    before = set(RATCHET.read_text().split()) if RATCHET.exists() else set()
    lost = [h for h in before if h in ran and h not in passed]
    problems = [f"passed before, fails now: {ran[h]['id']}: {ran[h]['why'][:200]}" for h in lost]
    if share < FLOOR_ALL or share_p0 < FLOOR_P0:
        problems.append(f"below the floors of {FLOOR_ALL:.0%} and P0 {FLOOR_P0:.0%}")
    newly = len(set(passed) - before)
    if newly:
        print(f"conformance: {newly} cases pass that the ratchet does not hold yet: run with --update")
    return problems


def expected_counts(raw):
    """What the answers must be, counted from the raw lines by other code."""
    want = collections.Counter()
    pods, times = collections.Counter(), []
    with subprocess.Popen(["zstd", "-dc", str(raw)], stdout=subprocess.PIPE) as lines:
        for line in lines.stdout:
            row = json.loads(line)
            want["rows"] += 1
            pods[row["k8s"]["pod"]] += 1
            want["stderr"] += row.get("stream") == "stderr"
            want["error"] += "error" in row["message"].lower()
            times.append(row["time_unix_nano"])
    return want, pods, min(times), max(times)


def real_logs(url):
    raw = SHARED / "data/nezha_logs.ndjson.zst"
    began = time.monotonic()
    subprocess.run([KYMA, "ingest", "--url", url, "--database", "default", "--table", "nezha", str(raw)], check=True)
    print(f"real logs: loaded in {time.monotonic() - began:.1f} s")
    want, pods, first, last = expected_counts(raw)
    checks = [
        ("nezha | count", [[want["rows"]]]),
        ("nezha | where stream == 'stderr' | count", [[want["stderr"]]]),
        ("nezha | where message contains 'error' | count", [[want["error"]]]),
        ("nezha | summarize min(time_unix_nano), max(time_unix_nano)", [[first, last]]),
        ("nezha | summarize n = count() by pod = tostring(k8s.pod) | order by pod asc", [[p, n] for p, n in sorted(pods.items())]),
    ]
    problems = []
    for text, rows in checks:
        got = query(url, text)
        print(f"real logs: {'ok  ' if got == rows else 'FAIL'} {text}")
        if got != rows:
            problems.append(f"{text}: got {str(got)[:300]}, want {str(rows)[:300]}")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--update", action="store_true", help="rewrite the ratchet from this run")
    args = parser.parse_args()
    with server() as url:
        problems = conformance(url, args.update)
    with server() as url:
        problems += real_logs(url)
    for problem in problems:
        print("PROBLEM " + problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
