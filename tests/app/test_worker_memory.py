"""What a worker that waits holds in memory."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil
from tests.app.conftest import Process

from raven_scan.app.wiring import Platform

LATE = ["alembic", "fastapi", "mako", "numpy", "polars", "pygments", "rich", "starlette", "torch", "uvicorn"]
LARGEST_RESIDENT_BYTES = 95_000_000
"""It is 77 MB; what fails this is another library, not a few modules."""

WORKER = f"""
import json, os, signal, sys, threading, time
from pathlib import Path
from raven_scan.app.cli import service
from raven_scan.app.worker_memory import release_program_pages

def read_resident_bytes():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {{name: int(status[name].split()[0]) * 1024 for name in ("VmRSS", "RssFile", "RssAnon")}}

def look():
    # Until it has asked the queue.
    deadline = time.monotonic() + 60
    while "dispatcher" not in [thread.name for thread in threading.enumerate()] and time.monotonic() < deadline:
        time.sleep(0.05)
    seen = [0]
    while len(set(seen[-10:])) > 1 or len(seen) < 10:
        # Until it has stopped growing: for half a second.
        assert time.monotonic() < deadline
        time.sleep(0.05)
        seen.append(read_resident_bytes()["VmRSS"])
    told["before"] = read_resident_bytes()
    release_program_pages()
    told["after"] = read_resident_bytes()
    os.kill(os.getpid(), signal.SIGTERM)

told = {{}}
threading.Thread(target=look, daemon=True).start()
service.work(slots="cpu:1", drain_timeout="6s", as_json=False)
print(json.dumps({{"late": [name for name in {LATE} if name in sys.modules], **told}}))
"""

STILL_WELL = """
import decimal, hashlib, json, re, sqlite3, ssl, zlib
import psycopg, pydantic
from raven_scan.app.worker_memory import release_program_pages

class Point(pydantic.BaseModel):
    x: float

def compute():
    return [
        hashlib.sha256(b"a").hexdigest(), zlib.crc32(b"a"), str(decimal.Decimal(2).sqrt()),
        Point.model_validate_json('{"x": 1}').x, re.sub("a", "b", "aa"), psycopg.pq.version() > 0,
    ]

before = compute()
release_program_pages()
ssl.create_default_context()
assert compute() == before
"""


MOST_MORE_BYTES = 5_000_000
"""Alembic would be 10 MB."""


def run_python(program: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )


def test_a_worker_that_waits_is_small(platform: Platform, environment: dict[str, str]):
    del platform  # which made the tables
    worker = run_python(WORKER, environment)
    assert worker.returncode == 0, worker.stderr
    found: dict[str, Any] = json.loads(worker.stdout)
    assert found["late"] == []
    assert found["after"]["VmRSS"] < LARGEST_RESIDENT_BYTES
    assert found["after"]["RssFile"] < found["before"]["RssFile"] / 2
    assert found["after"]["RssAnon"] > found["before"]["RssAnon"] / 2


def test_a_process_that_gave_pages_back_goes_on_as_before(environment: dict[str, str]):
    process = run_python(STILL_WELL, environment)
    assert process.returncode == 0, process.stderr


def test_a_worker_that_made_the_tables_is_as_small_as_any(
    environment: dict[str, str], start_raven: Callable[..., Process]
):
    # A data folder that is new, with the embedded database.
    del environment["RAVEN_DATABASE_URL"]
    sizes: list[int] = []
    for _ in range(2):
        worker = start_raven("worker", "--slots", "cpu:1", "--json")
        worker.wait_for_document()
        sizes.append(psutil.Process(worker.popen.pid).memory_info().rss)
        worker.end()
        assert worker.popen.returncode == 0
    assert abs(sizes[0] - sizes[1]) < MOST_MORE_BYTES
