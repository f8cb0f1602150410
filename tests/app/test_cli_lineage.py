"""`raven models lineage` and `verify`; `raven runs compare`, `reproduce` and `reproduction`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.training_runs.finished_runs import finish_run

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions

from .conftest import Said

Raven = Callable[..., Said]
ADMIN = LOCAL_ADMINISTRATOR


@pytest.fixture
def runs(platform: Platform, sample_folder: Path) -> None:
    """`first` and `second [b]`, which started from what `first` made."""
    platform.datasets.import_version(ADMIN, sample_folder, ImportOptions(name="sample"))
    for name, base_model, seed in (("first", "yolox-nano", 0), ("second [b]", "first", 1)):
        run = platform.training_runs.create(
            ADMIN,
            name=name,
            dataset="sample",
            base_model=base_model,
            parameters=TrainingParameters(epochs=2, batch_size=4, image_size=64, warmup_epochs=0, seed=seed),
        )
        finish_run(platform, run, test_map50=0.5 + seed / 10)


@pytest.mark.usefixtures("runs")
def test_a_lineage_is_a_tree_a_document_or_a_chart(raven: Raven):
    said = raven("models", "lineage", "first")
    assert said.code == 0
    places = [
        said.out.index(words)
        for words in ("model yolox-nano", "run first", "model first", "run second [b]", "model second [b]")
    ]
    assert places == sorted(places)
    assert "sample@1 sha256" in said.out
    document = raven("models", "lineage", "first", "--json").document
    assert [node["name"] for node in document["nodes"] if node["is_subject"]] == ["first"]
    chart = raven("models", "lineage", "first", "--mermaid").out
    assert chart.startswith("flowchart TD\n")
    assert "second #91;b#93;" in chart
    assert raven("models", "lineage", "first", "--mermaid", "--json").code == 2
    assert raven("models", "lineage", "nobody").code == 3


@pytest.mark.usefixtures("runs")
def test_a_damaged_model_ends_the_proof_with_its_own_code(raven: Raven, platform: Platform):
    said = raven("models", "verify", "first")
    assert said.code == 0, said.err
    assert "images" in said.out
    model = platform.trained_models.get_model(ADMIN, "first")
    path = platform.blobs.get_path(model.weights_digest or "")
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b"x")
    said = raven("models", "verify", "first", "--json")
    assert said.code == 8
    assert said.document["is_good"] is False
    assert {item["item"] for item in said.document["items"] if item["verdict"] == "damaged"} == {"weights"}
    assert "backup" in said.err


@pytest.mark.usefixtures("runs")
def test_runs_are_compared_and_reproduced(raven: Raven, platform: Platform, tmp_path: Path):
    said = raven("runs", "compare", "first", "second [b]")
    assert said.code == 0, said.err
    for words in ("seed", "base model", "0.600 (+0.100)", "loss: 1 to 2", "█"):
        assert words in said.out
    assert "epochs" not in said.out  # it is the same in both
    assert (
        raven("runs", "compare", "first", "second [b]", "--json").document["runs"][1]["name"] == "second [b]"
    )
    assert "Name two to ten" in raven("runs", "compare", "first").err
    said = raven("runs", "compare", "first", "second [b]", "--metric", "los")
    assert "None of them has such a metric: los. `raven runs metrics first`" in said.err
    for kind, beginning in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"curves.{kind}"
        assert raven("runs", "compare", "first", "second [b]", "--picture", path).code == 0
        assert path.read_bytes().startswith(beginning)
        assert raven("runs", "compare", "first", "second [b]", "--picture", path).code == 5
        assert raven("runs", "compare", "first", "second [b]", "--picture", path, "--force").code == 0
    assert raven("runs", "compare", "first", "second [b]", "--picture", tmp_path / "curves.txt").code == 2
    platform.run_stewardship.edit(ADMIN, "first", name="_ $x$ 第一")
    nothing = ("--metric", "nothing", "--picture", tmp_path / "nothing.png")
    for options in (("--picture", tmp_path / "names.png"), nothing):
        assert raven("runs", "compare", "_ $x$ 第一", "second [b]", *options).code == 0
    assert (tmp_path / "names.png").exists()
    assert not (tmp_path / "nothing.png").exists()
    platform.run_stewardship.edit(ADMIN, "_ $x$ 第一", name="first")
    said = raven("runs", "reproduce", "first", "--no-wait", "--json")
    assert said.code == 0, said.err
    assert said.document["name"] == "first-reproduced"
    assert said.document["status"] == "Waiting"
    said = raven("runs", "reproduction", "first-reproduced", "--json")
    assert (said.code, said.document["verdict"]) == (0, "pending")
    platform.run_control.cancel(ADMIN, "first-reproduced")
    run, _ = platform.run_reproductions.reproduce(ADMIN, "first")
    finish_run(platform, run, value=3.0, test_map50=0.1)
    said = raven("runs", "reproduction", run.name)
    assert said.code == 1
    assert "Not reproduced" in said.out
    assert raven("runs", "reproduce", "first-reproduced").code == 5
