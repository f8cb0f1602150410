"""`raven runs`: search, edit, priority, delete, artifacts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Raven = Callable[..., Any]


@pytest.fixture
def runs(raven: Raven, sample_folder: Path) -> Raven:
    """Of two runs: demo-one and coast."""
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    for name, model in (("demo-one", "rtmdet-lite0"), ("coast", "yolox-nano")):
        arguments = ("--name", name, "--dataset", "tiny", "--base-model", model)
        assert raven("runs", "create", *arguments).code == 0
    return lambda *arguments: raven("runs", *arguments)


def list_names(runs: Raven, *arguments: str) -> list[str]:
    return [item["name"] for item in runs("list", *arguments, "--json").document["items"]]


def test_runs_are_found_edited_and_put_before_others(runs: Raven):
    assert list_names(runs) == ["coast", "demo-one"]
    assert list_names(runs, "--search", "dem lite") == ["demo-one"]
    assert list_names(runs, "--sort", "-name", "--status", "Draft", "--status", "Error") == [
        "demo-one",
        "coast",
    ]
    assert list_names(runs, "--base-model", "yolox-nano", "--dataset", "tiny@1") == ["coast"]
    assert list_names(runs, "--since", "2100-01-01") == []
    assert "No run is so." in runs("list", "-q", "nothing").out
    edited = runs("edit", "coast", "--name", "coast 2", "--notes", "By the sea", "--json").document
    assert (edited["name"], edited["notes"]) == ("coast 2", "By the sea")
    assert "By the sea" in runs("show", "coast 2").out
    assert list_names(runs, "--search", "sea") == ["coast 2"]
    assert runs("priority", "coast 2", "-5", "--json").document["options"]["priority"] == -5


def test_what_the_api_refuses_is_told_of_the_options_that_were_typed(runs: Raven):
    for arguments, option in (
        (("list", "--status", "Sleeping"), "--status"),
        (("list", "--since", "yesterday"), "--since"),
        (("priority", "coast", "2000"), "PRIORITY"),
        (("clone", "coast", "--name", "b", "--epochs", "0"), "--epochs"),
        (("clone", "coast", "--name", "b", "--priority", "1001"), "--priority"),
        (("metrics", "coast", "--name", "nope"), "No metrics yet."),
        (("artifacts", "coast", "--only", "nope"), "log.txt"),
        (("edit", "coast"), "--notes"),
    ):
        told = runs(*arguments)
        assert option in told.err + told.out, arguments
        assert "parameters.epochs" not in told.err
        assert "request again" not in told.err


def test_a_deleted_run_says_how_it_is_had_back(runs: Raven):
    refused = runs("delete", "coast", "--json")
    assert (refused.code, refused.document["error"]["code"]) == (2, "usage")
    deleted = runs("delete", "coast", "--yes")
    assert deleted.code == 0
    assert "raven trash restore" in deleted.err
    assert list_names(runs) == ["demo-one"]
    assert runs("show", "coast", "--json").document["error"]["code"] == "training_run.not_found"


def test_what_a_run_has_is_downloaded(runs: Raven, tmp_path: Path):
    folder = tmp_path / "of the run" / "coast"
    found = runs("artifacts", "coast", "--download", str(folder), "--json").document["items"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(item["name"] for item in found)
    assert json.loads((folder / "parameters.json").read_text())["name"] == "coast"
    assert "parameters.json" in runs("artifacts", "coast").out
    again = ("artifacts", "coast", "--download", str(folder), "--only", "parameters.json")
    (folder / "parameters.json").write_text("something else")
    refused = runs(*again, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (5, "client.file_exists")
    assert (folder / "parameters.json").read_text() == "something else"
    assert runs(*again, "--force").code == 0
    assert json.loads((folder / "parameters.json").read_text())["name"] == "coast"
