"""Commands that control runs, with real workers whose trainer is quick."""

import re
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from raven_scan.app.cli.exit_codes import RUN_FAILED, RUN_PAUSED
from raven_scan.app.wiring import Platform
from raven_scan.jobs.gpu_load import DeviceLoad
from raven_scan.jobs.machine_load import WorkerLoad

from .children.quick_trainer import OUT_OF_MEMORY
from .conftest import DEADLINE_S, Process, wait_until

Raven = Callable[..., Any]
Start = Callable[..., Process]
StartWorker = Callable[..., Any]

ENDLESS = ("--epochs", "2000")


@pytest.fixture
def imported(raven: Raven, sample_folder: Path) -> Raven:
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    return raven


def create(raven: Raven, name: str = "first", *more: str) -> Any:
    arguments = ("--name", name, "--dataset", "tiny", "--base-model", "rtmdet-lite0", "--image-size", "64")
    return raven("runs", "create", *arguments, *more, "--json")


def show(raven: Raven, name: str = "first") -> Any:
    return raven("runs", "show", name, "--json").document


def wait_for(raven: Raven, status: str, name: str = "first") -> Any:
    return wait_until(lambda: (run := show(raven, name))["status"] == status and run, f"{name} {status}")


def wait_for_steps(raven: Raven, name: str = "first") -> Any:
    return wait_until(lambda: (run := show(raven, name))["progress"]["step"] and run, f"steps of {name}")


def list_names(told: Any) -> list[str]:
    assert told.code == 0, told
    items = told.document["items"]
    assert [item["place"] for item in items] == list(range(1, len(items) + 1))
    return [item["run"]["name"] for item in items]


def test_a_dry_run_that_fails_says_why_and_leaves_a_draft(imported: Raven, quick_trainer: str) -> None:
    del quick_trainer
    told = create(imported, "first", "--seed", str(OUT_OF_MEMORY), "--dry-run")
    run = told.document
    assert told.code == RUN_FAILED
    assert (run["status"], run["error"]) == ("Draft", None)
    assert run["dry_run_error"]["code"] == "out_of_memory.device"
    assert "raven runs clone first" in told.err
    human = imported("runs", "show", "first")
    assert "Its dry run failed; it is a Draft again." in human.err
    assert "The device ran out of memory in step 3." in human.err
    create(imported, "second")
    told = imported("runs", "logs", "second")
    assert (told.code, told.out) == (0, "")
    assert "it has no log before it is executed" in told.err


def test_a_dry_run_tells_what_the_run_will_cost(imported: Raven, quick_trainer: str) -> None:
    del quick_trainer
    told = create(imported, "first", "--epochs", "6", "--dry-run")
    assert told.code == 0, told
    run = told.document
    assert (run["status"], run["is_dry_run"], run["findings"]) == ("Draft", False, [])
    assert (run["estimate"]["steps"], run["estimate"]["memory_mb"]) == (60, 1234.0)
    assert run["estimate"]["time_s"] > 60 * 0.5
    assert "raven runs schedule first" in told.err
    assert [attempt["end"] for attempt in run["attempts"]] == ["dry_run"]
    human = imported("runs", "show", "first").out
    assert "60 steps of 500 ms" in human
    assert "1.3 GB" in human
    # It is as it was, and can be scheduled, tried again or executed.
    assert imported("runs", "schedule", "first", "--dry-run", "--json").code == 0
    executed = imported("runs", "schedule", "first", "--wait", "--json")
    assert (executed.code, executed.document["status"]) == (0, "Success")


