"""Commands that wait for a run, which is executed in their own process."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from .conftest import DEADLINE_S, Process, wait_until

Start = Callable[..., Process]
Raven = Callable[..., Any]

LONGEST_TRAINING_S = 500.0


def create(name: str, epochs: int) -> list[str]:
    return [
        *("runs", "create", "--name", name, "--dataset", "tiny", "--base-model", "rtmdet-lite0"),
        *("--epochs", str(epochs), "--image-size", "64", "--batch-size", "4", "--augmentation", "off"),
        *("--schedule", "--wait"),
    ]


@pytest.fixture
def imported(raven: Raven, sample_folder: Path) -> Raven:
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    return raven


def test_a_run_goes_from_create_to_a_model(imported: Raven, start_raven: Start) -> None:
    waiting = start_raven(*create("first", 1), "--json")
    assert waiting.popen.wait(LONGEST_TRAINING_S) == 0, waiting.out + waiting.err
    run = waiting.wait_for_document()
    assert [run[key] for key in ("name", "status", "epoch", "epochs", "error")] == [
        "first",
        "Success",
        1,
        1,
        None,
    ]
    # Where nobody sits at a terminal, progress is plain lines.
    assert "first: training" in waiting.err
    assert "\x1b" not in waiting.err
    model = imported("models", "show", "first", "--json").document
    assert (model["name"], model["stage"]) == ("first", "candidate")
    assert {"map", "map50", "map75"} <= set(model["test"])
    assert 0 <= model["test"]["map50"] <= 1
    series = imported("runs", "metrics", "first", "--name", "loss", "--json").document["series"]
    assert [each["name"] for each in series] == ["loss"]
    assert "evaluat" in imported("runs", "logs", "first").out.lower()
    assert "mAP50" in imported("models", "show", "first").out
    # What is over is shown at once.
    watched = imported("runs", "watch", "first", "--json")
    assert (watched.code, watched.document["status"]) == (0, "Success")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_hands_its_run_back(
    imported: Raven, start_raven: Start, number: signal.Signals
) -> None:
    waiting = start_raven(*create("first", 500), "--json")

    def show() -> Any:
        return imported("runs", "show", "first", "--json").document

    wait_until(lambda: show().get("status") == "Processing", "the run's start")
    children = psutil.Process(waiting.popen.pid).children(recursive=True)
    waiting.popen.send_signal(number)
    assert waiting.popen.wait(DEADLINE_S) == 130
    assert waiting.wait_for_document()["error"]["code"] == "interrupted"
    assert "goes back to Waiting" in waiting.err
    assert "raven runs watch first" in waiting.err
    assert show()["status"] == "Waiting"
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not alive


def test_a_run_that_ends_in_error_is_an_exit_code(imported: Raven, start_raven: Start) -> None:
    waiting = start_raven(*create("first", 500), "--time-limit", "1s", "--json")
    assert waiting.popen.wait(DEADLINE_S) == 1
    run = waiting.wait_for_document()
    assert (run["status"], run["error"]["code"]) == ("Error", "time_limit")
    assert run["error"]["evidence"] == {"time_limit_s": 1}
    assert imported("runs", "list", "--status", "Error", "--json").document["items"][0]["name"] == "first"
    human = imported("runs", "watch", "first")
    assert human.code == 1
    assert run["error"]["message"] in human.err
    assert "Traceback" not in human.err.splitlines()[0]


def test_a_dry_run_leaves_a_draft_with_an_estimate(imported: Raven, start_raven: Start) -> None:
    arguments = [argument for argument in create("first", 4) if argument not in {"--schedule", "--wait"}]
    told = start_raven(*arguments, "--dry-run", "--json")
    assert told.popen.wait(DEADLINE_S) == 0, told.out + told.err
    run = told.wait_for_document()
    assert (run["status"], run["error"], run["checkpoints"]) == ("Draft", None, [])
    estimate = run["estimate"]
    # 14 training images, in batches of 4.
    assert estimate["steps"] in {4 * 3, 4 * 4}
    assert 0 < estimate["step_time_s"] < estimate["time_s"] < 600
    assert estimate["memory_mb"] > 100
    assert "dry run" in told.err
    assert "Estimate" in imported("runs", "show", "first").out
