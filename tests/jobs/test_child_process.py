"""Supervision of a child process, with real ones."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from raven_scan.jobs.child_process import ChildExit, ChildProcess, run_child
from raven_scan.kernel.errors import Invalid, RavenError, Unavailable
from raven_scan.wire.events import AnyEvent, EventReader, Message, Phase, StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec

MODULES = Path(__file__).parent
CHILD: dict[str, Any] = {"module": "child_that_obeys", "extra_env": {"PYTHONPATH": str(MODULES)}}


def wait_until(is_so: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    """Whether the process has ended; one that only waits to be reaped by a stranger has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def find_children() -> list[psutil.Process]:
    """Children of these tests that live."""
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE and "child_that_obeys" in child.cmdline()
    ]


def make_stop(folder: Path, grace_s: float, said: str = "") -> Callable[[], float | None]:
    """Asks the child to end once it has said something, and gives it so long."""
    events = folder / "events.jsonl"
    return lambda: grace_s if events.exists() and said in events.read_text() else None


def make_spec(folder: Path) -> BuildStartingWeightsSpec:
    return BuildStartingWeightsSpec(
        architecture="yolox-nano",
        classes=["waste"],
        seed=0,
        weights=folder / "weights.safetensors",
        events=folder / "events.jsonl",
    )


def run(command: str, folder: Path, **options: Any) -> StartingWeightsBuilt:
    settings: dict[str, Any] = {"timeout_s": 30, **CHILD, **options}
    return run_child(
        command,
        make_spec(folder),
        expected=StartingWeightsBuilt,
        noun="trained_model",
        folder=folder,
        log_path=folder / "child.log",
        **settings,
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], ChildProcess]]:
    children: list[ChildProcess] = []

    def start_child(command: str) -> ChildProcess:
        children.append(
            ChildProcess.start(
                command,
                make_spec(tmp_path),
                folder=tmp_path,
                log_path=tmp_path / "child.log",
                threads=1,
                **CHILD,
            )
        )
        return children[-1]

    yield start_child
    for child in children:
        child.terminate(0)


def read_message(folder: Path) -> list[int]:
    """The process ids that the child told of."""
    events: list[AnyEvent] = []
    reader = EventReader(folder / "events.jsonl")

    def is_told() -> bool:
        events.extend(reader.read_new())
        return any(isinstance(event, Message) for event in events)

    wait_until(is_told)
    return [int(pid) for event in events if isinstance(event, Message) for pid in event.text.split()]