def test_pause_resume_cancel_and_retry(imported: Raven, start_worker: StartWorker) -> None:
    start_worker()
    assert create(imported, "first", *ENDLESS, "--schedule").code == 0
    wait_for_steps(imported)
    paused = imported("runs", "pause", "first", "--json")
    assert (paused.code, paused.document["status"]) == (0, "Paused")
    assert [attempt["end"] for attempt in paused.document["attempts"]] == ["paused"]
    step = paused.document["checkpoints"][0]["step"]
    assert step > 0
    assert "raven runs resume first" in paused.err
    again = imported("runs", "pause", "first", "--json")
    assert (again.code, again.document["status"]) == (0, "Paused")

    resumed = imported("runs", "resume", "first", "--json")
    assert (resumed.code, resumed.document["status"]) == (0, "Waiting")
    wait_until(lambda: show(imported)["progress"]["step"] > step, "a step after the pause")
    # The log follows the steps by seconds.
    wait_until(
        lambda: f"training from step {step}" in imported("runs", "logs", "first").out,
        "the log of the second attempt",
    )

    cancelled = imported("runs", "cancel", "first", "--json")
    assert (cancelled.code, cancelled.document["status"]) == (0, "Cancelled")
    assert cancelled.document["checkpoints"][0]["step"] == step
    assert "raven runs retry first" in cancelled.err
    assert imported("runs", "cancel", "first", "--json").code == 5
    assert imported("runs", "resume", "first", "--json").code == 5

    assert imported("runs", "retry", "first", "--json").document["status"] == "Waiting"
    wait_until(lambda: len(show(imported)["attempts"]) == 3, "the third attempt")
    wait_for_steps(imported)
    assert imported("runs", "cancel", "first").code == 0
    retried = imported("runs", "retry", "first", "--from-start", "--json").document
    assert (retried["checkpoints"], retried["progress"]["step"]) == ([], 0)
    wait_until(
        lambda: "training from step 0" in imported("runs", "logs", "first").out.rpartition("Attempt")[2],
        "a new start",
    )
    assert imported("runs", "cancel", "first").code == 0
    human = imported("runs", "show", "first").out
    assert "cancelled" in human
    assert "cpu" in human


def test_a_pause_does_not_have_to_be_waited_for(imported: Raven, start_worker: StartWorker) -> None:
    start_worker()
    assert create(imported, "first", *ENDLESS, "--schedule").code == 0
    wait_for_steps(imported)
    told = imported("runs", "pause", "first", "--no-wait", "--json")
    assert (told.code, told.document["status"]) == (0, "Processing")
    wait_for(imported, "Paused")


def test_a_pause_comes_true_where_the_worker_is_killed(imported: Raven, start_raven: Start) -> None:
    worker = start_raven("worker", "--slots", "cpu", "--json")
    assert worker.wait_for_document()["slots"] == ["cpu"]
    assert create(imported, "first", *ENDLESS, "--batch-size", "4", "--schedule").code == 0
    wait_for(imported, "Processing")
    worker.popen.send_signal(signal.SIGSTOP)
    pausing = start_raven("runs", "pause", "first", "--json")
    wait_until(lambda: show(imported)["is_pausing"], "the request")
    worker.popen.kill()
    worker.popen.wait(DEADLINE_S)
    assert pausing.popen.wait(DEADLINE_S) == 0, pausing.err
    assert pausing.wait_for_document()["status"] == "Paused"
    assert "pausing" in pausing.err


def test_what_waits_is_paused_and_cancelled_at_once(imported: Raven) -> None:
    for name in ("a", "b"):
        assert create(imported, name, "--schedule").code == 0
    assert imported("runs", "pause", "a", "--json").document["status"] == "Paused"
    assert imported("runs", "cancel", "a", "--json").document["status"] == "Cancelled"
    assert imported("runs", "cancel", "b", "--json").document["status"] == "Cancelled"
    assert list_names(imported("queue", "--json")) == []
    statuses = {item["name"]: item["status"] for item in imported("runs", "list", "--json").document["items"]}
    assert statuses == {"a": "Cancelled", "b": "Cancelled"}


def test_who_waits_for_a_run_hears_of_its_pause(
    imported: Raven, start_worker: StartWorker, start_raven: Start
) -> None:
    start_worker()
    assert create(imported, "first", *ENDLESS, "--schedule").code == 0
    wait_for_steps(imported)
    watching = start_raven("runs", "watch", "first", "--json")
    wait_until(lambda: "training" in watching.err, "the watcher")
    assert imported("runs", "pause", "first").code == 0
    assert watching.popen.wait(DEADLINE_S) == RUN_PAUSED
    assert watching.wait_for_document()["status"] == "Paused"
    assert "raven runs resume first" in watching.err
    shown = imported("runs", "watch", "first", "--json")
    assert (shown.code, shown.document["status"]) == (RUN_PAUSED, "Paused")


def test_resume_and_retry_execute_what_they_wait_for(imported: Raven, quick_trainer: str) -> None:
    del quick_trainer
    assert create(imported, "first", "--epochs", "2", "--schedule").code == 0
    assert imported("runs", "pause", "first").code == 0
    resumed = imported("runs", "resume", "first", "--wait", "--json")
    assert (resumed.code, resumed.document["status"]) == (0, "Success")
    assert create(imported, "second", "--epochs", "2", "--schedule").code == 0
    assert imported("runs", "cancel", "second").code == 0
    watched = imported("runs", "watch", "second", "--json")
    assert (watched.code, watched.document["status"]) == (1, "Cancelled")
    retried = imported("runs", "retry", "second", "--wait", "--json")
    assert (retried.code, retried.document["model"]["name"]) == (0, "second")


