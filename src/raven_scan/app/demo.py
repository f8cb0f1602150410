"""The demo: the platform's whole main job on a sample dataset that is drawn here."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psutil

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.pictures import save_results_picture
from raven_scan.app.wiring import Platform
from raven_scan.client import RavenClient
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.datasets.types import Part
from raven_scan.figures.gallery import describe_images
from raven_scan.figures.image_results import ImageResult
from raven_scan.figures.matches import read_matches
from raven_scan.kernel.errors import Conflict, NotFound, Unavailable
from raven_scan.kernel.progress import Progress
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.trained_models.types import Figures
from raven_scan.trained_models.untrained import evaluate_untrained
from raven_scan.training_runs.schemas import TrainingRunOut
from raven_scan.training_runs.types import RunStatus

NAME = "raven-demo"
BASE_MODEL = "rtmdet-lite0"
PARAMETERS: Mapping[str, Any] = {"epochs": 9, "image_size": 320, "batch_size": 8}

# Where no confidence is the best one: nothing was found.
_CONFIDENCE = 0.3
_IMAGES_SHOWN = 12


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What came out.

    Attributes:
        model: the trained model's name, which is its run's.
        picture: test images with true and predicted boxes.
    """

    dataset: str
    model: str
    trained: Figures
    untrained: Figures
    picture: Path
    duration_s: float


class DemoDisplay(Protocol):
    """How the demo tells how far it is."""

    def say(self, text: str) -> None: ...

    def show_work(self) -> AbstractContextManager[Progress]:
        """For work that is counted."""
        ...

    def show_run(self) -> AbstractContextManager[Callable[[TrainingRunOut], None]]:
        """For a run, told after each change."""
        ...


def run_demo(platform: Platform, raven: RavenClient, folder: Path, display: DemoDisplay) -> DemoResult:
    """Draws a dataset, imports it, trains on it, and compares what came out with what it started from.

    It can be repeated: the dataset in the folder is used again, a run that was interrupted goes on, and after one
    that is over the next gets a new name.

    Args:
        platform: with a worker at work.
        raven: the client of the same platform.
        folder: gets the sample dataset and the picture.
        display: told of every step.

    Raises:
        Unavailable: the run did not end in Success.
    """
    started = time.monotonic()
    source = folder / "dataset"
    if source.is_dir():
        display.say(f"The sample dataset is in {source} already.")
    else:
        display.say(f"Drawing a sample dataset into {source}: drone-like scenes, some with waste.")
        with display.show_work() as progress:
            make_sample_dataset(source, progress=progress)
    display.say("Importing it: every image is read, every box is checked.")
    with display.show_work() as progress:
        version = raven.datasets.import_path(source, name=NAME, on_progress=progress)
    run = _schedule_run(raven, version.full_name)
    display.say(f"Training {run.name}: {BASE_MODEL}, {run.epochs} epochs. A few minutes on two cores.")
    with display.show_run() as show:
        for run in raven.runs.watch(str(run.id)):  # noqa: B020 - the same run, later
            show(run)
    if run.model is None:
        reason = run.error.message if run.error else f"it is {run.status}."
        raise Unavailable(
            "demo.run_failed",
            f"The demo's run {run.name} did not end in Success: {reason}",
            hint=f"See `raven runs logs {run.name}`.",
            parameters={"run": run.name},
        )
    display.say("Evaluating an untrained detector beside it.")
    picture = folder / f"{run.name}.png"
    trained = platform.trained_models.get_model(LOCAL_ADMINISTRATOR, run.model.name).test
    if trained is None:
        raise RuntimeError("a run ended in Success without figures")
    with hold_scratch_folder(platform.settings.work_folder, "demo") as work:
        part = platform.datasets.lay_out_part(LOCAL_ADMINISTRATOR, version.id, Part.TEST, work / "data")
        untrained = evaluate_untrained(
            platform.trained_models,
            LOCAL_ADMINISTRATOR,
            run.model.name,
            part,
            work,
            threads=psutil.cpu_count(logical=False) or 1,
        )
        results = _read_results(platform, run.model.id, version.id)
        save_results_picture(part.folder, results, picture, confidence=trained.confidence or _CONFIDENCE)
    return DemoResult(
        dataset=version.full_name,
        model=run.model.name,
        trained=trained,
        untrained=untrained,
        picture=picture,
        duration_s=time.monotonic() - started,
    )


def _read_results(platform: Platform, model_id: UUID, version_id: UUID) -> list[ImageResult]:
    """What the test at the run's end says of the first images."""
    evaluation = platform.evaluations.find_latest(LOCAL_ADMINISTRATOR, model_id, version_id)
    if evaluation is None:
        raise RuntimeError("a run ended in Success without an evaluation")
    matches = read_matches(platform.evaluations.open_matches(LOCAL_ADMINISTRATOR, evaluation.id))
    return describe_images(matches, matches.image_ids[:_IMAGES_SHOWN].tolist())


def _schedule_run(raven: RavenClient, dataset: str) -> TrainingRunOut:
    """A run that waits: one that an earlier demo did not bring to its end, or a new one under a free name."""
    for number in count(1):
        name = NAME if number == 1 else f"{NAME}-{number}"
        try:
            run = raven.runs.create(name=name, dataset=dataset, base_model=BASE_MODEL, parameters=PARAMETERS)
        except Conflict as error:
            if not error.code.endswith(".name_taken"):
                raise
            found = _find_unfinished(raven, name, dataset)
            if found is None:
                continue
            run = found
        return raven.runs.schedule(run.name).run if run.status is RunStatus.DRAFT else run
    raise AssertionError


def _find_unfinished(raven: RavenClient, name: str, dataset: str) -> TrainingRunOut | None:
    try:
        run = raven.runs.get(name)
    except NotFound:  # it is a model that has the name
        return None
    return None if run.status.is_final or run.dataset_version.name != dataset else run
