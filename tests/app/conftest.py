import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from pydantic import SecretStr

from raven_scan.app import worker
from raven_scan.app.cli.program import run
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.kernel.settings import Settings

RAVEN = str(Path(sys.executable).with_name("raven"))
DEADLINE_S = 120.0


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout; fails where there is anything else."""
        return msgspec.json.decode(self.out)


@pytest.fixture
def environment(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A data folder and a database of this test's own, for this process and its children."""
    for name in [name for name in os.environ if name.startswith("RAVEN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RAVEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("RAVEN_DATABASE_URL", database_url)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return dict(os.environ)


@pytest.fixture
def raven(environment: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """Runs a command in this process."""
    del environment
    root = logging.getLogger()
    handlers, level = root.handlers, root.level

    def call(*arguments: str | Path) -> Said:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    yield call
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def platform(tmp_path: Path, database_url: str) -> Generator[Platform]:
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(database_url))
    with build_platform(settings) as platform:
        yield platform


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in COCO form, as small as it gets."""
    folder = tmp_path_factory.mktemp("sample") / "dataset"
    make_sample_dataset(folder, image_count=20, image_size=128)
    return folder


def wait_until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    end = time.monotonic() + deadline_s
    while not (found := condition()):
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.05)
    return found


@dataclass
class Process:
    """A raven process whose output goes to files."""

    popen: subprocess.Popen[bytes]
    out_path: Path
    err_path: Path

    @property
    def out(self) -> str:
        return self.out_path.read_text()

    @property
    def err(self) -> str:
        return self.err_path.read_text()

    def wait_for_document(self) -> Any:
        """The JSON document that it prints while it goes on running."""

        def find() -> Any:
            assert self.popen.poll() is None or self.out.strip(), self.err
            try:
                return msgspec.json.decode(self.out)
            except msgspec.DecodeError:
                return None

        return wait_until(find, f"the first words of process {self.popen.pid}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Sends the signal, and returns the seconds until the end."""
        started = time.monotonic()
        self.popen.send_signal(number)
        self.popen.wait(DEADLINE_S)
        return time.monotonic() - started


@pytest.fixture
def start_raven(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts a command as a process of its own; none outlives the test."""
    started: list[Process] = []

    def start(*arguments: str | Path, env: dict[str, str] | None = None) -> Process:
        number = len(started)
        out_path, err_path = tmp_path / f"{number}.out", tmp_path / f"{number}.err"
        with out_path.open("wb") as out, err_path.open("wb") as err:
            popen = subprocess.Popen(
                [RAVEN, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=environment | (env or {}),
            )
        started.append(Process(popen, out_path, err_path))
        return started[-1]

    yield start
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait(DEADLINE_S)


@pytest.fixture
def quick_trainer(monkeypatch: pytest.MonkeyPatch) -> str:
    """Workers of this process train with `children/quick_trainer.py`, whoever starts them."""
    module = "quick_trainer"
    folder = Path(__file__).parent / "children"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setattr(worker, "BackgroundWorker", partial(worker.BackgroundWorker, trainer_module=module))
    return module


@pytest.fixture
def start_worker(platform: Platform, quick_trainer: str) -> Iterator[Callable[..., worker.BackgroundWorker]]:
    """Starts workers in threads of this process; none outlives the test."""
    del quick_trainer
    started: list[worker.BackgroundWorker] = []

    def start(**options: Any) -> worker.BackgroundWorker:
        started.append(worker.BackgroundWorker(platform, **options))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process's local time is Central European."""
    with monkeypatch.context() as context:
        context.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()