def test_who_waits_for_a_run_hears_which_come_before_it(imported: Raven, quick_trainer: str) -> None:
    del quick_trainer
    assert create(imported, "first", "--epochs", "1", "--schedule").code == 0
    waited = create(imported, "second", "--epochs", "1", "--schedule", "--wait")
    assert waited.code == 0, waited
    assert "A run is before it, first of all first" in waited.err
    assert show(imported, "first")["status"] == "Success"


def test_a_run_that_cannot_be_scheduled_says_that_it_stays_a_draft(imported: Raven) -> None:
    told = create(imported, "first", "--batch-size", "500", "--schedule")
    assert told.code != 0
    assert "raven runs clone first --name OTHER" in told.err + told.out
    assert show(imported, "first")["status"] == "Draft"


def test_an_error_is_shown_with_its_evidence(imported: Raven, quick_trainer: str, tmp_path: Path) -> None:
    del quick_trainer
    told = create(imported, "first", "--seed", str(OUT_OF_MEMORY), "--schedule", "--wait")
    assert (told.code, told.document["status"]) == (1, "Error")
    assert told.document["error"]["evidence"]["images"] == ["a.jpg", "b.jpg"]
    human = imported("runs", "show", "first")
    assert "images: a.jpg, b.jpg" in human.err
    assert "step: 3" in human.err
    assert "Lower --batch-size." in human.err
    assert re.search(r"1 +\S+ +cpu +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d .* error", human.out)
    log = imported("runs", "logs", "first").out
    assert "training from step 0" in log
    file = tmp_path / "first.log"
    written = imported("runs", "logs", "first", "--output", file, "--json")
    assert written.document == {"file": str(file), "size_bytes": len(log.encode())}
    assert file.read_text() == log
    assert list(tmp_path.glob(".*.part")) == []
    file.write_text("something else")
    told = imported("runs", "logs", "first", "-o", file, "--json")
    assert (told.code, told.document["error"]["code"]) == (5, "client.file_exists")
    assert file.read_text() == "something else"
    assert str(len(log.encode())) in imported("runs", "logs", "first", "-o", file, "--force").out
    refused = imported("runs", "logs", "first", "--output", tmp_path / "no" / "first.log", "--json")
    assert (refused.code, refused.document["error"]["code"]) == (2, "usage")


def test_the_queue_has_an_order(imported: Raven) -> None:
    for name, priority in (("a", 0), ("b", 0), ("c", 5), ("d", 0)):
        assert create(imported, name, "--priority", str(priority), "--schedule").code == 0
    queue = imported("queue", "--json")
    assert list_names(queue) == ["c", "a", "b", "d"]
    first = queue.document["items"][0]
    assert (first["priority"], first["reason_code"], first["expected_start_at"]) == (5, "no_worker", None)
    human = imported("queue").out
    assert "raven worker" in human
    orders = [
        (("d", "--to", "first"), "dcab"),
        (("d", "--to", "last"), "cabd"),
        (("d", "--to", "2"), "cdab"),
        (("c", "--to", "99"), "dabc"),
        (("c", "--before", "a"), "dcab"),
        (("d", "--after", "a"), "cadb"),
        (("c", "--before", "b"), "adcb"),
        (("b", "--after", "a"), "abdc"),
        (("a", "--after", "c"), "bdca"),
        (("a", "--before", "b"), "abdc"),
    ]
    for arguments, order in orders:
        assert list_names(imported("runs", "move", *arguments, "--json")) == list(order), arguments
    assert list_names(imported("queue", "--json")) == list("abdc")
    assert create(imported, "draft").code == 0
    refused: Iterable[tuple[tuple[str, ...], int, str]] = [
        (("a",), 2, "usage"),
        (("a", "--to", "1", "--before", "b"), 2, "usage"),
        (("a", "--to", "0"), 2, "usage"),
        (("a", "--to", "²"), 2, "usage"),
        (("a", "--before", "a"), 2, "usage"),
        (("a", "--before", "draft"), 2, "usage"),
        (("draft", "--to", "1"), 5, "training_run.not_moved"),
        (("nope", "--to", "1"), 3, "training_run.not_found"),
        (("a", "--after", "nope"), 3, "training_run.not_found"),
    ]
    for arguments, exit_code, code in refused:
        told = imported("runs", "move", *arguments, "--json")
        assert (told.code, told.document["error"]["code"]) == (exit_code, code), arguments


