"""Every method of every service that takes an actor, with the claims that it needs.

A method that is added without a row fails `test_every_use_case_has_a_row`.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from raven_scan.access.builtin_roles import VIEWER
from raven_scan.access.types import Actor, Claim
from raven_scan.access.users import UserChanges
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.paging import PageRequest

from .rows import UseCase
from .world import DATASET, DISABLED_USER, DRAFT, MODEL, NOWHERE, PRESET, ROLE, USER, WAITING

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
    hidden_by: tuple[Claim, ...] = (),
) -> UseCase:
    return UseCase(name=name, call=call, needs=frozenset(needs), hidden_by=hidden_by)


def _enter(context: AbstractContextManager[object]) -> None:
    with context:
        pass


def _on_run(
    name: str, call: Callable[[Platform, Actor], object], *more: Claim, refers: bool = False
) -> UseCase:
    hidden = (Claim.TRAINING_RUN_VIEW, *((Claim.DATASET_VIEW, Claim.TRAINED_MODEL_VIEW) if refers else ()))
    return _row(name, call, *hidden, *more, hidden_by=hidden)


_WORKER = Claim.TRAINING_RUN_EXECUTE

RUNS = [
    _row(
        "training_runs.create",
        lambda p, a: p.training_runs.create(
            a, name="new", dataset=DATASET, base_model=MODEL, parameters=_PARAMETERS
        ),
        Claim.TRAINING_RUN_CREATE,
        Claim.DATASET_VIEW,
        Claim.TRAINED_MODEL_VIEW,
        hidden_by=(Claim.DATASET_VIEW, Claim.TRAINED_MODEL_VIEW),
    ),
    _row(
        "training_runs.list_runs", lambda p, a: p.training_runs.list_runs(a, _PAGE), Claim.TRAINING_RUN_VIEW
    ),
    _on_run("training_runs.get_run", lambda p, a: p.training_runs.get_run(a, DRAFT)),
    _on_run(
        "training_runs.clone",
        lambda p, a: p.training_runs.clone(a, DRAFT, name="new", parameters={}, options={}),
        Claim.TRAINING_RUN_CREATE,
        refers=True,
    ),
    _on_run(
        "training_runs.check",
        lambda p, a: p.training_runs.check(a, DRAFT),
        Claim.TRAINING_RUN_SCHEDULE,
        refers=True,
    ),
    _on_run(
        "training_runs.schedule",
        lambda p, a: p.training_runs.schedule(a, WAITING),
        Claim.TRAINING_RUN_SCHEDULE,
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
    _row("run_queue.list_workers", lambda p, a: p.run_queue.list_workers(a), Claim.TRAINING_RUN_VIEW),
    _row("presets.list_presets", lambda p, a: p.presets.list_presets(a), Claim.TRAINING_RUN_VIEW),
    _row(
        "presets.get_preset",
        lambda p, a: p.presets.get_preset(a, PRESET),
        Claim.TRAINING_RUN_VIEW,
        hidden_by=(Claim.TRAINING_RUN_VIEW,),
    ),
    _row(
        "presets.save",
        lambda p, a: p.presets.save(a, name="new", run=DRAFT),
        Claim.TRAINING_RUN_VIEW,
        Claim.TRAINING_RUN_CREATE,
        hidden_by=(Claim.TRAINING_RUN_VIEW,),
    ),
    _row(
        "presets.delete",
        lambda p, a: p.presets.delete(a, PRESET),
        Claim.TRAINING_RUN_VIEW,
        Claim.TRAINING_RUN_CREATE,
        hidden_by=(Claim.TRAINING_RUN_VIEW,),
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
            hidden_by=(Claim.USER_VIEW,),
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
        hidden_by=(Claim.USER_VIEW,),
    ),
    _row(
        "roles.edit",
        lambda p, a: p.roles.edit(a, ROLE, claims=[]),
        Claim.USER_VIEW,
        Claim.ROLE_EDIT,
        hidden_by=(Claim.USER_VIEW,),
    ),
    _row(
        "roles.delete",
        lambda p, a: p.roles.delete(a, ROLE),
        Claim.USER_VIEW,
        Claim.ROLE_EDIT,
        Claim.SYSTEM_VIEW,
        hidden_by=(Claim.USER_VIEW,),
    ),
]
