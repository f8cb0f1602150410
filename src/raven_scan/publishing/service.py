"""The use cases of publishing: models become versions of names that detection asks for."""

from contextlib import suppress
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.notes import check_notes
from raven_scan.publishing import repository
from raven_scan.publishing.checking import Plan, PublicationChecks
from raven_scan.publishing.errors import (
    KIND,
    make_already_in_use,
    make_already_withdrawn,
    make_changed_too_often,
    make_no_earlier,
    make_not_evaluated,
    make_nothing_in_use,
    make_override_not_allowed,
    make_reason_missing,
    make_requirements_not_met,
    make_withdrawn,
)
from raven_scan.publishing.models import PublishedName
from raven_scan.publishing.policy_service import hold_policy
from raven_scan.publishing.reading import PublishedModels, find_in_use_row
from raven_scan.publishing.references import read_name, read_version
from raven_scan.publishing.types import (
    PublicationCheck,
    PublishedNameView,
    PublishedVersionView,
    PublishingEvent,
    Verdict,
    VersionState,
)
from raven_scan.trained_models.staging import ModelStaging
from raven_scan.trained_models.types import Stage

_MOST_TRIES = 5
_STAGES = (
    (VersionState.IN_USE, Stage.PUBLISHED),
    (VersionState.REPLACED, Stage.REPLACED),
    (VersionState.WITHDRAWN, Stage.WITHDRAWN),
)
"""A model that stands for several versions has the first of these stages."""


class _ChangedMeanwhileError(Exception):
    """What the judgement hangs on is no longer so."""


