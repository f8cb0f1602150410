"""What a platform holds after two years of use: runs, models, datasets, metrics. The same seed makes the same."""

import hashlib
import json
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from api_words import NameMaker
from raven_scan.architectures.parameters import TrainingParameters

CONTENT_VERSION = 2
"""Counts up when the same seed makes other content."""

_BEGAN_AT = datetime(2024, 11, 1, tzinfo=UTC)
_LASTS = timedelta(days=730)
_FOR_EVER = datetime(2099, 1, 1, tzinfo=UTC)
_ARCHITECTURES = ("rtmdet-tiny", "rtmdet-lite0", "yolox-nano", "faster-rcnn-r50", "faster-rcnn-r101")
_CLASSES = ("bottle", "can", "carton", "cup", "net", "plastic bag", "rubble", "tyre", "waste")
_STATUS_SHARES = {"Success": 62, "Error": 15, "Cancelled": 12, "Draft": 10, "Paused": 1}
STEP_METRICS = ("learning_rate", "loss", "loss/loss_bbox", "loss/loss_cls", "memory_mb", "step_time_s")
EPOCH_METRICS = ("valid/map", "valid/map50")
_STEPS_AN_EPOCH = 10
_RUNS_A_PART = 1_000


@dataclass(frozen=True, slots=True)
class Amounts:
    runs: int = 100_000
    models: int = 10_000
    datasets: int = 200
    versions_each: int = 5
    waiting: int = 300
    processing: int = 16
    points: int = 20_000_000
    longest_run_points: int = 1_000_000
    users: int = 50
    other_users: int = 450
    audit_entries: int = 500_000

    def shrink(self, factor: int) -> "Amounts":
        return Amounts(
            runs=self.runs // factor,
            models=self.models // factor,
            datasets=self.datasets // factor,
            points=self.points // factor,
            # The longest run stays what it is: how it is thinned is a goal of its own.
            other_users=self.other_users // factor,
            audit_entries=self.audit_entries // factor,
        )


