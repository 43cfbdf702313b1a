#!/usr/bin/env python3
"""Runs Microsoft's own Kusto clients, unchanged, against a fresh kyma.

  KYMA_BIN=target/debug/kyma python3 crates/kyma/tests/clients/run.py [--cache DIR] [--url URL] [python] [js]

Installs azure-kusto-data and azure-kusto-ingest from PyPI (a venv) and from npm into DIR (default target/clients,
reused when its versions are the wanted ones), starts `kyma dev`, runs clients.py and clients.mjs, and fails when a
check fails, when a registry or a tool is missing, or when kyma does not stop cleanly. --url uses a running kyma
instead. Standard library only.
"""
import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[3]
KYMA = os.environ.get("KYMA_BIN", str(ROOT / "target/debug/kyma"))


def run(what, command, **more):
    done = subprocess.run([str(part) for part in command], **more)
    if done.returncode != 0:
        sys.exit(f"FAIL {what}: {' '.join(map(str, command))} ended with {done.returncode}")


def installed(folder, wanted, install):
    """A folder made by `install`, unless it was made for the same file before."""
    stamp = folder / "installed-for"
    text = wanted.read_text()
    if not (stamp.exists() and stamp.read_text() == text):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        install(folder)
        stamp.write_text(text)
    return folder


def install_python(folder):
    run("a Python venv", [sys.executable, "-m", "venv", folder / "venv"])
    pip = [folder / "venv/bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    run("PyPI (is the registry reachable?)", pip + ["-r", HERE / "requirements.txt"])


def install_js(folder):
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("FAIL npm is missing: install Node.js 20 or later with npm")
    shutil.copy(HERE / "package.json", folder)
    run("npm (is the registry reachable?)", [npm, "install", "--silent", "--no-audit", "--no-fund"], cwd=folder)


@contextlib.contextmanager
def server():
    """A fresh `kyma dev` on a free port, stopped and checked at the end."""
    if not shutil.which(KYMA):
        sys.exit(f"FAIL there is no kyma at {KYMA}: build it, or set KYMA_BIN")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    with tempfile.TemporaryDirectory(prefix="kyma-clients-") as folder:
        log = open(pathlib.Path(folder) / "log", "w+")
        process = subprocess.Popen([KYMA, "dev", "--listen", address, "--data-dir", f"{folder}/data"], stdout=log, stderr=log)

        def give_up(why):
            log.seek(0)
            sys.exit(f"FAIL {why}:\n" + log.read()[-4000:])

        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    urllib.request.urlopen(f"http://{address}/readyz", timeout=5).read()
                    break
                except (urllib.error.URLError, OSError):
                    if process.poll() is not None or time.monotonic() > deadline:
                        give_up("kyma dev did not become ready")
                    time.sleep(0.1)
            yield f"http://{address}"
            process.send_signal(signal.SIGTERM)
            if process.wait(30) != 0:
                give_up(f"kyma dev ended with {process.returncode}")
        finally:
            if process.poll() is None:
                process.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "target/clients")
    parser.add_argument("--url", help="a running kyma to use instead of a fresh one")
    parser.add_argument("clients", nargs="*", help="python, js; both by default")
    args = parser.parse_args()
    wanted = args.clients or ["python", "js"]
    commands = []
    cache = args.cache.resolve()
    if "python" in wanted:
        folder = installed(cache / "python", HERE / "requirements.txt", install_python)
        commands.append([folder / "venv/bin/python", HERE / "clients.py"])
    if "js" in wanted:
        folder = installed(cache / "js", HERE / "package.json", install_js)
        # A module finds its packages beside itself.
        shutil.copy(HERE / "clients.mjs", folder)
        commands.append([shutil.which("node") or "node", folder / "clients.mjs"])
    began = time.monotonic()
    with contextlib.nullcontext(args.url) if args.url else server() as url:
        failed = [str(command[-1]) for command in commands if subprocess.run([*map(str, command), url]).returncode != 0]
    print(f"clients: {time.monotonic() - began:.0f} s")
    sys.exit(f"FAIL {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
