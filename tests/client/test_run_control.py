"""Control of runs, the queue, presets and workers by the typed client, against the real application."""

from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from raven_scan.app.server import build_app
from raven_scan.app.wiring import build_platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.client import RavenClient
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.kernel.errors import Conflict, Invalid, NotFound
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.schemas import Options, TrainingRunOut
from raven_scan.training_runs.types import DeviceKind


@pytest.fixture
def raven(tmp_path: Path, database_url: str) -> Generator[RavenClient]:
    """The application in this process, with a tiny dataset and no worker."""
    make_sample_dataset(tmp_path / "dataset", image_count=20, image_size=128)
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(database_url))
    with (
        build_platform(settings) as platform,
        RavenClient.in_process(build_app(platform, token=None, allow_server_paths=True)) as client,
    ):
        client.datasets.import_path(tmp_path / "dataset", name="tiny")
        yield client


def create(raven: RavenClient, name: str, options: Options | None = None) -> TrainingRunOut:
    return raven.runs.create(name=name, dataset="tiny", base_model="rtmdet-lite0", options=options)


def list_queue(raven: RavenClient) -> list[str]:
    assert [entry.place for entry in raven.queue.list().items] == [
        place for place, _ in enumerate(raven.queue.list_all(), 1)
    ]
    return [entry.run.name for entry in raven.queue.list_all()]


def test_options_are_kept_and_cloned(raven: RavenClient) -> None:
    start = datetime.now(UTC) + timedelta(hours=1)
    options = Options(priority=3, start_at=start, time_limit_s=60, device_kind=DeviceKind.CPU)
    run = create(raven, "first", options)
    assert run.options == options
    cloned = raven.runs.clone("first", name="second", options={"start_at": start, "time_limit_s": None})
    assert cloned.options == options.model_copy(update={"time_limit_s": None})
    assert (cloned.cloned_from, cloned.parameters) == ("first", run.parameters)
    other = raven.runs.clone(str(run.id), name="third", parameters=TrainingParameters(epochs=3, fraction=0.5))
    assert (other.parameters.epochs, other.parameters.fraction) == (3, 0.5)
    assert other.options.priority == 3
    with pytest.raises(Invalid):
        raven.runs.create(name="bad", dataset="tiny", base_model="rtmdet-lite0", options={"priority": 10_000})


def test_what_waits_is_moved_paused_resumed_and_cancelled(raven: RavenClient) -> None:
    for name in "abc":
        create(raven, name)
        assert raven.runs.schedule(name).run.status == "Waiting"
    assert list_queue(raven) == ["a", "b", "c"]
    assert [entry.run.name for entry in raven.runs.move("c", place=1).items] == ["c", "a", "b"]
    assert raven.runs.pause("a").status == "Paused"
    # Said twice, it is done once.
    assert raven.runs.pause("a").status == "Paused"
    assert raven.runs.wait("a").status == "Paused"
    assert list(raven.runs.follow_logs("a")) == list(raven.runs.read_logs("a"))
    assert list_queue(raven) == ["c", "b"]
    assert raven.runs.resume("a").status == "Waiting"
    assert raven.runs.cancel("c").status == "Cancelled"
    for again in (raven.runs.cancel, raven.runs.resume):
        with pytest.raises(Conflict):
            again("c")
    assert raven.runs.retry("c", from_start=True).status == "Waiting"
    with pytest.raises(Conflict):
        raven.runs.retry("c")
    assert sorted(list_queue(raven)) == ["a", "b", "c"]
    assert raven.workers.list().items == []


def test_presets(raven: RavenClient) -> None:
    raven.runs.create(
        name="good", dataset="tiny", base_model="rtmdet-lite0", parameters={"epochs": 7, "seed": 5}
    )
    preset = raven.presets.create(name="lite", run="good")
    assert raven.presets.get("lite") == preset
    assert raven.presets.list().items == [preset]
    with pytest.raises(Conflict):
        raven.presets.create(name="lite", run="good")
    run = raven.runs.create(
        name="next", dataset="tiny", base_model="rtmdet-lite0", parameters={"epochs": 9}, preset="lite"
    )
    assert (run.parameters.epochs, run.parameters.seed, run.preset) == (9, 5, "lite")
    raven.presets.delete(str(preset.id))
    with pytest.raises(NotFound):
        raven.presets.delete("lite")