class TestRunChild:
    def test_returns_the_event_that_is_the_result_and_tells_all(self, tmp_path: Path):
        told: list[AnyEvent] = []
        result = run("build", tmp_path, on_event=told.append)
        assert result.parameter_count == 7
        assert result.weights == str(tmp_path / "weights.safetensors")
        assert [type(event) for event in told] == [Phase, StartingWeightsBuilt]

    def test_passes_over_events_of_a_command_before(self, tmp_path: Path):
        (tmp_path / "events.jsonl").write_text("garbage of long ago\n")
        assert run("build", tmp_path).parameter_count == 7

    def test_a_result_counts_though_the_child_does_not_end(self, tmp_path: Path):
        before = time.monotonic()
        assert run("build-and-hang", tmp_path, grace_s=0.2).parameter_count == 7
        assert time.monotonic() - before < 20

    def test_a_refusal_is_the_users_to_mend(self, tmp_path: Path):
        with pytest.raises(Invalid) as caught:
            run("refuse", tmp_path)
        assert caught.value.code == "trained_model.refused.not_a_checkpoint"
        assert caught.value.message == "x.pth is no checkpoint."
        assert caught.value.hint == "Take another."

    def test_another_failure_is_not(self, tmp_path: Path):
        with pytest.raises(Unavailable) as caught:
            run("run-out-of-memory", tmp_path)
        assert caught.value.code == "trained_model.out_of_memory"
        assert caught.value.parameters == {"detail": "4 GB"}

    def test_a_crash_names_the_exit_code_and_the_last_lines(self, tmp_path: Path):
        with pytest.raises(Unavailable) as caught:
            run("crash", tmp_path)
        assert caught.value.code == "trained_model.crashed"
        assert "exit code 1" in caught.value.message
        assert caught.value.parameters["exit_code"] == 1
        assert "about to divide" in caught.value.parameters["log"]
        assert caught.value.parameters["log"][-1].startswith("ZeroDivisionError")

    def test_a_good_exit_without_a_result_is_a_crash(self, tmp_path: Path):
        with pytest.raises(Unavailable, match="without a result") as caught:
            run("end-without-result", tmp_path)
        assert caught.value.parameters["exit_code"] == 0

    def test_one_that_somebody_else_asked_to_end_was_stopped(self, tmp_path: Path):
        # As systemd does, which sends SIGTERM to every process of a service.
        with pytest.raises(Unavailable) as caught:
            run("stop-by-itself", tmp_path)
        assert caught.value.code == "trained_model.stopped"

    def test_a_signal_is_named(self, tmp_path: Path):
        with pytest.raises(Unavailable, match="SIGKILL") as caught:
            run("kill-itself", tmp_path)
        assert caught.value.parameters["signal"] == "SIGKILL"
        assert caught.value.parameters["exit_code"] is None

    def test_garbage_among_the_events_ends_it(self, tmp_path: Path):
        with pytest.raises(Unavailable) as caught:
            run("write-garbage", tmp_path, grace_s=0)
        assert caught.value.code == "trained_model.unreadable_events"

    def test_one_that_hangs_is_stopped(self, tmp_path: Path):
        pids: list[int] = []

        def note_pid(event: AnyEvent) -> None:
            del event
            pids.extend(
                child.pid for child in psutil.Process().children() if "child_that_obeys" in child.cmdline()
            )

        with pytest.raises(Unavailable) as caught:
            run("hang", tmp_path, timeout_s=2, on_event=note_pid)
        assert caught.value.code == "trained_model.timed_out"
        assert pids
        assert all(is_gone(pid) for pid in pids)

    def test_one_that_is_cancelled_is_stopped(self, tmp_path: Path):
        with pytest.raises(Unavailable) as caught:
            run("hang", tmp_path, find_stop=make_stop(tmp_path, 20.0))
        assert caught.value.code == "trained_model.cancelled"

    def test_one_that_talks_while_nobody_listens_does_not_hang(self, tmp_path: Path):
        # As long as the database does not answer, its worker is held up.
        held_up: list[float] = []

        def hold_up() -> None:
            if not held_up:
                held_up.append(1.5)
                time.sleep(1.5)

        result = run(
            "build-slowly", tmp_path, find_stop=hold_up, find_silence_limit_s=lambda: 1.2, timeout_s=30
        )
        assert result.parameter_count == 7
        assert held_up

    def test_what_it_tells_once_it_was_asked_to_end_is_taken_in(self, tmp_path: Path):
        told: list[AnyEvent] = []
        with pytest.raises(Unavailable) as caught:
            run("end-well", tmp_path, find_stop=make_stop(tmp_path, 20.0, "ready"), on_event=told.append)
        assert caught.value.code == "trained_model.cancelled"
        assert [event.phase for event in told if isinstance(event, Phase)] == [
            "end-well",
            "ready",
            "checkpoint",
        ]

    def test_one_that_was_asked_to_end_and_does_not_is_killed_when_its_time_is_over(self, tmp_path: Path):
        before = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            run("ignore-termination", tmp_path, find_stop=make_stop(tmp_path, 0.5, "deaf"), grace_s=60)
        assert caught.value.code == "trained_model.cancelled"
        assert time.monotonic() - before < 20
        assert not find_children()

    def test_the_shortest_time_to_end_counts(self, tmp_path: Path):
        """A worker that was stopped gives it long; one that lost its lease meanwhile does not."""
        answers = iter([None, 600.0])
        with pytest.raises(Unavailable) as caught:
            run("ignore-termination", tmp_path, find_stop=lambda: next(answers, 0.3), grace_s=60)
        assert caught.value.code == "trained_model.cancelled"

    def test_a_result_that_comes_although_it_was_asked_to_end_counts(self, tmp_path: Path):
        result = run("build-when-asked", tmp_path, find_stop=make_stop(tmp_path, 20.0, "ready"))
        assert result.parameter_count == 7

    def test_one_that_tells_nothing_for_too_long_hangs(self, tmp_path: Path):
        with pytest.raises(Unavailable) as caught:
            run("hang", tmp_path, find_silence_limit_s=lambda: 0.5)
        assert caught.value.code == "trained_model.hung"
        assert caught.value.parameters["evidence"]["silent_s"] >= 0.5
        assert not find_children()

    def test_one_that_tells_something_now_and_then_does_not_hang(self, tmp_path: Path):
        told: list[AnyEvent] = []
        result = run("build-slowly", tmp_path, find_silence_limit_s=lambda: 3.0, on_event=told.append)
        assert result.parameter_count == 7
        assert told[-1].time - told[0].time > 3.0

    def test_what_the_listener_raises_ends_it(self, tmp_path: Path):
        class ListenerError(Exception):
            pass

        def fail(event: AnyEvent) -> None:
            raise ListenerError(event)

        with pytest.raises(ListenerError):
            run("hang", tmp_path, on_event=fail)
        assert not find_children()

    def test_no_folder_no_child(self, tmp_path: Path):
        with pytest.raises(RavenError) as caught:
            run("build", tmp_path / "missing")
        assert caught.value.code == "child_process.not_started"