def test_workers_are_listed_with_what_they_do(imported: Raven, start_worker: StartWorker) -> None:
    assert imported("workers", "--json").document == {"items": [], "next": None}
    assert "raven worker" in imported("workers").out
    worker = start_worker(devices=["cpu", "cpu"])
    assert create(imported, "first", *ENDLESS, "--schedule").code == 0
    wait_for_steps(imported)
    (item,) = imported("workers", "--json").document["items"]
    assert (item["name"], item["is_draining"]) == (worker.name, False)
    assert [slot["device"] for slot in item["slots"]] == ["cpu", "cpu"]
    assert sorted(slot["run"]["name"] if slot["run"] else "" for slot in item["slots"]) == ["", "first"]
    assert [slot["load"] for slot in item["slots"]] == [None, None], "a CPU's load is the machine's"
    assert 0 < item["load"]["memory_used_bytes"] < item["load"]["memory_total_bytes"]
    human = imported("workers").out
    assert "cpu: first" in human
    assert "cpu: free" in human
    assert "processor" in human


def test_how_busy_workers_are_is_told_or_said_not_to_be_known(imported: Raven, platform: Platform) -> None:
    of_gpu = DeviceLoad(None, 71_300_000_000, 80_000_000_000)
    load = WorkerLoad(37.4, 61_000_000_000, 64_000_000_000, {"cuda:0": of_gpu})
    platform.workers.beat("node:1:0.00", ["cuda:0", "cuda:1"], load=load)
    platform.workers.beat("older:1:0.00", ["cpu"])
    node, older = imported("workers", "--json").document["items"]
    assert node["load"] == {
        "processor_percent": 37.4,
        "memory_used_bytes": 61_000_000_000,
        "memory_total_bytes": 64_000_000_000,
    }
    assert [slot["load"] for slot in node["slots"]] == [asdict(of_gpu), None]
    assert older["load"] is None
    human = " ".join(imported("workers").out.split())
    for said in (
        "processor 37 %",
        "61.0 GB of 64.0 GB",
        "not known, 71.3 GB of 80.0 GB",
        "cuda:1: free (load not known)",
    ):
        assert said in human


def test_presets(imported: Raven) -> None:
    assert imported("presets", "list", "--json").document == {"items": [], "next": None}
    assert "raven presets" in imported("presets", "list").out
    assert (
        create(imported, "good", "--epochs", "7", "--learning-rate", "0.003", "--fraction", "0.5").code == 0
    )
    saved = imported("presets", "save", "lite", "--run", "good", "--json")
    assert (saved.code, saved.document["name"], saved.document["run_name"]) == (0, "lite", "good")
    assert saved.document["parameters"]["epochs"] == 7
    assert imported("presets", "save", "lite", "--run", "good", "--json").code == 5
    assert imported("presets", "save", "other", "--run", "nope", "--json").code == 3
    assert imported("presets", "show", "lite", "--json").document == saved.document
    assert "0.003" in imported("presets", "show", saved.document["id"]).out
    assert "rtmdet-lite0" in imported("presets", "list").out

    run = create(imported, "next", "--preset", "lite", "--epochs", "9").document
    parameters = run["parameters"]
    assert (parameters["learning_rate"], parameters["epochs"], run["preset"]) == (0.003, 9, "lite")
    assert "lite" in imported("runs", "show", "next").out
    assert (
        create(imported, "none", "--preset", "nope").document["error"]["code"] == "training_preset.not_found"
    )

    asked = imported("presets", "delete", "lite", "--json")
    assert (asked.code, asked.document["error"]["code"]) == (2, "usage")
    deleted = imported("presets", "delete", "lite", "--yes", "--json")
    assert deleted.document == {"deleted": {"id": saved.document["id"], "name": "lite"}}
    assert imported("presets", "show", "lite", "--json").code == 3
    assert show(imported, "next")["preset"] == "lite"


