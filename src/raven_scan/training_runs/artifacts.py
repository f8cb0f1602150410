"""What a run has to download: its log, metrics, parameters and checkpoints, and the files of its model."""

import csv
import io
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from math import isfinite
from pathlib import Path

import msgspec

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import NotFound
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.stewardship import CONFIGURATION, WEIGHTS, ModelStewardship
from raven_scan.training_runs.errors import artifact_not_found
from raven_scan.training_runs.log_reading import TrainingRunLogs
from raven_scan.training_runs.metric_history import MetricHistory, TrainingRunMetrics
from raven_scan.training_runs.service import get_run, record_run, view_run
from raven_scan.training_runs.types import TrainingRunView

_ROWS_AT_ONCE = 10_000


class ArtifactKind(StrEnum):
    LOG = "log"
    METRICS = "metrics"
    PARAMETERS = "parameters"
    CHECKPOINT = "checkpoint"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class RunArtifact:
    """Something to download.

    Attributes:
        name: unique within the run.
        size_bytes: None where it is known only once it is written.
        digest: sha256; None of what is written when it is asked for.
        claim: that its download needs, beside `training_run:view`.
    """

    name: str
    kind: ArtifactKind
    media_type: str
    size_bytes: int | None
    digest: str | None
    claim: Claim | None


@dataclass(frozen=True, slots=True)
class OpenedArtifact:
    """An artifact's content: a file of this machine, or pieces that are made one after the other."""

    artifact: RunArtifact
    file_name: str
    path: Path | None
    pieces: Iterator[bytes]


class RunArtifacts:
    """Lists and opens what runs have to download.

    Log, metrics and parameters are what every reader of the run sees anyway. Checkpoints hold weights, as models do:
    who may not export models would else take their weights from here.
    """

    def __init__(
        self,
        database: Database,
        models: TrainedModelService,
        model_files: ModelStewardship,
        logs: TrainingRunLogs,
        metrics: TrainingRunMetrics,
        blobs: BlobStore,
    ) -> None:
        self._database = database
        self._models = models
        self._model_files = model_files
        self._logs = logs
        self._metrics = metrics
        self._blobs = blobs

    def list_artifacts(self, actor: Actor, ref: str) -> list[RunArtifact]:
        """All of a run, also what the caller may not download. Raises NotFound."""
        return self._list(actor, self._view(actor, ref))

    def open(self, actor: Actor, ref: str, name: str, *, is_resumed: bool = False) -> OpenedArtifact:
        """One of them, to be downloaded.

        Args:
            actor: needs `training_run:view`; for checkpoints and models `trained_model:export`.
            ref: name or id of the run.
            name: of the artifact.
            is_resumed: the beginning was downloaded before, and noted in the audit trail.

        Raises:
            NotFound: there is no such run, or it has no such artifact.
            Forbidden: the claim to export is missing.
        """
        run = self._view(actor, ref)
        artifact = next((each for each in self._list(actor, run) if each.name == name), None)
        if artifact is None:
            raise artifact_not_found(run.name, name)
        if artifact.claim is not None:
            actor.require(artifact.claim)
        file_name = f"{run.name}-{artifact.name}"
        match artifact.kind:
            case ArtifactKind.MODEL:
                file = WEIGHTS if artifact.name == _MODEL_NAMES[WEIGHTS] else CONFIGURATION
                model_id = str(run.model.id if run.model else "")
                found = self._model_files.open_file(actor, model_id, file, is_resumed=is_resumed)
                return OpenedArtifact(artifact, file_name, found.path, iter(()))
            case ArtifactKind.CHECKPOINT:
                path = self._blobs.get_path(artifact.digest or "")
                if not is_resumed:
                    with self._database.transaction() as session:
                        row = get_run(session, actor, str(run.id))
                        record_run(session, actor, "checkpoint_exported", row, artifact=artifact.name)
                return OpenedArtifact(artifact, file_name, path, iter(()))
            case ArtifactKind.LOG:
                log = self._logs.open_file(actor, str(run.id))
                artifact = replace(artifact, size_bytes=log.size_bytes)  # it may have grown meanwhile
                pieces = self._logs.read_file(actor, log, 0, log.size_bytes)
            case ArtifactKind.METRICS:
                pieces = _WRITERS[artifact.name](self._metrics.read_whole(actor, str(run.id), []))
            case ArtifactKind.PARAMETERS:
                pieces = iter([_describe_parameters(run)])
        return OpenedArtifact(artifact, file_name, None, pieces)

    def _view(self, actor: Actor, ref: str) -> TrainingRunView:
        with self._database.transaction() as session:
            return view_run(session, get_run(session, actor, ref))

    def _list(self, actor: Actor, run: TrainingRunView) -> list[RunArtifact]:
        log_bytes = self._logs.open_file(actor, str(run.id)).size_bytes
        make = partial(RunArtifact, digest=None, claim=None)
        artifacts = [
            make("log.txt", ArtifactKind.LOG, "text/plain; charset=utf-8", log_bytes),
            make("metrics.csv", ArtifactKind.METRICS, "text/csv; charset=utf-8", None),
            make("metrics.jsonl", ArtifactKind.METRICS, "application/x-ndjson", None),
            make(
                "parameters.json", ArtifactKind.PARAMETERS, "application/json", len(_describe_parameters(run))
            ),
        ]
        artifacts += [
            RunArtifact(
                f"checkpoint-step-{checkpoint.step}.pt",
                ArtifactKind.CHECKPOINT,
                "application/octet-stream",
                checkpoint.size_bytes,
                checkpoint.digest,
                Claim.TRAINED_MODEL_EXPORT,
            )
            for checkpoint in run.checkpoints
        ]
        return [*artifacts, *self._list_model_files(actor, run)]

    def _list_model_files(self, actor: Actor, run: TrainingRunView) -> Iterator[RunArtifact]:
        if run.model is None or not actor.may(Claim.TRAINED_MODEL_VIEW):
            return
        try:
            model = self._models.get_model(actor, str(run.model.id))
        except NotFound:
            return  # it was deleted since
        for file, digest, media_type in (
            (WEIGHTS, model.weights_digest, "application/octet-stream"),
            (CONFIGURATION, model.configuration_digest, "application/json"),
        ):
            if digest is not None and (facts := self._blobs.find_facts(digest)) is not None:
                yield RunArtifact(
                    _MODEL_NAMES[file],
                    ArtifactKind.MODEL,
                    media_type,
                    facts.size_bytes,
                    digest,
                    Claim.TRAINED_MODEL_EXPORT,
                )


