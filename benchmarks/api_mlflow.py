"""MLflow's tracking server with the same content, for the same work in turns with Raven Scan."""

import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import httpx
import psycopg
import urllib3
from sqlalchemy import URL, create_engine, text

from api_content import CONTENT_VERSION
from api_copying import copy_across, log, open_connection, settle, without_indexes
from api_filling import Filled
from api_requests import CHART_POINTS, RUNS, Api
from api_words import NOWHERE
from raven_scan.app.wiring import hold_database
from raven_scan.kernel.database import make_conninfo
from raven_scan.kernel.settings import Settings

_DATABASE = "mlflow"
_EXPERIMENT = 1
_PAGE = 50
_IN_A_TURN = 5
_START_S = 120.0
_NOTE = (
    "one server process for requests on either side, the same PostgreSQL server, one client, in turns of five"
)
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    # Its job runners are further processes, of no use here.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}

_STATUS = """CASE status WHEN 'Success' THEN 'FINISHED' WHEN 'Error' THEN 'FAILED' WHEN 'Cancelled' THEN 'KILLED'
 WHEN 'Processing' THEN 'RUNNING' ELSE 'SCHEDULED' END"""
_RUN_ID = "replace(run.id::text, '-', '')"
_RUNS_QUERY = f"""SELECT {_RUN_ID}, name, 'LOCAL', 'train.py', '', created_by, {_STATUS},
 (extract(epoch FROM created_at) * 1000)::bigint, 'active',
 'mlflow-artifacts:/1/' || {_RUN_ID} || '/artifacts', 1 FROM training_runs AS run"""  # noqa: S608 - our own words
_PARAMETERS_QUERY = f"""SELECT key, value, {_RUN_ID} FROM training_runs AS run,
 jsonb_each_text(parameters || jsonb_build_object('architecture', architecture, 'dataset', dataset_version_name,
 'base_model', base_model_name)) WHERE value IS NOT NULL"""  # noqa: S608
_TAGS_QUERY = f"""SELECT tag.key, tag.value, {_RUN_ID} FROM training_runs AS run, LATERAL (VALUES
 ('mlflow.user', created_by), ('mlflow.runName', name), ('mlflow.source.type', 'LOCAL')) AS tag (key, value)"""  # noqa: S608
_METRIC = """name, value, 1730419200000 + step * 200::bigint, replace(run_id::text, '-', ''), step, false
 FROM training_run_metrics"""
_METRICS_QUERY = f"SELECT {_METRIC}"
_LATEST_QUERY = f"SELECT DISTINCT ON (run_id, name) {_METRIC} ORDER BY run_id, name, step DESC"
_METRIC_COLUMNS = ["key", "value", "timestamp", "run_uuid", "step", "is_nan"]


def compare(
    folder: Path, settings: Settings, base_url: str, token: str, filled: Filled, repeats: int
) -> dict[str, Any]:
    """Medians of the same work on both, and how many times as long MLflow takes.

    Args:
        folder: where MLflow's environment is made.
        settings: of the platform, whose PostgreSQL server holds both databases.
        base_url: of the platform's server, which runs.
        token: for it.
        filled: what both hold.
        repeats: of each piece of work.
    """
    program = _install(folder / "mlflow-venv")
    if program is None:
        return {"skipped": "MLflow could not be installed; see the log above"}
    with hold_database(settings) as (database, _):
        url = database.engine.url.set(database=_DATABASE)
        _fill(program, database.engine.url, url, filled)
    with (
        _run_server(program, url, settings.home / "mlflow.log") as theirs_url,
        httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {token}"}, timeout=120) as http,
        _Client(theirs_url) as theirs,
        _Client(base_url, token) as ours,
    ):
        api = Api(http.get("/api/v1/openapi.json").json())
        sorts = api.list_sorts(http, RUNS)
        measured = _take_turns(_list_work(api, sorts, ours, theirs, filled), repeats)
        mlflow = theirs.get("/version").data.decode()
    return {"version": mlflow, "note": _NOTE, "repeats": repeats} | measured


def _install(venv: Path) -> Path | None:
    """MLflow in an environment of its own; None where it cannot be had."""
    program = venv / "bin" / "mlflow"
    if program.exists():
        return program
    log(f"installs MLflow into {venv}")
    commands = [
        [sys.executable, "-m", "venv", str(venv)],
        [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "mlflow", "psycopg2-binary"],
    ]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            log(done.stderr[-2000:])
            return None
    return program


