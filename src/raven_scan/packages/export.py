"""Use cases of packing a model, to be taken elsewhere."""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec

import raven_scan
from raven_scan.access.audit import Target, record
from raven_scan.access.types import WORKER, Actor, Claim
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.evaluations.service import EvaluationService
from raven_scan.evaluations.types import EvaluationView
from raven_scan.figures.report import EvaluationReport
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Forbidden, NotFound
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.packages import errors, manifest, repository
from raven_scan.packages.archive import FileToPack, write_archive
from raven_scan.packages.configuration import reduce_configuration
from raven_scan.packages.contents import PackedEvaluation, PackedFigures, PackedLineage
from raven_scan.packages.keys import PackageKeys
from raven_scan.packages.lineage import list_steps
from raven_scan.packages.manifest import Manifest, PackedFile, PackedModel, Signature, encode_json
from raven_scan.packages.model_card import CardSource, write_model_card
from raven_scan.packages.onnx_export import MODEL_FILE, OnnxExport
from raven_scan.packages.types import FORMAT, MadePackage, PackageFile, PackageKeyView
from raven_scan.pixels.rules import PixelRules
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.collector import GRACE
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.trained_models.errors import make_no_file
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView

_KIND = "trained_model"
_ONNX_REPORT = "onnx.json"


