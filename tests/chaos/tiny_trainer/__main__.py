"""A trainer that learns next to nothing, fast: the messages, checkpoints and signals of `raven_scan.trainer`, and a
model of some numbers that needs no framework but torch.

    python -m tests.chaos.tiny_trainer train|dry-run|evaluate SPEC.json

Or `python -m tiny_trainer` with `tests/chaos` on PYTHONPATH, where another `tests` may be in the way. The
specifications are those of `raven_scan.wire.spec`. Of the parameters these count: `epochs`, `batch_size`, `seed`,
`learning_rate`, `validation_interval`, `checkpoint_interval`, `checkpoint_minutes`, `loader_processes`, and
`image_size`, which is how long a step takes: 64 are 4 ms, 320 are 20 ms.

Losses depend on nothing but the parts' annotations, the seed and the step: an interrupted run that goes on tells the
same as one that was not.
"""

import hashlib
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

sys.path.append(str(Path(__file__).parents[2] / "evaluations"))
from pretended_detector import write_evaluation

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.trainer.checkpoint_files import identify_run, read_newest_checkpoint
from raven_scan.trainer.checkpoint_writing import CheckpointWriter
from raven_scan.trainer.command_line import Command, end_process, run_command_line
from raven_scan.trainer.course import Course
from raven_scan.trainer.deferred_imports import defer_imports
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.step_telling import StepTeller
from raven_scan.trainer.stop_request import StopRequest
from raven_scan.trainer.weights_file import check_finite, read_weights, write_bytes, write_weights
from raven_scan.wire.events import (
    Configured,
    DryRunDone,
    Evaluated,
    EvaluationProgress,
    Started,
    Step,
    TrainingDone,
    Validated,
)
from raven_scan.wire.spec import EvaluateSpec, PartSpec, TrainSpec

_STARTED_AT = time.monotonic()
_FEATURES = 4
_STEP_S_OF_A_PIXEL = 4e-3 / 64
_VALIDATION_BATCHES = 3


class TinyDataset(Dataset[torch.Tensor]):
    """A row for an image: how many boxes, their mean area and place; float32 (5,), the last is what to learn."""

    def __init__(self, part: PartSpec) -> None:
        document = json.loads((part.folder / "annotations_coco.json").read_bytes())
        boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in document["images"]}
        sides = {image["id"]: (image["width"], image["height"]) for image in document["images"]}
        for annotation in document["annotations"]:
            boxes[annotation["image_id"]].append(annotation["bbox"])
        self.rows = torch.tensor([_describe(boxes[key], *sides[key]) for key in boxes])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.rows[index]


def _describe(boxes: list[list[float]], width: float, height: float) -> list[float]:
    count = len(boxes)
    area = sum(box[2] * box[3] for box in boxes) / (width * height)
    x = sum(box[0] for box in boxes) / max(1, count) / width
    y = sum(box[1] for box in boxes) / max(1, count) / height
    return [count / 10, area, x, y, 0.5 * area + 0.1 * count]


class TinySampler(Sampler[list[int]]):
    """Batches of indices, shuffled by (seed, epoch), from any position on."""

    def __init__(self, image_count: int, batch_size: int, seed: int) -> None:
        self._image_count = image_count
        self._batch_size = batch_size
        self._seed = seed
        self.epoch = 0
        self.position = 0

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(_mix(self._seed, self.epoch))
        order: list[int] = torch.randperm(self._image_count, generator=generator).tolist()
        starts = range(self.position * self._batch_size, self._image_count, self._batch_size)
        return iter([order[start : start + self._batch_size] for start in starts])

    def __len__(self) -> int:
        return ceil(self._image_count / self._batch_size)


def _mix(*numbers: int) -> int:
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7])