class TestChildProcess:
    def test_sees_no_secret(
        self, start: Callable[[str], ChildProcess], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ):
        monkeypatch.setenv("RAVEN_TOKEN", "hush-token")
        monkeypatch.setenv("RAVEN_DATABASE_URL", "postgresql://u:hush-password@h/d")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-key")
        child = start("show-environment")
        assert child.wait(30) == ChildExit(0, None)
        log = "\n".join(child.tail_log(10))
        assert "hush" not in log
        assert '"OMP_NUM_THREADS": "1"' in log
        assert f'"RAVEN_PARENT_PID": "{os.getpid()}"' in log
        # Its working folder is where files from outside lie: no module is imported from there.
        assert child.tail_log(1)[0].split() == [str(tmp_path), str(MODULES)]

    def test_killed_from_outside(self, start: Callable[[str], ChildProcess]):
        child = start("hang")
        assert child.poll() is None
        assert child.exit is None
        os.kill(child.pid, signal.SIGKILL)
        assert child.wait(20) == ChildExit(None, "SIGKILL")
        assert child.exit == child.poll() == ChildExit(None, "SIGKILL")

    def test_ends_when_asked(self, start: Callable[[str], ChildProcess], tmp_path: Path):
        child = start("hang")
        wait_until((tmp_path / "events.jsonl").exists)
        assert child.terminate(20) == ChildExit(None, "SIGTERM")

    def test_is_killed_where_it_does_not_listen(self, start: Callable[[str], ChildProcess], tmp_path: Path):
        child = start("ignore-termination")
        wait_until(
            lambda: (
                "deaf" in (tmp_path / "events.jsonl").read_text()
                if (tmp_path / "events.jsonl").exists()
                else False
            )
        )
        assert child.terminate(0.2) == ChildExit(None, "SIGKILL")

    def test_is_killed_where_it_is_stopped(self, start: Callable[[str], ChildProcess]):
        child = start("hang")
        os.kill(child.pid, signal.SIGSTOP)
        assert child.terminate(0.2).signal in {"SIGTERM", "SIGKILL"}
        assert is_gone(child.pid)

    def test_its_descendants_go_with_it_whatever_their_group(
        self, start: Callable[[str], ChildProcess], tmp_path: Path
    ):
        child = start("have-children")
        pids = read_message(tmp_path)
        assert len(pids) == 2
        assert not any(is_gone(pid) for pid in pids)
        child.terminate(0.1)
        assert all(is_gone(pid) for pid in pids)

    def test_what_a_crashed_child_leaves_in_its_group_is_killed(
        self, start: Callable[[str], ChildProcess], tmp_path: Path
    ):
        child = start("leave-a-child")
        (left,) = read_message(tmp_path)
        assert child.wait(20) == ChildExit(3, None)
        wait_until(lambda: is_gone(left))

    def test_terminating_what_has_ended_changes_nothing(self, start: Callable[[str], ChildProcess]):
        child = start("leave-a-child")
        child.wait(20)
        assert child.terminate(1) == child.terminate(0) == ChildExit(3, None)

    def test_dies_with_its_parent_and_not_with_the_thread_that_started_it(self, tmp_path: Path):
        parent = subprocess.Popen(
            [sys.executable, str(MODULES / "parent_that_is_killed.py"), str(tmp_path), str(MODULES)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert parent.stdout
            pid = int(parent.stdout.readline())
            # Written after the child asked for the signal, when the thread is long gone.
            wait_until((tmp_path / "events.jsonl").exists)
            assert not is_gone(pid)
        finally:
            parent.kill()
            parent.communicate()
        wait_until(lambda: is_gone(pid))