def _make_uri(url: URL) -> str:
    return url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def _fill(program: Path, source_url: URL, url: URL, filled: Filled) -> None:
    """MLflow's own schema, and in it what the platform's database holds."""
    mark = f"{CONTENT_VERSION} {filled.longest_run} {filled.points}"
    engine = create_engine(source_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        if connection.scalar(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": _DATABASE}):
            if _read_mark(url) == mark:
                log("reuses what MLflow's database holds")
                return
            connection.execute(text(f"DROP DATABASE {_DATABASE} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {_DATABASE}"))
    engine.dispose()
    log("fills MLflow's database")
    subprocess.run(
        [program, "db", "upgrade", _make_uri(url)],
        env={**os.environ, **_ENVIRONMENT},
        check=True,
        capture_output=True,
    )
    with (
        open_connection(make_conninfo(source_url)) as source,
        open_connection(make_conninfo(url)) as target,
    ):
        _copy_content(source, target, filled)
        settle(target)
        target.execute("CREATE TABLE benchmark_mark (mark text)")
        target.execute("INSERT INTO benchmark_mark VALUES (%s)", [mark])


def _read_mark(url: URL) -> str | None:
    with psycopg.connect(make_conninfo(url)) as connection:
        if connection.execute("SELECT to_regclass('benchmark_mark')").fetchone() == (None,):
            return None
        row = connection.execute("SELECT mark FROM benchmark_mark").fetchone()
        return None if row is None else str(row[0])


def _copy_content(source: psycopg.Connection, target: psycopg.Connection, filled: Filled) -> None:
    target.execute(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time,"
        " last_update_time) VALUES (0, 'Default', 'mlflow-artifacts:/0', 'active', 0, 0),"
        " (%s, 'detectors', 'mlflow-artifacts:/1', 'active', 0, 0)",
        [_EXPERIMENT],
    )
    row = source.execute("SELECT count(*) FROM training_runs").fetchone()
    runs = 0 if row is None else int(row[0])
    run_columns = [
        "run_uuid",
        "name",
        "source_type",
        "source_name",
        "entry_point_name",
        "user_id",
        "status",
        "start_time",
        "lifecycle_stage",
        "artifact_uri",
        "experiment_id",
    ]
    copy_across(source, _RUNS_QUERY, target, "runs", run_columns, "runs", runs)
    metrics = _METRIC_COLUMNS
    for table, query, columns, total in (
        ("params", _PARAMETERS_QUERY, ["key", "value", "run_uuid"], runs * 20),
        ("tags", _TAGS_QUERY, ["key", "value", "run_uuid"], runs * 3),
        ("metrics", _METRICS_QUERY, metrics, filled.points),
        ("latest_metrics", _LATEST_QUERY, metrics, runs * 8),
    ):
        with without_indexes(target, table):
            copy_across(source, query, target, table, columns, table.replace("_", " "), total)


@contextmanager
def _run_server(program: Path, url: URL, log_file: Path) -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    base_url = f"http://127.0.0.1:{port}"
    # Its address, which holds a password, is in the environment and not in the list of processes.
    environment = {**os.environ, **_ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": _make_uri(url)}
    with log_file.open("wb") as output:
        server = subprocess.Popen(
            [program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            env=environment,
            cwd=log_file.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_up(server, base_url, log_file)
            yield base_url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(60)


def _wait_until_up(server: subprocess.Popen[bytes], base_url: str, log_file: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            if httpx.get(f"{base_url}/health").is_success:
                return
        except httpx.TransportError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"MLflow's server did not start; see {log_file}.")
        time.sleep(0.2)


class _Client:
    """One connection that is kept, with a client that costs little: the servers are to be compared."""

    def __init__(self, base_url: str, token: str | None = None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._pool = urllib3.connectionpool.connection_from_url(base_url, headers=headers, timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> urllib3.BaseHTTPResponse:
        return self._pool.request("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Mapping[str, Any]) -> urllib3.BaseHTTPResponse:
        return self._pool.request("POST", path, json=body)


Request = Callable[[], urllib3.BaseHTTPResponse]
Work = dict[str, Callable[[random.Random], tuple[Request, Request]]]
"""By name: draws a piece of work, as a request of ours and one of theirs."""


def _list_work(api: Api, sorts: Sequence[str], ours: _Client, theirs: _Client, filled: Filled) -> Work:
    def ask_ours(path: str, **query: Any) -> Request:
        return lambda: ours.get(path, query)

    def search_theirs(filter_: str = "", **more: Any) -> Request:
        body = {
            "experiment_ids": [str(_EXPERIMENT)],
            "max_results": _PAGE,
            "order_by": ["attributes.start_time DESC"],
            "filter": filter_,
            **more,
        }
        return lambda: theirs.post("/api/2.0/mlflow/runs/search", body)

    def find_by_name(word: str) -> tuple[Request, Request]:
        return ask_ours(RUNS, q=word), search_theirs(f"attributes.run_name ILIKE '%{word}%'")

    words = filled.run_words
    work: Work = {
        "list: newest first": lambda _: (ask_ours(RUNS), search_theirs()),
        "list: status": lambda _: (
            ask_ours(RUNS, status="Error"),
            search_theirs("attributes.status = 'FAILED'"),
        ),
    }
    if "q" in api.list_parameters(RUNS):
        work |= {
            "search: word of many": lambda source: find_by_name(source.choice(words.many)),
            "search: word of few": lambda source: find_by_name(source.choice(words.few)),
            "search: word of one": lambda source: find_by_name(source.choice(words.one)),
            "search: word of none": lambda _: find_by_name(NOWHERE),
        }
    if "architecture" in api.list_parameters(RUNS):
        work["search: parameter"] = lambda _: (
            ask_ours(RUNS, architecture="rtmdet-tiny"),
            search_theirs("params.architecture = 'rtmdet-tiny'"),
        )
    if "name" in sorts:
        work["list: by name"] = lambda _: (
            ask_ours(RUNS, sort="name"),
            search_theirs(order_by=["attributes.run_name ASC"]),
        )
    ours_cursor, theirs_token = _walk_deep(ours, search_theirs)
    work["list: deep page"] = lambda _: (
        ask_ours(RUNS, cursor=ours_cursor),
        search_theirs(page_token=theirs_token),
    )

    def read_run(source: random.Random) -> tuple[Request, Request]:
        id_ = source.choice(filled.run_ids)
        return (
            ask_ours(f"{RUNS}/{id_}"),
            lambda: theirs.get("/api/2.0/mlflow/runs/get", {"run_id": id_.replace("-", "")}),
        )

    work["detail: a run"] = read_run
    if "points" in api.list_parameters(f"{RUNS}/{{ref}}/metrics"):
        longest = filled.longest_run
        interval = {"run_ids": longest.replace("-", ""), "metric_key": "loss", "max_results": CHART_POINTS}
        work["metrics: one of the longest run, thinned"] = lambda _: (
            ask_ours(f"{RUNS}/{longest}/metrics", name="loss", points=CHART_POINTS),
            lambda: theirs.get("/ajax-api/2.0/mlflow/metrics/get-history-bulk-interval", interval),
        )
    return work


def _walk_deep(ours: _Client, search_theirs: Callable[..., Request]) -> tuple[str, str]:
    """Where the page begins that is 5,000 runs from the first, on either side."""
    cursor: str | None = None
    for _ in range(10):
        query = {"limit": 500, **({} if cursor is None else {"cursor": cursor})}
        cursor = ours.get(RUNS, query).json()["next"]
    answer = search_theirs(max_results=5000)().json()
    assert cursor is not None
    return cursor, answer["next_page_token"]


def _time(name: str, request: Request) -> float:
    begun = time.perf_counter()
    answer = request()
    seconds = time.perf_counter() - begun
    if answer.status != 200:
        raise SystemExit(f"{name}: {answer.url} answered {answer.status}: {answer.data[:300]!r}")
    return seconds


def _take_turns(work: Work, repeats: int) -> dict[str, Any]:
    medians: dict[str, dict[str, float]] = {"raven_s": {}, "mlflow_s": {}}
    for name, draw in work.items():
        source = random.Random(name)  # noqa: S311 - a plan, no secret
        taken: dict[str, list[float]] = {"raven_s": [], "mlflow_s": []}
        for _ in range(-(-repeats // _IN_A_TURN)):
            pairs = [draw(source) for _ in range(_IN_A_TURN + 1)]
            for side, requests in zip(taken, zip(*pairs, strict=True), strict=True):
                # The first of a turn finds the processor's caches full of the other server's work.
                taken[side] += [_time(name, request) for request in requests][1:]
        for side, seconds in taken.items():
            medians[side][name] = statistics.median(seconds)
        log(
            f"{name}: {medians['raven_s'][name] * 1e3:.1f} ms, MLflow {medians['mlflow_s'][name] * 1e3:.1f} ms"
        )
    ratios = {name: medians["mlflow_s"][name] / medians["raven_s"][name] for name in work}
    return {**medians, "ratios": ratios}