class TinyTrainee:
    """Two small layers, Adam, and an average of the weights, which is what is validated."""

    def __init__(
        self, spec: TrainSpec, parameters: TrainingParameters, log: EventLog, stop: StopRequest
    ) -> None:
        self._log = log
        self._stop = stop
        self._parameters = parameters
        self._step_s = (parameters.image_size or 64) * _STEP_S_OF_A_PIXEL
        torch.manual_seed(parameters.seed)
        self.model = _build_model()
        self._averaged = {name: value.clone() for name, value in self.model.state_dict().items()}
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=parameters.learning_rate or 1e-2)
        train = TinyDataset(spec.train)
        processes = parameters.loader_processes or 0
        self._sampler = TinySampler(len(train), parameters.batch_size, parameters.seed)
        self._loader = DataLoader(
            train, batch_sampler=self._sampler, num_workers=processes, persistent_workers=processes > 0
        )
        self._valid = TinyDataset(spec.valid)
        # Each step is told, so that histories can be compared number by number.
        self._steps = StepTeller(log, interval_s=0)
        self.epoch = 0
        self.step = 0
        self.best: dict[str, Any] | None = None
        self.figures: dict[str, float | None] = {}

    @property
    def steps_per_epoch(self) -> int:
        return len(self._sampler)

    def has_ended(self) -> bool:
        return self.epoch >= self._parameters.epochs

    def begin_epoch(self) -> None:
        self._log.tell_phase("training")

    def load_batches(self, position: int) -> Iterator[torch.Tensor]:
        self._sampler.epoch, self._sampler.position = self.epoch, position
        return iter(self._loader)

    def do_step(self, position: int, batch: torch.Tensor) -> None:
        began = time.monotonic()
        noise = torch.Generator().manual_seed(_mix(self._parameters.seed, self.step))
        features = batch[:, :_FEATURES] + 0.01 * torch.randn(len(batch), _FEATURES, generator=noise)
        loss = torch.nn.functional.mse_loss(self.model(features)[:, 0], batch[:, _FEATURES])
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self._averaged[name].lerp_(value, 0.1)
        time.sleep(max(0.0, self._step_s - (time.monotonic() - began)))
        self.step += 1
        value, step_time_s = loss.item(), time.monotonic() - began

        def read(step: int, epoch: int) -> Step:
            return Step(
                time=time.time(),
                step=step,
                epoch=epoch,
                learning_rate=self._optimiser.param_groups[0]["lr"],
                losses={"loss": value},
                step_time_s=step_time_s,
                data_time_s=0.0,
                memory_mb=measure_memory_mb(),
            )

        self._steps.note(self.step, self.epoch, read, is_edge=position in {0, self.steps_per_epoch - 1})

    def can_stop(self) -> bool:
        return True

    def holds_gradients(self) -> bool:
        return False

    def end_epoch(self) -> None:
        self.epoch += 1

    def validates_after(self, epoch: int) -> bool:
        return epoch % self._parameters.validation_interval == 0 or epoch >= self._parameters.epochs

    def validate(self) -> None:
        self._log.tell_phase("validation")
        for number in range(_VALIDATION_BATCHES):
            self._stop.wait_for(lambda: time.sleep(self._step_s))
            done = (number + 1) * len(self._valid) // _VALIDATION_BATCHES
            self._log.emit(EvaluationProgress(time=time.time(), done=done, total=len(self._valid)))
        self.figures = measure(self._averaged, self._valid)
        score = self.figures["map"] or 0.0
        is_best = self.best is None or score > self.best["score"]
        if is_best:
            weights = {name: value.clone() for name, value in self._averaged.items()}
            self.best = {"epoch": self.epoch, "score": score, "figures": self.figures, "weights": weights}
        self._log.emit(
            Validated(time=time.time(), epoch=self.epoch, step=self.step, figures=self.figures, best=is_best)
        )

    def abandon_validation(self) -> None:
        self.epoch -= 1

    def is_best(self) -> bool:
        return self.best is not None and self.best["epoch"] == self.epoch

    def collect_checkpoint(self) -> dict[str, Any]:
        self._steps.tell_pending()
        return {
            "state_dict": self.model.state_dict(),
            "averaged": self._averaged,
            "optimizer": self._optimiser.state_dict(),
            "best": self.best,
        }

    def restore(self, content: dict[str, Any]) -> None:
        self.epoch, self.step, self.best = content["epoch"], content["step"], content["best"]
        self.model.load_state_dict(content["state_dict"])
        self._averaged = content["averaged"]
        self._optimiser.load_state_dict(content["optimizer"])


def _build_model() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(_FEATURES, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))


def measure(weights: dict[str, torch.Tensor], dataset: TinyDataset) -> dict[str, float | None]:
    """Figures between 0 and 1 that get better as the error gets smaller."""
    model = _build_model()
    model.load_state_dict(weights)
    with torch.no_grad():
        error = torch.nn.functional.mse_loss(
            model(dataset.rows[:, :_FEATURES])[:, 0], dataset.rows[:, _FEATURES]
        ).item()
    score = 1 / (1 + error)
    return {
        "map": score / 2,
        "map50": score,
        "map75": score / 3,
        "map_small": score / 2,
        "map_medium": score / 2,
        "map_large": None,
    }


