"""Every method of every service that takes an actor, with the claims that it needs.

A method that is added without a row fails `test_every_use_case_has_a_row`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import text

from raven_scan.access.builtin_roles import VIEWER
from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.access.users import UserChanges
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.browsing import ImageChoice
from raven_scan.datasets.types import DatasetVersionView, ImportOptions, Part
from raven_scan.detections.types import ImageFile
from raven_scan.evaluations.types import GalleryKind
from raven_scan.kernel.paging import PageRequest
from raven_scan.notifications.subscriptions import Wish
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.training_runs.events import Place
from raven_scan.training_runs.types import RunProgress
from raven_scan.uploads.types import UploadPurpose

from .rows import UseCase
from .world import (
    DATASET,
    DISABLED_USER,
    DRAFT,
    EVALUATION,
    FOREIGN_TOKEN,
    MODEL,
    NOWHERE,
    PRESET,
    PUBLISHED,
    ROLE,
    USER,
    WAITING,
)

_NOWHERE = UUID(NOWHERE)
_PAGE = PageRequest()
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_NO_FILE = Path("/nowhere/at/all")
_NOTHING: Any = None
_PARAMETERS = TrainingParameters(epochs=1)


def _row(
    name: str,
    call: Callable[[Platform, Actor], object],
    *needs: Claim,
    view: Claim | None = None,
    **more: Any,
) -> UseCase:
    return UseCase(name=name, call=call, needs=frozenset(needs), view=view, **more)


_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"


def _enter(context: AbstractContextManager[object]) -> None:
    with context:
        pass


def _on(view: Claim, name: str, call: Callable[[Platform, Actor], object], *more: Claim) -> UseCase:
    """On one thing, which is not there for those without the claim to view it."""
    return _row(name, call, view, *more, view=view)


def _on_run(
    name: str, call: Callable[[Platform, Actor], object], *more: Claim, refers: frozenset[Claim] = frozenset()
) -> UseCase:
    view = Claim.TRAINING_RUN_VIEW
    return _row(name, call, view, *more, *refers, view=view, refers=refers)


_REFERRED = frozenset({Claim.DATASET_VIEW, Claim.TRAINED_MODEL_VIEW})
_WORKER = Claim.TRAINING_RUN_EXECUTE

RUNS = [
    _row(
        "training_runs.create",
        lambda p, a: p.training_runs.create(
            a, name="new", dataset=DATASET, base_model=MODEL, parameters=_PARAMETERS
        ),
        Claim.TRAINING_RUN_CREATE,
        *_REFERRED,
        refers=_REFERRED,
    ),
    _row(
        "run_planning.plan",
        lambda p, a: p.run_planning.plan(a, dataset=DATASET, base_model=MODEL, parameters=_PARAMETERS),
        Claim.TRAINING_RUN_CREATE,
        *_REFERRED,
        refers=_REFERRED,
    ),
    _row(
        "training_runs.list_runs", lambda p, a: p.training_runs.list_runs(a, _PAGE), Claim.TRAINING_RUN_VIEW
    ),
    _on_run("run_planning.list_changed", lambda p, a: p.run_planning.list_changed(a, DRAFT)),
    _on_run("training_runs.get_run", lambda p, a: p.training_runs.get_run(a, DRAFT)),
    _on_run(
        "training_runs.clone",
        lambda p, a: p.training_runs.clone(a, DRAFT, name="new", parameters={}, options={}),
        Claim.TRAINING_RUN_CREATE,
        refers=_REFERRED,
    ),
    _on_run(
        "training_runs.check",
        lambda p, a: p.training_runs.check(a, DRAFT),
        Claim.TRAINING_RUN_SCHEDULE,
        refers=_REFERRED,
    ),
    _on_run(
        "training_runs.schedule",
        lambda p, a: p.training_runs.schedule(a, WAITING),
        Claim.TRAINING_RUN_SCHEDULE,
    ),
    _on_run(
        "run_comparisons.compare_runs",
        lambda p, a: p.run_comparisons.compare_runs(a, [DRAFT, WAITING]),
    ),
    # The Draft has made nothing that could be reproduced, and reproduces nothing.
    _on_run(
        "run_reproductions.reproduce",
        lambda p, a: p.run_reproductions.reproduce(a, DRAFT),
        Claim.TRAINING_RUN_CREATE,
    ),
    _row(
        "run_reproductions.get_report",
        lambda p, a: p.run_reproductions.get_report(a, DRAFT),
        Claim.TRAINING_RUN_VIEW,
        view=Claim.TRAINING_RUN_VIEW,
        finds_nothing=True,
    ),
    _on_run("run_control.cancel", lambda p, a: p.run_control.cancel(a, WAITING), Claim.TRAINING_RUN_CANCEL),
    _on_run("run_control.pause", lambda p, a: p.run_control.pause(a, WAITING), Claim.TRAINING_RUN_CANCEL),
    _on_run("run_control.resume", lambda p, a: p.run_control.resume(a, DRAFT), Claim.TRAINING_RUN_SCHEDULE),
    _on_run("run_control.retry", lambda p, a: p.run_control.retry(a, DRAFT), Claim.TRAINING_RUN_SCHEDULE),
    _on_run("run_control.move", lambda p, a: p.run_control.move(a, WAITING, 1), Claim.TRAINING_RUN_SCHEDULE),
    _on_run(
        "run_control.set_priority",
        lambda p, a: p.run_control.set_priority(a, DRAFT, 3),
        Claim.TRAINING_RUN_SCHEDULE,
    ),
    _row("run_queue.list_queue", lambda p, a: p.run_queue.list_queue(a), Claim.TRAINING_RUN_VIEW),
    _row("run_queue.list_page", lambda p, a: p.run_queue.list_page(a, _PAGE), Claim.TRAINING_RUN_VIEW),
    _row(
        "run_queue.list_evaluations", lambda p, a: p.run_queue.list_evaluations(a), Claim.TRAINED_MODEL_VIEW
    ),
    _row("run_queue.list_workers", lambda p, a: p.run_queue.list_workers(a), Claim.SYSTEM_VIEW),
    _row("presets.list_presets", lambda p, a: p.presets.list_presets(a), Claim.TRAINING_RUN_VIEW),
    _row(
        "presets.get_preset",
        lambda p, a: p.presets.get_preset(a, PRESET),
        Claim.TRAINING_RUN_VIEW,
        view=Claim.TRAINING_RUN_VIEW,
    ),
    _row(
        "presets.save",
        lambda p, a: p.presets.save(a, name="new", run=DRAFT),
        Claim.TRAINING_RUN_VIEW,
        Claim.TRAINING_RUN_CREATE,
        view=Claim.TRAINING_RUN_VIEW,
    ),
    _row(
        "presets.delete",
        lambda p, a: p.presets.delete(a, PRESET),
        Claim.TRAINING_RUN_VIEW,
        Claim.TRAINING_RUN_CREATE,
        view=Claim.TRAINING_RUN_VIEW,
    ),
]

ACCOUNTS = [
    _row(
        "users.create",
        lambda p, a: p.users.create(a, name="new"),
        Claim.USER_VIEW,
        Claim.USER_EDIT,
        *VIEWER.claims,
    ),
    _row("users.list_users", lambda p, a: p.users.list_users(a, _PAGE), Claim.USER_VIEW),
    *(
        _row(
            f"users.{name}",
            call,
            Claim.USER_VIEW,
            *more,
            view=Claim.USER_VIEW,
        )
        for name, call, more in (
            ("get_user", lambda p, a: p.users.get_user(a, USER), ()),
            ("edit", lambda p, a: p.users.edit(a, USER, UserChanges(name="new")), (Claim.USER_EDIT,)),
            ("disable", lambda p, a: p.users.disable(a, USER), (Claim.USER_EDIT,)),
            ("enable", lambda p, a: p.users.enable(a, DISABLED_USER), (Claim.USER_EDIT,)),
            ("reset_password", lambda p, a: p.users.reset_password(a, USER), (Claim.USER_EDIT,)),
            ("delete", lambda p, a: p.users.delete(a, USER), (Claim.USER_EDIT,)),
        )
    ),
    _row("roles.list_roles", lambda p, a: p.roles.list_roles(a, _PAGE), Claim.USER_VIEW),
    _row(
        "roles.create",
        lambda p, a: p.roles.create(a, name="new", claims=[Claim.SYSTEM_VIEW]),
        Claim.USER_VIEW,
        Claim.ROLE_EDIT,
        Claim.SYSTEM_VIEW,
    ),
    _row(
        "roles.get_role",
        lambda p, a: p.roles.get_role(a, ROLE),
        Claim.USER_VIEW,
        view=Claim.USER_VIEW,
    ),
    _row(
        "roles.edit",
        lambda p, a: p.roles.edit(a, ROLE, description="x"),
        Claim.USER_VIEW,
        Claim.ROLE_EDIT,
        Claim.SYSTEM_VIEW,
        view=Claim.USER_VIEW,
    ),
    _row(
        "roles.delete",
        lambda p, a: p.roles.delete(a, ROLE),
        Claim.USER_VIEW,
        Claim.ROLE_EDIT,
        Claim.SYSTEM_VIEW,
        view=Claim.USER_VIEW,
    ),
]


def _get_version(p: Platform) -> DatasetVersionView:
    return p.datasets.get_version(LOCAL_ADMINISTRATOR, DATASET)


def _get_digest(p: Platform) -> str:
    _, content = p.datasets.load_version(LOCAL_ADMINISTRATOR, DATASET)
    return content.images["digest"][0]


def _get_model(p: Platform) -> TrainedModelView:
    return p.trained_models.get_model(LOCAL_ADMINISTRATOR, MODEL)


_V, _M, _R = Claim.DATASET_VIEW, Claim.TRAINED_MODEL_VIEW, Claim.TRAINING_RUN_VIEW


def _call_bin(bin_: str, name: str) -> Callable[[Platform, Actor], object]:
    given = {"list_deleted": (_PAGE,), "restore": (_NOWHERE,), "purge": (_LONG_AGO,)}[name]
    return lambda p, a: getattr(getattr(p, bin_), name)(a, *given)


def _call_with_nothing(service: str, name: str) -> Callable[[Platform, Actor], object]:
    """Every argument is None: of what only workers do, the claim is asked for before anything is looked at."""

    def call(p: Platform, a: Actor) -> object:
        method = getattr(getattr(p, service), name)
        wanted = [each for each in signature(method).parameters.values() if each.name != "actor"]
        by_position = [None for each in wanted if each.kind is not each.KEYWORD_ONLY]
        by_name = {each.name: None for each in wanted if each.kind is each.KEYWORD_ONLY}
        return method(a, *by_position, **by_name)

    return call


DATASETS = [
    _row("datasets.list_datasets", lambda p, a: p.datasets.list_datasets(a, _PAGE), _V),
    _row(
        "datasets.import_version",
        lambda p, a: p.datasets.import_version(a, _NO_FILE, ImportOptions(name="new")),
        Claim.DATASET_IMPORT,
    ),
    _row("datasets.open_upload", lambda p, a: _enter(p.datasets.open_upload(a)), Claim.DATASET_IMPORT),
    _row("datasets.list_blob_digests", lambda p, a: p.datasets.list_blob_digests(a), _V),
    _row(
        "datasets.check_source",
        lambda p, a: p.datasets.check_source(a, _NO_FILE, ImportOptions(name="new")),
        Claim.DATASET_IMPORT,
    ),
    _row("datasets.import_sample", lambda p, a: p.datasets.import_sample(a, "no/name"), Claim.DATASET_IMPORT),
    _on(
        _V,
        "dataset_browsing.list_images",
        lambda p, a: p.dataset_browsing.list_images(a, DATASET, ImageChoice()),
    ),
    _on(_V, "dataset_browsing.get_statistics", lambda p, a: p.dataset_browsing.get_statistics(a, DATASET)),
    _on(_V, "datasets.get_dataset", lambda p, a: p.datasets.get_dataset(a, DATASET)),
    _on(_V, "datasets.get_version", lambda p, a: p.datasets.get_version(a, DATASET)),
    _on(_V, "datasets.list_versions", lambda p, a: p.datasets.list_versions(a, DATASET, _PAGE)),
    _on(_V, "datasets.load_version", lambda p, a: p.datasets.load_version(a, DATASET)),
    _on(_V, "datasets.keep_version", lambda p, a: p.datasets.keep_version(a, _get_version(p).id)),
    _on(
        _V,
        "datasets.find_readiness_problems",
        lambda p, a: p.datasets.find_readiness_problems(a, _get_version(p).id),
    ),
    _on(
        _V,
        "datasets.lay_out",
        lambda p, a: p.datasets.lay_out(a, _get_version(p).id, p.settings.work_folder / str(uuid4())),
    ),
    _on(
        _V,
        "datasets.lay_out_part",
        lambda p, a: p.datasets.lay_out_part(
            a, _get_version(p).id, Part.TEST, p.settings.work_folder / str(uuid4())
        ),
    ),
    _on(
        _V,
        "dataset_pictures.get_image",
        lambda p, a: p.dataset_pictures.get_image(a, DATASET, _get_digest(p)),
    ),
    _on(
        _V,
        "dataset_stewardship.edit",
        lambda p, a: p.dataset_stewardship.edit(a, DATASET, notes="x"),
        Claim.DATASET_EDIT,
    ),
    _on(
        _V,
        "dataset_stewardship.delete",
        lambda p, a: p.dataset_stewardship.delete(a, DATASET),
        Claim.DATASET_DELETE,
    ),
    _on(
        _V,
        "version_stewardship.delete",
        lambda p, a: p.version_stewardship.delete(a, f"{DATASET}@1"),
        Claim.DATASET_DELETE,
    ),
    _on(_V, "dataset_exports.open", lambda p, a: p.dataset_exports.open(a, DATASET), Claim.DATASET_EXPORT),
]

MODELS = [
    _row("trained_models.list_models", lambda p, a: p.trained_models.list_models(a, _PAGE), _M),
    _row("trained_models.check_name_free", lambda p, a: p.trained_models.check_name_free(a, "new"), _M),
    _row("trained_models.list_blob_digests", lambda p, a: p.trained_models.list_blob_digests(a), _M),
    _row(
        "trained_models.check_import",
        lambda p, a: p.trained_models.check_import(a, architecture=MODEL, name="new"),
        Claim.TRAINED_MODEL_IMPORT,
    ),
    _row(
        "trained_models.import_checkpoint",
        lambda p, a: p.trained_models.import_checkpoint(a, _NO_FILE, architecture="none", name="new"),
        Claim.TRAINED_MODEL_IMPORT,
    ),
    _row(
        "trained_models.open_upload",
        lambda p, a: _enter(
            p.trained_models.open_upload(a, architecture=MODEL, name="new", file_name="x.pth")
        ),
        Claim.TRAINED_MODEL_IMPORT,
    ),
    *(
        _row(f"trained_models.{name}", call, Claim.TRAINED_MODEL_IMPORT, finds_nothing=True)
        for name, call in (
            ("check_pull", lambda p, a: p.trained_models.check_pull(a, "none")),
            ("pull_model", lambda p, a: p.trained_models.pull_model(a, "none")),
        )
    ),
    _row(
        "trained_models.create_from_run",
        lambda p, a: p.trained_models.create_from_run(a, _NOTHING),
        Claim.TRAINED_MODEL_CREATE,
        is_made_up=True,
    ),
    _row(
        "trained_models.create_from_package",
        lambda p, a: p.trained_models.create_from_package(a, _NOTHING),
        Claim.TRAINED_MODEL_IMPORT,
        is_made_up=True,
    ),
    *(
        _row(f"package_exports.{name}", call, _M, Claim.TRAINED_MODEL_EXPORT, view=_M, finds_nothing=True)
        for name, call in (
            ("check", lambda p, a: p.package_exports.check(a, MODEL)),
            ("make", lambda p, a: p.package_exports.make(a, MODEL)),
            ("open", lambda p, a: p.package_exports.open(a, MODEL, "0" * 64)),
        )
    ),
    _row(
        "package_imports.check",
        lambda p, a: p.package_imports.check(a, name="new"),
        Claim.TRAINED_MODEL_IMPORT,
    ),
    _row(
        "package_imports.import_package",
        lambda p, a: p.package_imports.import_package(a, _NO_FILE),
        Claim.TRAINED_MODEL_IMPORT,
    ),
    _row("package_keys.get_own", lambda p, a: p.package_keys.get_own(a), _M),
    _row("package_keys.list_keys", lambda p, a: p.package_keys.list_keys(a, _PAGE), _M),
    _row(
        "settings_listing.list_settings",
        lambda p, a: p.settings_listing.list_settings(a),
        Claim.SETTINGS_VIEW,
    ),
    _row(
        "platform_settings.get_setting",
        lambda p, a: p.platform_settings.get_setting(a, "contact"),
        Claim.SETTINGS_VIEW,
    ),
    _row(
        "platform_settings.change",
        lambda p, a: p.platform_settings.change(a, "contact", "it@example.org"),
        Claim.SETTINGS_VIEW,
        Claim.SETTINGS_EDIT,
    ),
    _row("system_health.examine", lambda p, a: p.system_health.examine(a), Claim.SETTINGS_VIEW),
    _row("system_health.find_lacks", lambda p, a: p.system_health.find_lacks(a), Claim.SYSTEM_VIEW),
    _row("system_health.measure_storage", lambda p, a: p.system_health.measure_storage(a), Claim.SYSTEM_VIEW),
    _row("package_keys.trust", lambda p, a: p.package_keys.trust(a, _KEY, name="new"), Claim.SETTINGS_EDIT),
    _row(
        "package_keys.revoke",
        lambda p, a: p.package_keys.revoke(a, "none"),
        Claim.SETTINGS_EDIT,
        finds_nothing=True,
    ),
    _row(
        "package_keys.keep_trusted",
        lambda p, a: p.package_keys.keep_trusted(a, p.package_keys.get_own(LOCAL_ADMINISTRATOR)),
        Claim.TRAINED_MODEL_IMPORT,
    ),
    _row("package_keys.sign", lambda p, a: p.package_keys.sign(a, b"x"), Claim.TRAINED_MODEL_EXPORT),
    _row(
        "package_keys.check_signature",
        lambda p, a: p.package_keys.check_signature(a, b"x", public_key=b"x" * 32, signature=b"x" * 64),
        Claim.TRAINED_MODEL_IMPORT,
        is_made_up=True,
    ),
    _row(
        "trained_models.follow_run",
        lambda p, a: p.trained_models.follow_run(a, _NOWHERE, "new"),
        Claim.TRAINING_RUN_EDIT,
    ),
    _on(_M, "trained_models.get_model", lambda p, a: p.trained_models.get_model(a, MODEL)),
    # Runs and versions of datasets that somebody may not see are no more than names there.
    _on(_M, "lineage.get_lineage", lambda p, a: p.lineage.get_lineage(a, MODEL)),
    _on(_M, "model_verification.verify", lambda p, a: p.model_verification.verify(a, MODEL)),
    _on(_M, "trained_models.keep_model", lambda p, a: p.trained_models.keep_model(a, _get_model(p).id)),
    _row(
        "trained_models.find_weights_problems",
        lambda p, a: p.trained_models.find_weights_problems(a, _get_model(p)),
        _M,
    ),
    _on(_M, "trained_models.open_weights", lambda p, a: p.trained_models.open_weights(a, _get_model(p).id)),
    _on(
        _M,
        "trained_models.open_configuration",
        lambda p, a: p.trained_models.open_configuration(a, _get_model(p).id),
    ),
    _on(
        _M,
        "model_stewardship.edit",
        lambda p, a: p.model_stewardship.edit(a, MODEL, notes="x"),
        Claim.TRAINED_MODEL_EDIT,
    ),
    _on(
        _M,
        "model_stewardship.delete",
        lambda p, a: p.model_stewardship.delete(a, MODEL),
        Claim.TRAINED_MODEL_DELETE,
    ),
    _row(
        "model_stewardship.open_file",
        lambda p, a: p.model_stewardship.open_file(a, MODEL, "weights"),
        _M,
        Claim.TRAINED_MODEL_EXPORT,
        view=_M,
        finds_nothing=True,
    ),
]

TRASH = [
    _row(f"{bin_}.{name}", _call_bin(bin_, name), claim, finds_nothing=name == "restore")
    for bin_, claim in (
        ("run_stewardship", Claim.TRAINING_RUN_DELETE),
        ("model_stewardship", Claim.TRAINED_MODEL_DELETE),
        ("version_stewardship", Claim.DATASET_DELETE),
        ("dataset_stewardship", Claim.DATASET_DELETE),
    )
    for name in ("list_deleted", "restore", "purge")
]

WORK = [
    *(
        _row(f"execution.{name}", _call_with_nothing("execution", name), _WORKER, is_made_up=True)
        for name in (
            "beat",
            "begin_next",
            "end_void_attempt",
            "fail",
            "finish_dry_run",
            "go_on_from",
            "hand_back",
            "lose",
            "succeed",
        )
    ),
    _row(
        "execution.record",
        lambda p, a: p.execution.record(
            a,
            _NOTHING,
            progress=RunProgress(),
            points=[],
            warnings=[],
            best=None,
            checkpoint=None,
            log=b"",
            log_position=0,
        ),
        _WORKER,
        is_made_up=True,
    ),
    *(
        _row(f"recovery.{name}", _call_with_nothing("recovery", name), _WORKER)
        for name in ("adopt_earlier_logs", "recover_lost_runs", "remove_leftovers")
    ),
    _row("recovery.list_blob_digests", lambda p, a: p.recovery.list_blob_digests(a), _R),
    *(
        _row(
            f"notifications.{name}",
            _call_with_nothing("notifications", name),
            Claim.NOTIFICATION_SEND,
            is_made_up=True,
        )
        for name in ("announce", "deliver", "deliver_due", "keep_house", "send_test")
    ),
    _row(
        "notifications.list_notifications",
        lambda p, a: p.notifications.list_notifications(a, _PAGE),
        Claim.SYSTEM_VIEW,
    ),
    _row("uploads.keep_house", lambda p, a: p.uploads.keep_house(a), _WORKER),
]

_FOREIGN_TOKEN = UUID(FOREIGN_TOKEN)

OWN = [
    # Of another's account.
    _on(Claim.USER_VIEW, "tokens.list_tokens", lambda p, a: p.tokens.list_tokens(a, _PAGE, user=USER)),
    _on(Claim.USER_VIEW, "tokens.get_token", lambda p, a: p.tokens.get_token(a, _FOREIGN_TOKEN)),
    _on(Claim.USER_VIEW, "tokens.revoke", lambda p, a: p.tokens.revoke(a, _FOREIGN_TOKEN), Claim.USER_EDIT),
    _on(
        Claim.USER_VIEW,
        "tokens.create",
        lambda p, a: p.tokens.create(a, name="new", user=USER, claims=[Claim.SYSTEM_VIEW]),
        Claim.USER_EDIT,
    ),
    _on(Claim.USER_VIEW, "sessions.list_sessions", lambda p, a: p.sessions.list_sessions(a, USER)),
    _on(
        Claim.USER_VIEW,
        "sessions.end_other_sessions",
        lambda p, a: p.sessions.end_other_sessions(a, USER),
        Claim.USER_EDIT,
    ),
    _row("sessions.end_session", lambda p, a: p.sessions.end_session(a, _NOWHERE), finds_nothing=True),
    _row(
        "sessions.change_password",
        lambda p, a: p.sessions.change_password(
            a, current=SecretStr("wrong"), new=SecretStr("long enough, and new")
        ),
    ),
    _row(
        "subscriptions.subscribe",
        lambda p, a: p.subscriptions.subscribe(a, Wish(run="there is none")),
        _R,
        finds_nothing=True,
    ),
    # Who has no account has no subscriptions.
    _row(
        "subscriptions.list_subscriptions",
        lambda p, a: p.subscriptions.list_subscriptions(a, _PAGE),
        _R,
        finds_nothing=True,
    ),
    *(
        _row(f"subscriptions.{name}", call, finds_nothing=True)
        for name, call in (
            ("get_subscription", lambda p, a: p.subscriptions.get_subscription(a, _NOWHERE)),
            ("edit", lambda p, a: p.subscriptions.edit(a, _NOWHERE, is_active=False)),
            ("send_test", lambda p, a: p.subscriptions.send_test(a, _NOWHERE)),
            ("unsubscribe", lambda p, a: p.subscriptions.unsubscribe(a, _NOWHERE)),
        )
    ),
    _row(
        "uploads.begin",
        lambda p, a: p.uploads.begin(a, UploadPurpose.DATASET, file_name="x.zip", size_bytes=1 << 60),
        Claim.DATASET_IMPORT,
    ),
    _row(
        "uploads.use",
        lambda p, a: _enter(p.uploads.use(a, NOWHERE, UploadPurpose.DATASET)),
        Claim.DATASET_IMPORT,
        finds_nothing=True,
    ),
    _row(
        "uploads.list_uploads",
        lambda p, a: p.uploads.list_uploads(a),
        any_of=frozenset({Claim.DATASET_IMPORT, Claim.TRAINED_MODEL_IMPORT}),
    ),
    *(
        _row(f"uploads.{name}", call, finds_nothing=True)
        for name, call in (
            ("get_upload", lambda p, a: p.uploads.get_upload(a, NOWHERE)),
            ("append", lambda p, a: _enter(p.uploads.append(a, NOWHERE, offset_bytes=0))),
            ("complete", lambda p, a: p.uploads.complete(a, NOWHERE, sha256="0" * 64)),
            ("delete", lambda p, a: p.uploads.delete(a, NOWHERE)),
        )
    ),
]

AUDIT = [
    _row("audit.list_entries", lambda p, a: p.audit.list_entries(a, _PAGE), Claim.AUDIT_VIEW),
    _row("audit.verify", lambda p, a: p.audit.verify(a), Claim.AUDIT_VIEW),
    _row("audit.is_guarded", lambda p, a: p.audit.is_guarded(a), Claim.AUDIT_VIEW),
]


def _get_run_id(p: Platform) -> UUID:
    # Over another connection: looking takes its snapshot before anything else is asked in its transaction.
    with p.database.engine.connect() as connection:
        return connection.execute(
            text("SELECT id FROM training_runs WHERE name = :name"), {"name": DRAFT}
        ).scalar_one()


def _look(p: Platform, a: Actor) -> object:
    run_id = _get_run_id(p)
    return p.run_events.look(a, run_id, Place(run_id.bytes[-6:]), has_metrics=True, has_log=True)


def _read_log_file(p: Platform, a: Actor) -> object:
    file = p.run_logs.open_file(LOCAL_ADMINISTRATOR, DRAFT)
    # One byte more than it has: that of an empty log is not read at all.
    return list(p.run_logs.read_file(a, file, 0, file.size_bytes + 1))


READING = [
    _on_run("training_runs.read_log", lambda p, a: p.training_runs.read_log(a, DRAFT, 0, 100)),
    _on_run("run_events.open", lambda p, a: p.run_events.open(a, DRAFT, None, has_history=True)),
    _on_run("run_events.look", _look),
    _on_run("run_metrics.read_thinned", lambda p, a: p.run_metrics.read_thinned(a, DRAFT, [], points=10)),
    _on_run("run_metrics.read_whole", lambda p, a: list(p.run_metrics.read_whole(a, DRAFT, []))),
    _on_run("run_logs.open_file", lambda p, a: p.run_logs.open_file(a, DRAFT)),
    _on_run("run_logs.read_file", _read_log_file),
    _on_run("run_logs.read_last_lines", lambda p, a: p.run_logs.read_last_lines(a, DRAFT, 3)),
    _on_run("run_logs.search", lambda p, a: p.run_logs.search(a, DRAFT, "word")),
    _on_run("run_artifacts.list_artifacts", lambda p, a: p.run_artifacts.list_artifacts(a, DRAFT)),
    _on_run("run_artifacts.open", lambda p, a: p.run_artifacts.open(a, DRAFT, "parameters.json")),
    _on_run(
        "run_stewardship.edit",
        lambda p, a: p.run_stewardship.edit(a, DRAFT, notes="x"),
        Claim.TRAINING_RUN_EDIT,
    ),
    _on_run(
        "run_stewardship.delete", lambda p, a: p.run_stewardship.delete(a, DRAFT), Claim.TRAINING_RUN_DELETE
    ),
    _row(
        "presets.complete",
        lambda p, a: p.presets.complete(a, PRESET, MODEL, _PARAMETERS),
        _R,
        view=_R,
    ),
]

DETECTIONS = [
    _row(
        "detections.detect",
        lambda p, a: p.detections.detect(a, "there is none", [ImageFile(_NO_FILE, "a.png")]),
        Claim.DETECTION_CREATE,
        finds_nothing=True,
    ),
    _row("detections.open_folder", lambda p, a: _enter(p.detections.open_folder(a)), Claim.DETECTION_CREATE),
    _row("detections.list_warm_models", lambda p, a: p.detections.list_warm_models(a), Claim.SYSTEM_VIEW),
]

_EVALUATION = UUID(EVALUATION)
_REVIEW = Claim.TRAINED_MODEL_REVIEW

EVALUATIONS = [
    _row(
        "evaluations.request",
        lambda p, a: p.evaluations.request(a, MODEL, DATASET),
        _REVIEW,
        *_REFERRED,
        refers=_REFERRED,
    ),
    _row("evaluations.list_evaluations", lambda p, a: p.evaluations.list_evaluations(a, _PAGE), _M),
    _row("evaluations.list_blob_digests", lambda p, a: p.evaluations.list_blob_digests(a), _M),
    _on(_M, "evaluations.get_evaluation", lambda p, a: p.evaluations.get_evaluation(a, _EVALUATION)),
    _on(_M, "evaluations.cancel", lambda p, a: p.evaluations.cancel(a, _EVALUATION), _REVIEW),
    _on(_M, "evaluations.read_report", lambda p, a: p.evaluations.read_report(a, _EVALUATION)),
    _on(
        _M, "evaluations.read_report_content", lambda p, a: p.evaluations.read_report_content(a, _EVALUATION)
    ),
    _on(_M, "evaluations.open_matches", lambda p, a: p.evaluations.open_matches(a, _EVALUATION)),
    _on(_M, "evaluations.read_log", lambda p, a: p.evaluations.read_log(a, _EVALUATION)),
    _on(
        _M,
        "evaluations.compare_evaluations",
        lambda p, a: p.evaluations.compare_evaluations(a, _EVALUATION, _EVALUATION),
        _REVIEW,
    ),
    _on(
        _M,
        "evaluations.compare_with",
        lambda p, a: p.evaluations.compare_with(a, _EVALUATION, [_EVALUATION]),
        _REVIEW,
    ),
    _on(
        _M,
        "evaluation_review.compare_models",
        lambda p, a: p.evaluation_review.compare_models(a, [MODEL]),
        _REVIEW,
    ),
    _on(
        _M,
        "evaluation_review.list_worst_images",
        lambda p, a: p.evaluation_review.list_worst_images(a, _EVALUATION, GalleryKind.MISSED, _PAGE),
    ),
    _row(
        "evaluations.record_of_run",
        _call_with_nothing("evaluations", "record_of_run"),
        _WORKER,
        is_made_up=True,
    ),
    _row("evaluation_execution.list_open", lambda p, a: p.evaluation_execution.list_open(a), _M),
    _row("evaluation_execution.list_at_work", lambda p, a: p.evaluation_execution.list_at_work(a), _M),
    _row("evaluation_execution.recover_lost", lambda p, a: p.evaluation_execution.recover_lost(a), _WORKER),
    *(
        _row(
            f"evaluation_execution.{name}",
            _call_with_nothing("evaluation_execution", name),
            _WORKER,
            is_made_up=True,
        )
        for name in (
            "beat",
            "begin_next",
            "fail",
            "hand_back",
            "lose",
            "succeed",
            "tell_log",
            "tell_progress",
        )
    ),
    _row("trained_models.select_ids", lambda p, a: p.trained_models.select_ids(a), _M),
]

_PUBLISH = Claim.TRAINED_MODEL_PUBLISH

PUBLISHING = [
    _row(
        "publishing.check",
        lambda p, a: p.publishing.check(a, MODEL),
        _M,
        view=_M,
        any_of=frozenset({_REVIEW, _PUBLISH}),
    ),
    _on(_M, "publishing.publish", lambda p, a: p.publishing.publish(a, MODEL), _PUBLISH),
    _on(
        _M,
        "publishing.withdraw",
        lambda p, a: p.publishing.withdraw(a, PUBLISHED, reason="x"),
        _PUBLISH,
    ),
    _on(_M, "publishing.roll_back", lambda p, a: p.publishing.roll_back(a, PUBLISHED, to=1), _PUBLISH),
    _row(
        "publishing.resolve",
        lambda p, a: p.publishing.resolve(a, PUBLISHED),
        any_of=frozenset({_M, Claim.DETECTION_CREATE}),
    ),
    _row("publishing.list_names", lambda p, a: p.publishing.list_names(a, _PAGE), _M),
    _on(_M, "publishing.get_name", lambda p, a: p.publishing.get_name(a, PUBLISHED)),
    _on(_M, "publishing.get_version", lambda p, a: p.publishing.get_version(a, PUBLISHED)),
    _on(_M, "publishing.list_versions", lambda p, a: p.publishing.list_versions(a, PUBLISHED, _PAGE)),
    _row(
        "publishing.list_versions_of_model",
        lambda p, a: p.publishing.list_versions_of_model(a, _NOWHERE),
        _M,
    ),
    _on(_M, "publishing.list_history", lambda p, a: p.publishing.list_history(a, PUBLISHED, _PAGE)),
    _row("policy.get_policy", lambda p, a: p.policy.get_policy(a), _M),
    _row("policy.change", lambda p, a: p.policy.change(a, {"min_map50": 0.1}), _M, Claim.POLICY_EDIT),
    _row("policy.list_changes", lambda p, a: p.policy.list_changes(a, _PAGE), _M),
]

USE_CASES = [
    *PUBLISHING,
    *EVALUATIONS,
    *RUNS,
    *ACCOUNTS,
    *DATASETS,
    *MODELS,
    *TRASH,
    *WORK,
    *OWN,
    *AUDIT,
    *READING,
    *DETECTIONS,
]
"""All of them."""

NO_USE_CASES = {
    "sessions.sign_out": "one's own session; the endpoint's row shows it",
    "users.create_first_administrator": "at the first start, by the process itself",
    "authentication.get_csrf_token": "tells the actor of their own session",
    "authentication.is_csrf_token": "tells the actor of their own session",
    "evaluations.find_latest": "answers None where there is none, also for who may not see it",
    "trained_models.find_model": "answers None where there is none, also for who may not see it",
    "checks.find_all": "is given all that it looks at by who has asked for it",
}
"""Methods that take an actor and need no claim, with why."""

WITHOUT_ACTOR = {
    "roles.ensure_builtins": "at the start, by the process itself",
    "trained_models.ensure_builtins": "at the start, by the process itself",
    "sessions.sign_in": "who signs in is nobody yet",
    "sessions.open_session": "who signs in is nobody yet; called by other ways to sign in",
    "oidc.begin": "who signs in is nobody yet",
    "oidc.finish": "who signs in is nobody yet",
    "authentication.authenticate_cookie": "tells who the actor is",
    "authentication.authenticate_token": "tells who the actor is",
    "unsubscribing.find_subscription": "the link is all that is asked for",
    "unsubscribing.unsubscribe": "the link is all that is asked for",
    "dataset_pictures.draw": "of what was got with a claim",
    "contact.find": "shown to whoever opens the sign-in",
    "contact.find_changed": "shown to whoever opens the sign-in",
    "detections.close": "at the end, by the process itself",
    "checks.check_machine": "looks at this machine alone, for `checks.find_all`",
}
"""Methods of services that take no actor, with why."""
