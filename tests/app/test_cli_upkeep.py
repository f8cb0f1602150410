"""Models, datasets and the trash on the command line."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from raven_scan.access.types import WORKER
from raven_scan.app.wiring import Platform
from raven_scan.kernel.ids import make_id
from raven_scan.trained_models.types import Figures, NewTrainedModel, TrainedModelView

Raven = Callable[..., Any]


@pytest.fixture
def model(platform: Platform, raven: Raven, sample_folder: Path) -> TrainedModelView:
    """A model that a run made of a dataset, on the platform of the commands."""
    version = raven("datasets", "import", sample_folder, "--name", "tiny", "--json").document
    return platform.trained_models.create_from_run(
        WORKER,
        NewTrainedModel(
            name="detector",
            architecture="yolox-nano",
            classes=["bottle", "can"],
            starting_weights=None,
            weights_digest=platform.blobs.put_bytes(save({"weight": np.ones(3, np.float32)})),
            configuration_digest=platform.blobs.put_bytes(b'{"model": {}}'),
            parameter_count=3,
            valid=Figures(),
            test=Figures(map50=0.5, confidence=0.35, by_class={"bottle": {"map50": 0.625}}),
            leak_allowed=False,
            base_model_id=platform.trained_models.get_model(WORKER, "yolox-nano").id,
            dataset_version_id=platform.datasets.get_version(WORKER, str(version["id"])).id,
            dataset_version_name=version["full_name"],
            training_run_id=make_id(),
            training_run_name="first try",
            parameters={"epochs": 7, "learning_rate": 0.0125},
            environment={},
        ),
    )


def test_a_model_is_found_shown_and_downloaded(raven: Raven, model: TrainedModelView, tmp_path: Path):
    for arguments in (
        ("--search", "tiny det"),
        ("--class", "can"),
        ("--dataset", "tiny@1"),
        ("--run", "first try"),
        ("--base-model", "yolox-nano", "--sort", "-test_map50"),
    ):
        found = raven("models", "list", *arguments, "--json").document["items"]
        assert [item["name"] for item in found] == ["detector"], arguments
    shown = raven("models", "show", "detector").out
    for words in ("tiny@1", "first try", "yolox-nano", "0.350", "bottle", "0.625", "learning_rate", "0.0125"):
        assert words in shown, words
    folder = tmp_path / "new" / "folder"
    downloaded = raven("models", "download", "detector", "--to", folder, "--json").document
    assert [Path(file["path"]).name for file in downloaded["files"]] == [
        "detector.safetensors",
        "detector.json",
    ]
    for file in downloaded["files"]:
        assert hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest() == file["sha256"]
    assert downloaded["files"][0]["sha256"] == model.weights_digest
    own = folder / "detector.json"
    own.write_text("something else")
    refused = raven("models", "download", "detector", "--to", folder, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (5, "client.file_exists")
    assert own.read_text() == "something else"
    assert raven("models", "download", "detector", "--to", folder, "--force").code == 0
    assert own.read_text() == '{"model": {}}'
    builtin = raven("models", "download", "dino-r50", "--json")
    assert (builtin.code, builtin.document["error"]["code"]) == (3, "trained_model.no_file")


def test_what_is_deleted_comes_back(raven: Raven, model: TrainedModelView):
    refused = raven("datasets", "delete", "tiny", "--yes", "--json")
    assert (refused.code, refused.document["error"]["code"]) == (5, "dataset.in_use")
    assert [use["name"] for use in refused.document["error"]["parameters"]["uses"]] == ["detector"]
    assert raven("models", "delete", "detector").code == 2  # nobody can be asked
    deleted = raven("models", "delete", "detector", "--yes", "--json").document["deleted"]
    assert deleted == {"id": str(model.id), "name": "detector"}
    assert raven("models", "show", "detector", "--json").code == 3
    assert raven("datasets", "delete", "tiny@1", "--yes", "--json").document["error"]["code"] == (
        "dataset.only_version"
    )
    assert raven("datasets", "delete", "tiny", "--yes").code == 0
    listed = raven("trash", "list", "--json").document["items"]
    assert [(item["kind"], item["name"]) for item in listed] == [
        ("dataset", "tiny"),
        ("trained_model", "detector"),
    ]
    assert "trained model" in raven("trash", "list").out
    assert raven("trash", "restore", "nothing", "--json").document["error"]["code"] == "trash.not_found"
    assert raven("trash", "restore", "detector", "--json").document["restored"]["id"] == str(model.id)
    assert raven("models", "show", "detector").code == 0
    assert raven("trash", "purge", "tiny", "--yes").code == 0
    assert raven("trash", "empty", "--yes").out == "The trash was empty.\n"


def test_names_and_notes_are_edited(raven: Raven, model: TrainedModelView):
    edited = raven(
        "models", "edit", "detector", "--name", "better", "--notes", "[bold] sand", "--json"
    ).document
    assert (edited["name"], edited["notes"], edited["revision"]) == (
        "better",
        "[bold] sand",
        model.revision + 1,
    )
    assert "[bold] sand" in raven("models", "show", "better").out
    assert raven("datasets", "edit", "tiny", "--name", "small", "--json").document["revision"] == 2
    assert (
        raven("models", "show", "better", "--json").document["lineage"]["dataset_version"]["name"]
        == "small@1"
    )
    assert raven("models", "edit", "better").code == 2


def test_an_export_is_imported_again(raven: Raven, model: TrainedModelView, tmp_path: Path):
    del model
    archive = tmp_path / "tiny.zip"
    exported = raven("datasets", "export", "tiny", "--to", archive, "--json")
    assert exported.document["dataset"] == "tiny@1"
    assert exported.document["size_bytes"] == archive.stat().st_size
    assert "exporting" in exported.err
    refused = raven("datasets", "export", "tiny", "--to", archive, "--json")
    assert (refused.code, refused.document["error"]["code"]) == (5, "client.file_exists")
    assert archive.stat().st_size == exported.document["size_bytes"]
    assert raven("datasets", "export", "tiny", "--to", archive, "--force").code == 0
    again = raven("datasets", "import", archive, "--name", "again", "--json").document
    assert again["digest"] == raven("datasets", "show", "tiny", "--json").document["versions"][0]["digest"]