def measure_memory_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def train(spec: TrainSpec, log: EventLog, stop: StopRequest) -> None:
    trainee, content = _begin(spec, log, stop)
    log.tell_phase("weights")
    if content is not None:
        trainee.restore(content)
        log.tell(f"Goes on after epoch {trainee.epoch}, step {trainee.step}, position {content['position']}.")
    parameters = TrainingParameters.model_validate(spec.parameters)
    Course(
        trainee,
        log=log,
        stop=stop,
        writer=CheckpointWriter(spec, log, interval_s=parameters.checkpoint_minutes * 60),
        checkpoint_interval=parameters.checkpoint_interval,
        position=0 if content is None else content["position"],
    ).run()
    log.tell_phase("export")
    assert trainee.best
    write_weights(spec.work_folder / "weights.safetensors", trainee.best["weights"])
    log.emit(
        TrainingDone(
            time=time.time(),
            weights="weights.safetensors",
            best_epoch=trainee.best["epoch"],
            epochs=trainee.epoch,
            steps=trainee.step,
            stopped_early=False,
            figures=trainee.best["figures"],
        )
    )


def dry_run(spec: TrainSpec, log: EventLog, stop: StopRequest) -> None:
    trainee, _ = _begin(spec, log, stop)
    start_time_s = time.monotonic() - _STARTED_AT
    began = time.monotonic()
    done = 0
    for batch in trainee.load_batches(0):
        trainee.do_step(done, batch)
        done += 1
    step_time_s = (time.monotonic() - began) / done
    began = time.monotonic()
    trainee.validate()
    log.emit(
        DryRunDone(
            time=time.time(),
            start_time_s=start_time_s,
            step_time_s=step_time_s,
            validation_image_time_s=(time.monotonic() - began) / spec.valid.image_count,
            checkpoint_time_s=0.01,
            peak_memory_mb=measure_memory_mb(),
            steps_per_epoch=trainee.steps_per_epoch,
        )
    )


def _begin(spec: TrainSpec, log: EventLog, stop: StopRequest) -> tuple[TinyTrainee, dict[str, Any] | None]:
    torch.set_num_threads(1)
    _tell_start(log, spec.devices[0])
    content = read_newest_checkpoint(spec.resume_from, identify_run(spec), log.tell)
    if content is not None:
        stop.epoch, stop.step = content["epoch"], content["step"]
    log.tell_phase("build")
    parameters = TrainingParameters.model_validate(spec.parameters)
    trainee = TinyTrainee(spec, parameters, log, stop)
    spec.work_folder.mkdir(parents=True, exist_ok=True)
    write_bytes(spec.work_folder / "configuration.json", json.dumps({"model": {"type": "Tiny"}}).encode())
    log.emit(
        Configured(
            time=time.time(),
            configuration="configuration.json",
            steps_per_epoch=trainee.steps_per_epoch,
            epochs=parameters.epochs,
            parameter_count=sum(each.numel() for each in trainee.model.parameters()),
        )
    )
    return trainee, content


def evaluate(spec: EvaluateSpec, log: EventLog, _stop: StopRequest) -> None:
    torch.set_num_threads(1)
    _tell_start(log, spec.device)
    log.tell_phase("build")
    weights = read_weights(spec.weights)
    check_finite(weights, code="refused.weights_not_finite", what="The tiny model")
    dataset = TinyDataset(spec.part)
    log.tell_phase("evaluation")
    log.emit(EvaluationProgress(time=time.time(), done=len(dataset), total=len(dataset)))
    score = measure(weights, dataset)
    figures = {**score, **dict.fromkeys(("precision", "recall", "f1", "confidence"), score["map50"])}
    write_bytes(spec.predictions, b"[]")
    assert spec.report
    assert spec.matches
    write_evaluation(spec.part.folder, spec.classes, report=spec.report, matches=spec.matches)
    document = json.loads((spec.part.folder / "annotations_coco.json").read_bytes())
    log.emit(
        Evaluated(
            time=time.time(),
            figures=figures,
            by_class=dict.fromkeys(spec.classes, figures),
            image_count=len(dataset),
            box_count=len(document["annotations"]),
            images_per_s=1000.0,
        )
    )


def _tell_start(log: EventLog, device: str) -> None:
    log.emit(
        Started(time=time.time(), pid=os.getpid(), device=device, versions={"torch": str(torch.__version__)})
    )


def main() -> int:
    # Torch's optimisers would import its compiler, which takes longer than most of these trainings.
    defer_imports()
    return run_command_line(
        sys.argv[1:],
        {
            "train": Command(TrainSpec, train),
            "dry-run": Command(TrainSpec, dry_run),
            "evaluate": Command(EvaluateSpec, evaluate),
        },
        program=Path(__file__).parent.name,
    )


if __name__ == "__main__":
    end_process(main())
