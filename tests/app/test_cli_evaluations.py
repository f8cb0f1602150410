"""Evaluating, comparing and looking at models from the command line, with a trainer that is quick."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raven_scan.access.types import WORKER
from raven_scan.app.cli.gallery_pictures import MISSED
from raven_scan.app.wiring import Platform
from raven_scan.evaluations.types import EvaluationError

Raven = Callable[..., Any]


@pytest.fixture
def models(raven: Raven, sample_folder: Path, quick_trainer: str) -> Raven:
    """`raven models`, of one that learned from `tiny@1`."""
    del quick_trainer
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    train(raven, "first")
    return lambda *arguments: raven("models", *arguments)


def train(raven: Raven, name: str) -> None:
    arguments = ("--name", name, "--dataset", "tiny", "--base-model", "rtmdet-lite0", "--epochs", "1")
    told = raven("runs", "create", *arguments, "--schedule", "--wait")
    assert told.code == 0, told


def test_models_are_evaluated_shown_and_compared(
    models: Raven, raven: Raven, sample_folder: Path, tmp_path: Path
):
    # The test at its run's end is an evaluation already.
    (made,) = models("evaluations", "first", "--json").document["items"]
    assert (made["status"], made["part"], made["dataset_version"]["name"]) == ("Success", "test", "tiny@1")
    assert made["training_run_id"]

    told = models("evaluate", "first", "--dataset", "tiny@1", "--part", "valid")
    assert told.code == 0, told
    assert "flatter" in told.err
    for words in ("first", "tiny@1, valid part", "Success", "mAP50", " to "):
        assert words in told.out
    evaluated = models("evaluate", "first", "--dataset", "tiny", "--json").document
    assert evaluated["status"] == "Success"
    assert evaluated["figures"]["map50"]["value"] is not None

    listed = models("evaluations", "--dataset", "tiny")
    assert listed.out.count("Success") == 3
    assert "its training run" in listed.out
    assert evaluated["id"] in models("evaluation", evaluated["id"]).out
    assert models("evaluation", evaluated["id"], "--log").code == 0
    ended = models("evaluation", evaluated["id"], "--cancel")
    assert ended.code == 5
    assert "has ended" in ended.err

    figures = models("figures", "first")
    assert figures.code == 0, figures
    for words in (
        "mAP50",
        "background",
        "missed",
        "Best confidence",
        "Calibration error",
        "FLOPs",
        "images/s",
    ):
        assert words in figures.out, words
    document = models("figures", "first", "--part", "valid", "--json").document
    assert document["evaluation"]["part"] == "valid"
    assert document["report"]["precision_recall"]["recalls"]

    train(raven, "second")
    compared = models("compare", "first", "second")
    assert compared.code == 0, compared
    assert "too few images to tell" in compared.out
    comparison = models("compare", "first", "second", "--figure", "map", "--json").document
    assert comparison["models"][0]["difference"] is None
    assert comparison["models"][1]["difference"]["verdict"] == "too few images to tell"

    gallery = models("gallery", "first", "--kind", "missed", "--limit", "1")
    assert gallery.code == 0, gallery
    assert "missed: " in gallery.out
    folder = tmp_path / "pictures"
    drawn = models("gallery", "first", "--limit", "2", "--pictures", folder)
    assert drawn.code == 0, drawn
    assert "Pictures in" in drawn.err
    pictures = sorted(folder.iterdir())
    assert [each.name[:5] for each in pictures] == ["0001-"]
    original = next((sample_folder / "test").glob("*.jpg"))
    with Image.open(pictures[0]) as picture, Image.open(original) as stored:
        assert picture.size == stored.size
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    assert (np.abs(colours - MISSED).max(axis=1) < 40).any()
    assert models("gallery", "first", "--limit", "2", "--pictures", folder).code == 5
    assert models("gallery", "first", "--limit", "2", "--pictures", folder, "--force").code == 0
    assert models("gallery", "first", "--kind", "false-alarms", "--json").document["items"] == []


def test_what_cannot_be_had_says_what_to_do(models: Raven, raven: Raven, platform: Platform):
    for arguments, code, words in (
        (("compare", "first", "rtmdet-lite0"), 5, "evaluate rtmdet-lite0 --dataset tiny@1"),
        (("figures", "first", "--part", "valid"), 5, "never evaluated"),
        (("gallery", "first", "--kind", "ugly"), 2, "missed"),
        (("evaluate", "rtmdet-lite0", "--dataset", "tiny"), 5, "raven runs create --base-model"),
        (("evaluate", "first", "--dataset", "tiny", "--part", "all"), 2, "valid"),
    ):
        told = models(*arguments)
        assert told.code == code, (arguments, told)
        assert words in told.err, (arguments, told)

    ask = ("evaluate", "first", "--dataset", "tiny", "--no-wait", "--json")
    asked = models(*ask).document
    assert asked["status"] == "Waiting"
    queue = raven("queue")
    assert "No worker is running" in queue.out
    (queued,) = raven("queue", "--json").document["evaluations"]
    assert (queued["id"], queued["status"], queued["reason_code"]) == (asked["id"], "Waiting", "no_worker")
    assert models("evaluation", asked["id"], "--cancel", "--json").document["status"] == "Cancelled"
    asked = models(*ask).document
    attempt = platform.evaluation_execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"])
    assert attempt
    (slot,) = platform.evaluation_execution.list_at_work(WORKER)
    assert slot.evaluation.name == "evaluation of first"
    error = EvaluationError("out_of_memory.device", "The device ran out of memory.", "Take a larger one.")
    platform.evaluation_execution.fail(WORKER, attempt, error, log="its last words\n")
    shown = models("evaluation", asked["id"])
    for words in ("Error", "The device ran out of memory.", "Take a larger one."):
        assert words in shown.out
    assert "its last words" in models("evaluation", asked["id"], "--log").out