def test_a_clone_is_the_same_but_for_what_is_said(imported: Raven) -> None:
    made = create(
        imported,
        "first",
        *("--epochs", "7", "--seed", "3", "--priority", "4", "--time-limit", "6h", "--device", "cpu"),
        *("--accumulation", "2", "--checkpoint-minutes", "1.5", "--retry-smaller-batch"),
    ).document
    assert made["options"] == {
        "priority": 4,
        "start_at": None,
        "time_limit_s": 6 * 3600,
        "device_kind": "cpu",
        "device_count": 1,
        "retry_smaller_batch": True,
    }
    assert (made["parameters"]["accumulation"], made["parameters"]["checkpoint_minutes"]) == (2, 1.5)
    cloned = imported("runs", "clone", "first", "--name", "second", "--epochs", "9", "--json").document
    assert cloned["parameters"] == {**made["parameters"], "epochs": 9}
    assert (cloned["options"], cloned["cloned_from"], cloned["status"]) == (made["options"], "first", "Draft")
    third = imported(
        *("runs", "clone", "second", "--name", "third", "--time-limit", "none", "--no-retry-smaller-batch"),
        *("--priority", "0", "--schedule", "--json"),
    ).document
    assert (third["status"], third["parameters"]) == ("Waiting", cloned["parameters"])
    options = third["options"]
    assert (options["time_limit_s"], options["retry_smaller_batch"], options["priority"]) == (None, False, 0)
    assert options["device_kind"] == "cpu"
    human = imported("runs", "show", "first").out
    assert "priority 4" in human
    assert "at most 6 h" in human
    assert imported("runs", "clone", "first", "--name", "second", "--json").code == 5
    refused = imported("runs", "clone", "first", "--name", "fourth", "--epochs", "0", "--json")
    assert refused.code == 2


@pytest.mark.usefixtures("berlin")
def test_a_later_start_is_told_back_with_its_zone(imported: Raven) -> None:
    told = create(imported, "first", "--start-at", "+2h", "--schedule")
    assert told.code == 0, told
    start = datetime.fromisoformat(told.document["options"]["start_at"])
    assert re.search(r"not before \d{4}-\d\d-\d\d \d\d:\d\d CES?T\.", told.err)
    assert abs(start - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    (entry,) = imported("queue", "--json").document["items"]
    assert entry["reason_code"] == "starts_later"
    assert create(imported, "past", "--start-at", "2020-01-01T10:00", "--schedule").code == 2
    assert "not before" in imported("runs", "show", "first").out


def test_control_over_a_server(imported: Raven, start_raven: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's worker executes the run; everything is asked over the network."""
    server = start_raven("serve", "--port", "0", "--json").wait_for_document()["server"]
    monkeypatch.setenv("RAVEN_SERVER", server)
    assert len(imported("workers", "--json").document["items"]) == 1
    made = create(imported, "first", *ENDLESS, "--batch-size", "4", "--schedule")
    assert (made.code, made.document["status"]) == (0, "Waiting")
    for name in ("second", "third"):
        assert imported("runs", "clone", "first", "--name", name, "--start-at", "+1h", "--schedule").code == 0
    wait_for_steps(imported)
    assert list_names(imported("runs", "move", "third", "--before", "second", "--json")) == [
        "third",
        "second",
    ]
    paused = imported("runs", "pause", "first", "--json")
    assert (paused.code, paused.document["status"]) == (0, "Paused")
    assert imported("runs", "cancel", "first", "--json").document["status"] == "Cancelled"
    assert imported("presets", "save", "lite", "--run", "first").code == 0
    assert imported("presets", "delete", "lite", "--yes").code == 0
    assert imported("presets", "list", "--json").document["items"] == []


USAGE = [
    "runs create --name a --dataset tiny --base-model rtmdet-lite0 --schedule --dry-run",
    "runs create --name a --dataset tiny --base-model rtmdet-lite0 --time-limit 90",
    "runs create --name a --dataset tiny --base-model rtmdet-lite0 --start-at soon",
    "runs clone first --name b --wait",
    "worker --drain-timeout soon",
]


@pytest.mark.parametrize("arguments", USAGE)
def test_usage(imported: Raven, arguments: str) -> None:
    told = imported(*arguments.split(), "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "usage")
    assert imported("runs", "list", "--json").document["items"] == []


def test_a_device_that_is_none_is_refused(imported: Raven) -> None:
    told = create(imported, "first", "--device", "tpu")
    assert (told.code, told.document["error"]["code"]) == (2, "request.invalid")
    assert "--device should be" in told.document["error"]["message"]
    told = imported("worker", "--slots", "tpu:0", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "worker.bad_slots")