class PackageExports:
    """Args:
    evaluations: whose newest report a package holds.
    onnx: converts models, where that is asked for.
    """

    def __init__(
        self,
        database: Database,
        models: TrainedModelService,
        datasets: DatasetService,
        evaluations: EvaluationService,
        keys: PackageKeys,
        onnx: OnnxExport,
        blobs: BlobStore,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._database = database
        self._models = models
        self._datasets = datasets
        self._evaluations = evaluations
        self._keys = keys
        self._blobs = blobs
        self._settings = settings
        self._clock = clock
        self._onnx = onnx

    def check(self, actor: Actor, ref: str) -> TrainedModelView:
        """The model, where it can be packed.

        Args:
            actor: needs `trained_model:export`.
            ref: name or id.

        Raises:
            NotFound: there is no such model, or it is builtin, and has no weights of its own.
        """
        model = self._models.get_model(actor, ref)
        actor.require(Claim.TRAINED_MODEL_EXPORT)
        if model.weights_digest is None:
            raise make_no_file(model.name, "weights")
        return model

    def make(
        self, actor: Actor, ref: str, *, onnx: bool = False, progress: Progress = ignore_progress
    ) -> MadePackage:
        """Packs a model into a signed zip, which can be downloaded for a day.

        Of the same model, figures and release it is the same bytes.

        Args:
            actor: needs `trained_model:export`.
            ref: name or id.
            onnx: with the model as ONNX too.
            progress: told of stages.

        Raises:
            NotFound: as `check`, or a blob is lost.
            Damaged: the stored weights are not what they were.
        """
        model = self.check(actor, ref)
        with hold_scratch_folder(self._settings.work_folder, "package") as folder:
            own = self._keys.get_own(actor)
            files = self._collect(actor, model, own, folder, onnx=onnx, progress=progress)
            progress("packing", 0, 0)
            described = [
                PackedFile(name=file.name, sha256=file.digest(), size_bytes=file.measure()) for file in files
            ]
            if described[0].sha256 != model.weights_digest:
                raise errors.make_weights_changed(model.name)
            content = encode_json(_describe(model, described))
            own, signature = self._keys.sign(actor, content)
            told = Signature(
                algorithm="ed25519",
                fingerprint=own.fingerprint,
                public_key=own.public_key,
                signature=base64.b64encode(signature).decode(),
            )
            zip_path = folder / "package.zip"
            write_archive(
                zip_path,
                [
                    FileToPack(manifest.MANIFEST, content),
                    FileToPack(manifest.SIGNATURE, encode_json(told)),
                    *files,
                ],
            )
            progress("storing", 0, 0)
            digest = self._blobs.adopt_file(zip_path)
        made = MadePackage(
            model_id=model.id,
            model_name=model.name,
            file_name=f"{model.name}.raven.zip",
            digest=digest,
            size_bytes=self._blobs.size_bytes(digest),
            key_fingerprint=own.fingerprint,
            files=[manifest.MANIFEST, manifest.SIGNATURE, *(file.name for file in files)],
        )
        self._note(actor, made)
        return made

    def open(self, actor: Actor, ref: str, digest: str, *, is_resumed: bool = False) -> PackageFile:
        """A package of a model that was made lately, to be downloaded.

        Args:
            actor: needs `trained_model:export`.
            ref: name or id.
            digest: of the package, as `make` told it.
            is_resumed: the beginning was downloaded before, and noted.

        Raises:
            NotFound: there is no such model, or no such package of it.
        """
        model = self._models.get_model(actor, ref)
        actor.require(Claim.TRAINED_MODEL_EXPORT)
        with self._database.reading() as session:
            file_name = repository.find_package(session, model.id, digest)
        if file_name is None or not self._blobs.has(digest):
            raise errors.make_not_made(model.name)
        if not is_resumed:
            with self._database.transaction() as session:
                target = Target(_KIND, model.id, model.name)
                record(session, actor, "trained_model.exported", target, package=digest)
        return PackageFile(self._blobs.get_path(digest), file_name, digest)

    def _note(self, actor: Actor, made: MadePackage) -> None:
        now = self._clock.now()
        with self._database.transaction() as session:
            repository.forget_packages(session, now - GRACE)
            repository.note_package(
                session,
                model_id=made.model_id,
                digest=made.digest,
                file_name=made.file_name,
                made_at=now,
            )
            target = Target(_KIND, made.model_id, made.model_name)
            record(
                session,
                actor,
                "trained_model.packed",
                target,
                package=made.digest,
                fingerprint=made.key_fingerprint,
            )

    def _collect(
        self,
        actor: Actor,
        model: TrainedModelView,
        own: PackageKeyView,
        folder: Path,
        *,
        onnx: bool,
        progress: Progress,
    ) -> list[FileToPack]:
        """All files but manifest and signature, in their order; the weights first."""
        evaluated = self._find_evaluation(actor, model)
        report = None if evaluated is None else evaluated[1]
        plots: dict[str, bytes] = {}
        if report is not None:
            progress("drawing", 0, 0)
            from raven_scan.packages.plots import draw_plots  # noqa: PLC0415

            plots = draw_plots(report)
        steps = list_steps(
            self._models,
            actor,
            model,
            platform=own.fingerprint,
            pixel_rules=self._find_pixel_rules(model),
        )
        dataset, notes = self._find_dataset(actor, model)
        card = CardSource(
            model=model,
            steps=steps,
            dataset=dataset,
            dataset_notes=notes,
            report=report,
            evaluated_on=None if evaluated is None else _name_part(evaluated[0]),
            plots=plots,
        )
        package = model.package
        figures = PackedFigures(
            valid=model.valid or (package.valid if package else None),
            test=model.test or (package.test if package else None),
            evaluation=None
            if evaluated is None
            else PackedEvaluation(
                dataset_version=evaluated[0].dataset_version.name,
                part=evaluated[0].part,
                report=msgspec.to_builtins(evaluated[1]),
            ),
        )
        contents: dict[str, bytes | Path] = {
            manifest.WEIGHTS: self._open(self._models.open_weights, actor, model),
            manifest.CLASSES: encode_json(model.classes),
            manifest.FIGURES: encode_json(figures),
            manifest.LINEAGE: encode_json(PackedLineage(models=steps)),
            manifest.CARD: write_model_card(card).encode(),
            **dict(sorted(plots.items())),
        }
        if model.configuration_digest is not None:
            stored = self._open(self._models.open_configuration, actor, model).read_bytes()
            if hashlib.sha256(stored).hexdigest() != model.configuration_digest:
                raise errors.make_bad_stored_configuration()
            contents[manifest.CONFIGURATION] = reduce_configuration(stored)
        if onnx:
            contents |= self._convert(actor, model, evaluated, folder, progress)
        return [FileToPack(name, content) for name, content in contents.items()]

    def _convert(
        self,
        actor: Actor,
        model: TrainedModelView,
        evaluated: tuple[EvaluationView, EvaluationReport] | None,
        folder: Path,
        progress: Progress,
    ) -> dict[str, bytes | Path]:
        progress("converting to ONNX", 0, 0)
        version_id = None if evaluated is None else evaluated[0].dataset_version.id
        if version_id is not None and not self._has_version(version_id):
            version_id = None
        told = self._onnx.export(actor, model, folder, version_id=version_id, progress=progress)
        return {MODEL_FILE: folder / MODEL_FILE, _ONNX_REPORT: encode_json(told)}

    def _find_pixel_rules(self, model: TrainedModelView) -> PixelRules | None:
        """Without them it would see other pixels elsewhere; so they go with it, whoever may see the dataset."""
        if model.package is not None:
            return model.package.models[0].pixel_rules
        version = model.lineage.dataset_version
        if version is None or not self._has_version(version.id):
            return None
        return self._datasets.get_version(WORKER, str(version.id)).pixel_rules

    def _has_version(self, id_: UUID) -> bool:
        try:
            self._datasets.get_version(WORKER, str(id_))
        except NotFound:
            return False
        return True

    def _find_evaluation(
        self, actor: Actor, model: TrainedModelView
    ) -> tuple[EvaluationView, EvaluationReport] | None:
        """The newest on a test part, of the model's own dataset where there is one."""
        own = model.lineage.dataset_version
        found = None if own is None else self._evaluations.find_latest(actor, model.id, own.id)
        found = found or self._evaluations.find_latest(actor, model.id, None)
        return None if found is None else (found, self._evaluations.read_report(actor, found.id))

    def _find_dataset(self, actor: Actor, model: TrainedModelView) -> tuple[DatasetVersionView | None, str]:
        """What the model learned from, and what users wrote of it; as far as the exporter may see it."""
        reference = model.lineage.dataset_version
        if reference is None:
            return None, ""
        try:
            version = self._datasets.get_version(actor, str(reference.id))
            return version, self._datasets.get_dataset(actor, str(reference.id)).notes
        except (NotFound, Forbidden):
            return None, ""

    def _open(
        self,
        find: Callable[..., Path | None],
        actor: Actor,
        model: TrainedModelView,
    ) -> Path:
        path = find(actor, model.id)
        if path is None:
            raise make_no_file(model.name, "weights")
        return path


def _name_part(evaluation: EvaluationView) -> str:
    return f"{evaluation.dataset_version.name}, {evaluation.part}"


def _describe(model: TrainedModelView, files: list[PackedFile]) -> Manifest:
    return Manifest(
        format=FORMAT,
        read_by=manifest.READ_BY,
        platform_version=raven_scan.__version__,
        model=PackedModel(
            id=model.id,
            name=model.name,
            architecture=model.architecture,
            classes=model.classes,
            origin=model.origin,
            starting_weights=model.starting_weights,
            parameter_count=model.parameter_count,
            leak_allowed=model.leak_allowed,
            created_at=model.created_at,
        ),
        files=files,
    )
