"""Presets: parameters under a name, from a run that went well."""

from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.names import check_name
from raven_scan.training_runs.errors import preset_name_taken, preset_not_found, run_not_found
from raven_scan.training_runs.models import TrainingPreset
from raven_scan.training_runs.repository import presets, runs
from raven_scan.training_runs.types import TrainingPresetView

_OF_ONE_RUN = {"fraction", "loader_processes"}
"""What was for a first try, or for one machine."""


class TrainingPresetService:
    """Presets, as users work with them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, actor: Actor, *, name: str, run: str) -> TrainingPresetView:
        """Keeps the parameters of a run under a name.

        Args:
            actor: needs `training_run:create`.
            name: unique among presets.
            run: name or id.

        Raises:
            Invalid: the name cannot be one.
            Conflict: there is a preset of that name.
            NotFound: the run.
        """
        if not actor.may(Claim.TRAINING_RUN_VIEW):
            raise run_not_found(run)
        actor.require(Claim.TRAINING_RUN_CREATE)
        check_name("training_preset", name)
        try:
            with self._database.transaction() as session:
                source = runs.find_run(session, run)
                if source is None:
                    raise run_not_found(run)
                preset = TrainingPreset(
                    id=make_id(),
                    name=name,
                    architecture=source.architecture,
                    parameters={
                        key: value for key, value in source.parameters.items() if key not in _OF_ONE_RUN
                    },
                    run_id=source.id,
                    run_name=source.name,
                    created_by=actor.name,
                )
                session.add(preset)
                session.flush()
                session.refresh(preset)
                _record(session, actor, "created", preset, run=source.name)
                return _make_view(preset)
        except IntegrityError as error:
            raise preset_name_taken(name) from error

    def get_preset(self, actor: Actor, ref: str) -> TrainingPresetView:
        """Raises NotFound."""
        if not actor.may(Claim.TRAINING_RUN_VIEW):
            raise preset_not_found(ref)
        with self._database.reading() as session:
            preset = presets.find_preset(session, ref)
            if preset is None:
                raise preset_not_found(ref)
            return _make_view(preset)

    def list_presets(self, actor: Actor) -> list[TrainingPresetView]:
        """By name."""
        actor.require(Claim.TRAINING_RUN_VIEW)
        with self._database.reading() as session:
            return [_make_view(preset) for preset in presets.list_presets(session)]

    def delete(self, actor: Actor, ref: str) -> None:
        """Runs that used it keep their parameters. Raises NotFound."""
        if not actor.may(Claim.TRAINING_RUN_VIEW):
            raise preset_not_found(ref)
        actor.require(Claim.TRAINING_RUN_CREATE)
        with self._database.transaction() as session:
            preset = presets.find_preset(session, ref, lock=True)
            if preset is None:
                raise preset_not_found(ref)
            session.delete(preset)
            _record(session, actor, "deleted", preset)

    def complete(
        self, actor: Actor, ref: str, architecture: str, given: TrainingParameters
    ) -> tuple[str, TrainingParameters]:
        """The preset's name, and its parameters, with those that were given set over them.

        Raises:
            NotFound: there is no such preset.
            Conflict: it is for another architecture.
        """
        preset = self.get_preset(actor, ref)
        if preset.architecture != architecture:
            raise Conflict(
                "training_preset.other_architecture",
                f"The preset {preset.name!r} is for {preset.architecture}, the base model is {architecture}.",
                hint="Its learning rate and frozen stages mean nothing there: choose a base model of that "
                "architecture, or set the parameters one by one.",
                parameters={"name": preset.name, "architecture": preset.architecture},
            )
        changes = {name: getattr(given, name) for name in given.model_fields_set}
        return preset.name, preset.parameters.model_copy(update=changes)


def _record(session: Session, actor: Actor, verb: str, preset: TrainingPreset, **details: Any) -> None:
    target = Target("training_preset", preset.id, preset.name)
    record(session, actor, f"training_preset.{verb}", target, **details)


def _make_view(preset: TrainingPreset) -> TrainingPresetView:
    return TrainingPresetView(
        id=preset.id,
        name=preset.name,
        architecture=preset.architecture,
        parameters=TrainingParameters.model_validate(preset.parameters),
        run_name=preset.run_name,
        created_by=preset.created_by,
        created_at=preset.created_at,
    )