_MODEL_NAMES = {WEIGHTS: "model-weights.safetensors", CONFIGURATION: "model-configuration.json"}


def _describe_parameters(run: TrainingRunView) -> bytes:
    """As a request that creates a run like it."""
    document = {
        "name": run.name,
        "dataset": run.dataset_version.name,
        "base_model": run.base_model.name,
        "parameters": run.parameters.model_dump(mode="json"),
        "options": run.options,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _write_csv(histories: Iterable[MetricHistory]) -> Generator[bytes]:
    yield b"metric,step,epoch,value\r\n"
    for history in histories:
        for rows in _split(history):
            text = io.StringIO()
            csv.writer(text).writerows(rows)
            yield text.getvalue().encode()


def _write_json_lines(histories: Iterable[MetricHistory]) -> Generator[bytes]:
    names = ("metric", "step", "epoch", "value")
    for history in histories:
        for rows in _split(history):
            lines = [msgspec.json.encode(dict(zip(names, row, strict=True))) for row in rows]
            yield b"\n".join([*lines, b""])


_WRITERS: dict[str, Callable[[Iterable[MetricHistory]], Generator[bytes]]] = {
    "metrics.csv": _write_csv,
    "metrics.jsonl": _write_json_lines,
}


def _split(history: MetricHistory) -> Iterator[list[tuple[str, int, int, float | None]]]:
    """Rows of metric, step, epoch and value, which is None where there is none; some thousands at a time."""
    for start in range(0, len(history.steps), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        columns = (history.steps[part].tolist(), history.epochs[part].tolist(), history.values[part].tolist())
        yield [
            (history.name, step, epoch, value if isfinite(value) else None)
            for step, epoch, value in zip(*columns, strict=True)
        ]