class PublishingService(PublishedModels):
    """Publishing, withdrawing and going back; and what `PublishedModels` reads."""

    def __init__(
        self,
        database: Database,
        staging: ModelStaging,
        checks: PublicationChecks,
        clock: Clock,
    ) -> None:
        super().__init__(database)
        self._staging = staging
        self._checks = checks
        self._clock = clock

    def check(
        self, actor: Actor, model: str, *, name: str | None = None, dataset: str | None = None
    ) -> PublicationCheck:
        """What publishing would find; changes nothing.

        Args:
            actor: needs `trained_model:view`, and `trained_model:review` or `trained_model:publish`.
            model: name or id.
            name: that it would be published as; None: the model's own.
            dataset: the version whose test part the figures are to be of; None: as `EvidenceGathering.gather`.

        Raises:
            NotFound, Invalid, Conflict: as `publish`, except for requirements that are not met.
        """
        if not actor.may(Claim.TRAINED_MODEL_REVIEW):
            actor.require(Claim.TRAINED_MODEL_PUBLISH)
        found = self._checks.get_model(actor, model)
        plan = self._checks.plan(actor, found, found.name if name is None else name, dataset)
        self._checks.check_weights(actor, found)
        return plan.check

    def publish(
        self,
        actor: Actor,
        model: str,
        *,
        name: str | None = None,
        notes: str = "",
        dataset: str | None = None,
        override: str | None = None,
    ) -> PublishedVersionView:
        """Makes a model the next version of a name, which it then stands for.

        The model is judged before the transaction, for that may take seconds; in it, it is made sure that what was
        judged by is still so, else it is judged again.

        Args:
            actor: needs `trained_model:publish`.
            model: name or id.
            name: None: the model's own.
            notes: what is to be known of this version.
            dataset: as `check`.
            override: why it is published although requirements are not met; needs `trained_model:override`.

        Raises:
            NotFound: there is no such model or dataset version.
            Invalid: the name, the notes or the reason will not do.
            Forbidden: an override without its claim.
            Conflict: the model is deleted, builtin, or what the name stands for already; it is a run that made none;
                it has no evaluation, or does not meet the requirements, which are all in the parameters.
            Damaged: its weights are lost, or not what was stored; nothing overrides that.
            Busy: name or policy change faster than a model can be judged.
        """
        found = self._checks.get_model(actor, model)
        actor.require(Claim.TRAINED_MODEL_PUBLISH)
        name = found.name if name is None else name
        check_notes(KIND, notes)
        if override is not None:
            if not actor.may(Claim.TRAINED_MODEL_OVERRIDE):
                raise make_override_not_allowed(actor.name)
            _check_reason(override, "an override")
        for _ in range(_MOST_TRIES):
            plan = self._checks.plan(actor, found, name, dataset)
            if not plan.check.passes and override is None:
                is_measured = plan.evidence.measured is not None
                raise (make_requirements_not_met if is_measured else make_not_evaluated)(plan.check)
            self._checks.check_weights(actor, found)
            try:
                with self._database.transaction() as session:
                    return self._publish(session, actor, plan, notes, override)
            except _ChangedMeanwhileError:
                continue
        raise make_changed_too_often(name)

    def withdraw(self, actor: Actor, ref: str, *, reason: str) -> PublishedNameView:
        """Takes a version out of use for good; where it was in use, the name stands for nothing until a rollback.

        Args:
            actor: needs `trained_model:publish`.
            ref: NAME for the version in use, or NAME@N.
            reason: why; whoever asks for the version is told.

        Raises:
            NotFound: there is no such name or version.
            Invalid: the reason is missing.
            Conflict: it is withdrawn already, or NAME stands for nothing.
        """
        with self._database.transaction() as session:
            name, asked = read_name(session, actor, ref, lock=True)
            actor.require(Claim.TRAINED_MODEL_PUBLISH)
            _check_reason(reason, "a withdrawal")
            number = asked or name.number
            if number is None:
                raise make_nothing_in_use(name.name)
            version = read_version(session, name, number)
            full_name = f"{name.name}@{number}"
            if version.withdrawn_at is not None:
                raise make_already_withdrawn(full_name)
            self._staging.lock_models(actor, [version.model_id])
            before = name.number
            version.withdrawn_at = self._clock.now()
            version.withdrawn_by = actor.name
            version.withdrawal_reason = reason
            if number == before:
                name.number = None
            self._note(session, actor, name, PublishingEvent.WITHDRAWN, number, before, reason)
            self._stage(session, actor, {version.model_id})
            target = Target(KIND, name.id, full_name)
            was_in_use = number == before
            record(session, actor, "published_model.withdrawn", target, reason=reason, was_in_use=was_in_use)
            return _view(session, name)

    def roll_back(
        self, actor: Actor, ref: str, *, to: int | None = None, reason: str = "", recheck: bool = False
    ) -> PublishedNameView:
        """Takes an earlier version into use again.

        Args:
            actor: needs `trained_model:publish`.
            ref: name or id.
            to: the version; None: the last one before the one that is, or was last, in use.
            reason: for the history.
            recheck: only where its model meets today's requirements, all but `max_regression`.

        Raises:
            NotFound: there is no such name or version.
            Invalid: the reason is too long.
            Conflict: it is withdrawn, or in use already; there is no earlier one; the requirements are not met.
            Busy: somebody else changed the name just now.
        """
        for _ in range(_MOST_TRIES):
            with self._database.reading() as session:
                name, _ = read_name(session, actor, ref)
                actor.require(Claim.TRAINED_MODEL_PUBLISH)
                check_notes(KIND, reason)
                number = _choose_earlier(session, name, to)
                planned = repository.make_version_view(name, read_version(session, name, number))
            policy_version = self._checks.recheck(actor, planned) if recheck else None
            with suppress(_ChangedMeanwhileError), self._database.transaction() as session:
                _check_policy(session, policy_version)
                return self._roll_back(session, actor, ref, to, number, reason)
        raise make_changed_too_often(ref)

    def _roll_back(
        self, session: Session, actor: Actor, ref: str, to: int | None, number: int, reason: str
    ) -> PublishedNameView:
        """To `number`. Raises Busy where that is no longer the one that is meant."""
        name, _ = read_name(session, actor, ref, lock=True)
        # Two who go back by one at once do not go back by two.
        if _choose_earlier(session, name, to) != number:
            raise make_changed_too_often(name.name)
        version = read_version(session, name, number)
        left = None if name.number is None else read_version(session, name, name.number)
        model_ids = {version.model_id, *([left.model_id] if left else [])}
        self._staging.lock_models(actor, model_ids)
        before, name.number, name.last_used_number = name.number, number, number
        self._note(session, actor, name, PublishingEvent.ROLLED_BACK, number, before, reason)
        self._stage(session, actor, model_ids)
        target = Target(KIND, name.id, f"{name.name}@{number}")
        record(session, actor, "published_model.rolled_back", target, from_number=before, reason=reason)
        return _view(session, name)

    def _publish(
        self, session: Session, actor: Actor, plan: Plan, notes: str, override: str | None
    ) -> PublishedVersionView:
        """Raises _ChangedMeanwhileError where it was judged by what is no longer so."""
        check, measured = plan.check, plan.evidence.measured
        now = self._clock.now()
        policy = hold_policy(session)
        name = repository.lock_or_add_name(session, check.name, by=actor.name, now=now)
        if policy.version != plan.policy.version or name.number != (plan.rival and plan.rival.number):
            raise _ChangedMeanwhileError
        # Before the models, as whoever renames a dataset has them.
        if not self._checks.keep_test_part(plan):
            raise _ChangedMeanwhileError
        model_ids = {check.model_id, *([plan.rival.model_id] if plan.rival else [])}
        self._staging.lock_models(actor, model_ids)
        model = self._checks.get_model(actor, str(check.model_id))
        before, number = name.number, name.last_number + 1
        name.last_number = name.number = name.last_used_number = number
        repository.insert_version(
            session,
            {
                "name_id": name.id,
                "number": number,
                "model_id": model.id,
                "model_name": model.name,
                "notes": notes,
                "dataset_version_id": None if measured is None else measured.dataset_version_id,
                "dataset_version_name": None if measured is None else measured.dataset,
                "evaluation_id": None if measured is None else measured.evaluation_id,
                "compared_evaluation_id": plan.compared_evaluation_id,
                "policy_version": policy.version,
                "policy": policy.requirements,
                "requirements": msgspec.to_builtins(check.requirements),
                "override_reason": None if check.passes else override,
                "published_by": actor.name,
                "published_by_id": actor.id,
                "published_at": now,
            },
        )
        self._note(session, actor, name, PublishingEvent.PUBLISHED, number, before, notes)
        self._stage(session, actor, model_ids)
        target = Target(KIND, name.id, f"{name.name}@{number}")
        details = {"model": model.name, "policy_version": policy.version, "replaces": before}
        record(session, actor, "published_model.published", target, **details)
        if not check.passes:
            unmet = [each.requirement for each in check.requirements if each.verdict is not Verdict.PASSED]
            record(
                session,
                actor,
                "published_model.requirements_overridden",
                target,
                reason=override,
                unmet=unmet,
            )
        return repository.make_version_view(name, read_version(session, name, number))

    def _note(
        self,
        session: Session,
        actor: Actor,
        name: PublishedName,
        event: PublishingEvent,
        number: int,
        from_number: int | None,
        reason: str,
    ) -> None:
        name.changed_at = self._clock.now()
        session.flush()
        repository.insert_event(
            session,
            name,
            event,
            number=number,
            from_number=from_number,
            by=actor.name,
            at=name.changed_at,
            reason=reason,
        )

    def _stage(self, session: Session, actor: Actor, model_ids: set[UUID]) -> None:
        """Gives models, whose rows are held, the stages that follow from all versions that they stand for."""
        for id_ in model_ids:
            states = repository.find_model_states(session, id_)
            stage = next((stage for state, stage in _STAGES if state in states), Stage.CANDIDATE)
            self._staging.set_stage(actor, id_, stage)


def _check_policy(session: Session, expected: int | None) -> None:
    """Holds the policy where something was judged by it. Raises _ChangedMeanwhileError."""
    if expected is not None and hold_policy(session).version != expected:
        raise _ChangedMeanwhileError


def _choose_earlier(session: Session, name: PublishedName, to: int | None) -> int:
    if to is not None:
        version = read_version(session, name, to)
        if version.withdrawn_at is not None:
            raise make_withdrawn(f"{name.name}@{to}", str(version.withdrawal_reason))
        if to == name.number:
            raise make_already_in_use(f"{name.name}@{to}")
        return to
    kept = [each for each in repository.list_kept_numbers(session, name.id) if each != name.number]
    earlier = [each for each in kept if each < (name.last_used_number or 0)]
    if not earlier:
        raise make_no_earlier(name.name, kept)
    return earlier[-1]


def _view(session: Session, name: PublishedName) -> PublishedNameView:
    session.flush()
    return repository.make_name_view(name, find_in_use_row(session, name))


def _check_reason(reason: str, what: str) -> None:
    if not reason.strip():
        raise make_reason_missing(what)
    check_notes(KIND, reason)