class Content:
    """Makes rows for the platform's tables, parents first.

    Args:
        amounts: how much.
        builtin_models: ids and names of those that the platform makes by itself.
        users: ids and names of people.
    """

    def __init__(
        self, amounts: Amounts, builtin_models: list[tuple[UUID, str]], users: list[tuple[UUID, str]]
    ) -> None:
        self.amounts = amounts
        self._builtins = builtin_models
        self._users = users
        self._random = random.Random(7)  # noqa: S311 - content, no secret
        self.run_names = NameMaker(seed=11)
        self.model_names = NameMaker(seed=13)
        self.dataset_names = NameMaker(seed=17)
        self._versions: list[tuple[UUID, str]] = []
        self._successes: list[tuple[UUID, str, datetime]] = []
        self._begun: list[UUID] = []
        self._models_of_runs: dict[int, tuple[UUID, str]] = {}
        self.longest_run: UUID | None = None

    def list_datasets(self) -> Iterator[dict[str, Any]]:
        for number in range(self.amounts.datasets):
            at = _BEGAN_AT + _LASTS * (number / self.amounts.datasets)
            user_id, user = self._random.choice(self._users)
            name = self.dataset_names.make()
            id_ = self._make_id(at)
            self._versions += [(id_, name)] * self.amounts.versions_each
            yield {
                "id": id_,
                "name": name,
                "notes": self.dataset_names.make_note(),
                "last_number": self.amounts.versions_each,
                "created_by": user,
                "created_by_id": user_id,
                "created_at": at,
            }

    def list_versions(self) -> Iterator[dict[str, Any]]:
        owners, self._versions = self._versions, []
        for index, (dataset_id, dataset) in enumerate(owners):
            number = index % self.amounts.versions_each + 1
            at = _BEGAN_AT + _LASTS * (index / len(owners))
            id_ = self._make_id(at)
            self._versions.append((id_, f"{dataset}@{number}"))
            user_id, user = self._random.choice(self._users)
            yield {
                "id": id_,
                "dataset_id": dataset_id,
                "number": number,
                "digest": self._make_digest(),
                "classes": list(_CLASSES),
                "parts": json.dumps({part: self._make_part() for part in ("train", "valid", "test")}),
                "pixel_rules": json.dumps({"orientation": "exif", "bands": None, "stretch": None}),
                "leak_allowed": False,
                "leaked_image_count": 0,
                "image_bytes": self._random.randrange(10**8, 10**10),
                "images_digest": self._make_digest(),
                "boxes_digest": self._make_digest(),
                "options": json.dumps({"seed": 0, "class_map": {}, "single_class": None, "bands": None}),
                "warnings": "[]",
                "created_by": user,
                "created_by_id": user_id,
                "created_at": at,
            }

    def list_runs(self) -> Iterator[dict[str, Any]]:
        """Oldest first; those that wait or are processed are the newest."""
        amounts = self.amounts
        shares = list(_STATUS_SHARES.values())
        statuses = self._random.choices(list(_STATUS_SHARES), shares, k=amounts.runs)
        statuses[-amounts.waiting :] = ["Waiting"] * amounts.waiting
        statuses[-amounts.waiting - amounts.processing : -amounts.waiting] = [
            "Processing"
        ] * amounts.processing
        for number, status in enumerate(statuses):
            yield self._make_run(number, status)
        self.longest_run = self._successes[-1][0]

    def _make_run(self, number: int, status: str) -> dict[str, Any]:
        at = _BEGAN_AT + _LASTS * (number / self.amounts.runs)
        id_ = self._make_id(at)
        name = self.run_names.make()
        version_id, version = self._random.choice(self._versions)
        base_id, base = self._random.choice(self._builtins)
        user_id, user = self._random.choice(self._users)
        epochs = self._random.choice((5, 10, 20, 50))
        figures = self._make_figures()
        started_at = at + timedelta(minutes=self._random.uniform(1, 90))
        ended_at = started_at + timedelta(minutes=self._random.uniform(5, 600))
        has_begun = status not in {"Draft", "Waiting"}
        is_over = status in {"Success", "Error", "Cancelled"}
        model_id = None
        if has_begun:
            self._begun.append(id_)
        if status == "Success":
            model_id = self._make_id(ended_at)
            self._successes.append((id_, name, ended_at))
            self._models_of_runs[len(self._successes) - 1] = (model_id, name)
        error = {
            "code": self._random.choice(("out_of_memory", "diverged", "crashed.signal", "lost")),
            "message": "The trainer asked for more memory than the device has, at step 12 of 400.",
            "hint": "Lower --batch-size or --image-size.",
            "log_tail": [f"epoch 1 step {step} loss {step / 7:.4f}" for step in range(20)],
            "evidence": {"step": 12},
        }
        return {
            "id": id_,
            "name": name,
            "notes": self.run_names.make_note() if self._random.random() < 0.3 else "",
            "status": status,
            "dataset_version_id": version_id,
            "dataset_version_name": version,
            "base_model_id": base_id,
            "base_model_name": base,
            "architecture": self._random.choice(_ARCHITECTURES),
            "parameters": _make_parameters(
                epochs, seed=number, learning_rate=10 ** self._random.uniform(-5, -2)
            ),
            "progress": json.dumps(
                {
                    "phase": "training" if status == "Processing" else "",
                    "epoch": epochs if status == "Success" else epochs // 2,
                    "epochs": epochs,
                    "step": epochs * 40,
                    "steps": epochs * 80,
                    "loss": round(self._random.uniform(0.1, 2), 4),
                    "map": figures["map"],
                    "map50": figures["map50"],
                    "learning_rate": 0.0004,
                    "step_time_s": 0.21,
                    "memory_mb": 2210.0,
                    "time_left_s": 5400.0 if status == "Processing" else None,
                }
                if has_begun
                else {}
            ),
            "warnings": "[]",
            "best": json.dumps({**figures, "epoch": 3.0}) if has_begun else None,
            "error": json.dumps(error) if status == "Error" else None,
            "model_id": model_id,
            "model_name": name if model_id else None,
            "fence": 1 if has_begun else 0,
            "priority": self._random.choice((0, 0, 0, 0, 5, -5)),
            "queue_position": number if status == "Waiting" else None,
            "estimate": None,
            "log_size_bytes": 0,
            "created_by": user,
            "created_by_id": user_id,
            "created_at": at,
            "scheduled_at": None if status == "Draft" else at + timedelta(seconds=40),
            "started_at": started_at if has_begun else None,
            "ended_at": ended_at if is_over else None,
        }

    def list_attempts(self) -> Iterator[dict[str, Any]]:
        """One for each that has begun; the last ones are at work, and their workers are heard of."""
        at_work = set(self._begun[-self.amounts.processing :])
        for id_ in self._begun:
            at = datetime.fromtimestamp((id_.int >> 80) / 1000, UTC) + timedelta(minutes=10)
            is_open = id_ in at_work
            yield {
                "run_id": id_,
                "number": 1,
                "worker": f"worker-{id_.int % 8}",
                "device": "cuda:0",
                "started_at": at,
                "heartbeat_at": _FOR_EVER if is_open else at + timedelta(hours=1),
                "ended_at": None if is_open else at + timedelta(hours=1),
                "end": None if is_open else "success",
                "reason": "",
            }

    def list_workers(self) -> Iterator[dict[str, Any]]:
        for number in range(8):
            yield {
                "name": f"worker-{number}",
                "version": "0.0",
                "slots": json.dumps(["cuda:0", "cuda:1"]),
                "is_draining": number == 7,
                "started_at": _BEGAN_AT,
                "heartbeat_at": _FOR_EVER,
            }

    def list_models(self) -> Iterator[dict[str, Any]]:
        """Three of four made by runs, the newest; the rest imported."""
        count = self.amounts.models
        trained = min(count * 3 // 4, len(self._successes))
        first = len(self._successes) - trained
        for number in range(count - trained):
            yield self._make_model(number, None)
        for index in range(first, len(self._successes)):
            yield self._make_model(index, index)

    def _make_model(self, number: int, success: int | None) -> dict[str, Any]:
        run_id: UUID | None = None
        if success is None:
            at = _BEGAN_AT + _LASTS * (number / self.amounts.models)
            id_, name = self._make_id(at), self.model_names.make()
        else:
            run_id, _, at = self._successes[success]
            id_, name = self._models_of_runs[success]
        base_id, base = self._random.choice(self._builtins)
        version_id, version = self._random.choice(self._versions)
        user_id, user = self._random.choice(self._users)
        figures = {
            **self._make_figures(),
            "by_class": {each: self._make_figures() for each in _CLASSES},
            "image_count": 400,
            "box_count": 5211,
        }
        report = {
            "file_name": "checkpoint.pth",
            "sha256": self._make_digest(),
            "url": None,
            "matched": 320,
            "missing": [],
            "unexpected": [],
            "mismatched": [],
            "left_out": 0,
            "meta": {},
        }
        return {
            "id": id_,
            "name": name,
            "notes": self.model_names.make_note() if success is None else "",
            "origin": "imported" if success is None else "trained",
            "stage": self._random.choices(("candidate", "published", "replaced"), (90, 5, 5))[0],
            "architecture": self._random.choice(_ARCHITECTURES),
            "classes": list(_CLASSES),
            "starting_weights": None,
            "weights_digest": self._make_digest(),
            "weights_size_bytes": self._random.randrange(10**7, 10**8),
            "configuration_digest": self._make_digest(),
            "parameter_count": self._random.randrange(10**6, 10**8),
            "valid": json.dumps(figures),
            "test": json.dumps(figures),
            "reported": None,
            "leak_allowed": False,
            "base_model_id": None if success is None else base_id,
            "base_model_name": None if success is None else base,
            "dataset_version_id": None if success is None else version_id,
            "dataset_version_name": None if success is None else version,
            "training_run_id": run_id,
            "training_run_name": None if success is None else name,
            "parameters": None if success is None else _make_parameters(20, seed=number, learning_rate=0.001),
            "checkpoint": json.dumps(report) if success is None else None,
            "environment": json.dumps({"torch": "2.14.0", "onedl-mmdetection": "3.5.0"}),
            "created_by": user,
            "created_by_id": user_id,
            "created_at": at,
        }

    def list_metrics(self) -> Iterator[tuple[int, bytes]]:
        """Counts and rows in CSV (run_id, name, step, epoch, value), in the order of the primary key.

        How long runs are is log-normal; one is far longer than all others.
        """
        source = np.random.default_rng(23)
        a_step = len(STEP_METRICS) + len(EPOCH_METRICS) / _STEPS_AN_EPOCH
        longest_steps = math.ceil(self.amounts.longest_run_points / a_step)
        begun = sorted(self._begun, key=lambda id_: id_.int)
        weights = source.lognormal(0, 1.2, len(begun))
        assert self.longest_run is not None
        longest = begun.index(self.longest_run)
        scale = (self.amounts.points - self.amounts.longest_run_points) / a_step / weights.sum()
        steps, points = np.zeros(len(begun), dtype=int), 0
        while points < self.amounts.points:
            steps = np.maximum(1, np.round(weights * scale)).astype(int)
            steps[longest] = longest_steps
            points = int((steps * len(STEP_METRICS) + steps // _STEPS_AN_EPOCH * len(EPOCH_METRICS)).sum())
            # Rounding takes a little away, most of all from short runs.
            scale *= 1.001
        for start in range(0, len(begun), _RUNS_A_PART):
            end = start + _RUNS_A_PART
            yield _make_metrics(source, begun[start:end], steps[start:end])

    def _make_id(self, at: datetime) -> UUID:
        """A UUID of version 7 from then."""
        random_bits = self._random.getrandbits(74)
        high = int(at.timestamp() * 1000) << 80
        return UUID(int=high | 7 << 76 | (random_bits >> 62) << 64 | 2 << 62 | random_bits & ((1 << 62) - 1))

    def _make_digest(self) -> str:
        return hashlib.sha256(self._random.randbytes(16)).hexdigest()

    def _make_part(self) -> dict[str, Any]:
        images = self._random.randrange(100, 10_000)
        return {
            "image_count": images,
            "box_count": images * len(_CLASSES),
            "crowd_count": 0,
            "background_count": images // 10,
            "boxes_by_class": dict.fromkeys(_CLASSES, images),
        }

    def _make_figures(self) -> dict[str, float]:
        names = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "precision", "recall", "f1")
        return {**{name: round(self._random.random(), 4) for name in names}, "confidence": 0.31}


def _make_parameters(epochs: int, *, seed: int, learning_rate: float) -> str:
    given = TrainingParameters(
        epochs=epochs,
        seed=seed,
        learning_rate=round(learning_rate, 7),
        image_size=640,
        weight_decay=0.05,
        frozen_stages=1,
        loader_processes=2,
    )
    return given.model_dump_json()


def _make_metrics(source: np.random.Generator, runs: list[UUID], steps: Any) -> tuple[int, bytes]:
    run_of: list[Any] = []
    name_of: list[Any] = []
    step_of: list[Any] = []
    value_of: list[Any] = []
    names = (*STEP_METRICS, *EPOCH_METRICS)
    for index, count in enumerate(steps):
        each = np.arange(1, count + 1, dtype=np.int32)
        ends = each[_STEPS_AN_EPOCH - 1 :: _STEPS_AN_EPOCH]
        for number, name in enumerate(names):
            at = each if name in STEP_METRICS else ends
            step_of.append(at)
            run_of.append(np.full(len(at), index, dtype=np.int32))
            name_of.append(np.full(len(at), number, dtype=np.int8))
            value_of.append(2.0 / np.sqrt(at) + source.random(len(at)) * 0.2)
    step = np.concatenate(step_of)
    table = pl.DataFrame(
        {
            "run_id": pl.Series([str(id_) for id_ in runs]).gather(np.concatenate(run_of)),
            "name": pl.Series(names).gather(np.concatenate(name_of).astype(np.int32)),
            "step": step,
            "epoch": (step - 1) // _STEPS_AN_EPOCH + 1,
            "value": np.concatenate(value_of),
        }
    )
    return len(table), table.write_csv(include_header=False, float_precision=6).encode()
