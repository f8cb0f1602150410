"""Judges models before they are published; reads, and changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.names import check_name
from raven_scan.publishing import repository
from raven_scan.publishing.errors import (
    KIND,
    make_already_published,
    make_is_builtin,
    make_model_deleted,
    make_requirements_not_met,
    make_run_not_successful,
    make_weights_damaged,
)
from raven_scan.publishing.evidence import EvidenceGathering, RunFinder
from raven_scan.publishing.judging import judge
from raven_scan.publishing.policy_service import view_policy
from raven_scan.publishing.reading import find_in_use
from raven_scan.publishing.types import (
    Evidence,
    PolicyView,
    PublicationCheck,
    PublishedVersionView,
    RequirementValue,
    Verdict,
)
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.staging import ModelStaging
from raven_scan.trained_models.types import Origin, TrainedModelView


@dataclass(frozen=True, slots=True)
class Plan:
    """What a model was judged to be, under a name, as that was.

    Attributes:
        rival: the version in use.
    """

    policy: PolicyView
    rival: PublishedVersionView | None
    evidence: Evidence
    check: PublicationCheck

    @property
    def compared_evaluation_id(self) -> UUID | None:
        rival = self.evidence.rival
        return None if rival is None else rival.evaluation_id


class PublicationChecks:
    """Args:
    find_run: for who takes a run that failed for a model.
    """

    def __init__(
        self,
        database: Database,
        models: TrainedModelService,
        staging: ModelStaging,
        evidence: EvidenceGathering,
        *,
        find_run: RunFinder,
    ) -> None:
        self._database = database
        self._models = models
        self._staging = staging
        self._evidence = evidence
        self._find_run = find_run

    def get_model(self, actor: Actor, ref: str) -> TrainedModelView:
        """The model of this name or id; says more of one that is not there, to those who could have seen it.

        Raises:
            NotFound: there is no such model.
            Conflict: it was deleted, or it is a run that made none.
        """
        found = self._models.find_model(actor, ref)
        if found is None and actor.may(Claim.TRAINED_MODEL_VIEW):
            deleted = self._staging.find_deleted(actor, ref)
            if deleted is not None:
                raise make_model_deleted(deleted)
            run = self._find_run(ref) if actor.may(Claim.TRAINING_RUN_VIEW) else None
            if run is not None and run.status != "Success":
                raise make_run_not_successful(run)
        return found or self._models.get_model(actor, ref)

    def check_weights(self, actor: Actor, model: TrainedModelView) -> None:
        """Reads the weights whole. Raises Damaged where they are lost, or not what was stored."""
        problems = self._models.find_weights_problems(actor, model, check_digest=True)
        if problems:
            raise make_weights_damaged(model.name, problems)

    def plan(self, actor: Actor, model: TrainedModelView, name: str, dataset: str | None) -> Plan:
        """Judges a model that is to be published under a name.

        Raises:
            NotFound: there is no such dataset version.
            Invalid: the name cannot be one.
            Conflict: the model is builtin, or what the name stands for already.
        """
        check_name(KIND, name)
        if model.origin is Origin.BUILTIN:
            raise make_is_builtin(model.name)
        with self._database.reading() as session:
            row = repository.find_name(session, name)
            rival = None if row is None else find_in_use(session, row)
            policy = view_policy(repository.find_policy(session))
        if rival is not None and rival.model_id == model.id:
            raise make_already_published(model.name, rival.full_name)
        evidence = self._evidence.gather(actor, model, dataset=dataset, rival=rival)
        number = 1 if row is None else row.last_number + 1
        check = _judge(name, number, model, evidence, policy.version, policy.requirements)
        return Plan(policy, rival, evidence, check)

    def keep_test_part(self, plan: Plan) -> bool:
        """In the caller's transaction: whether the test part that it was judged on is there, and stays so."""
        measured = plan.evidence.measured
        return measured is None or self._evidence.keep_test_part(measured.dataset_version_id)

    def recheck(self, actor: Actor, version: PublishedVersionView) -> int:
        """Judges what was published once by today's requirements, all but `max_regression`.

        Returns:
            The version of the policy that it was judged by.

        Raises:
            Conflict: they are not met.
            Damaged: its weights are.
        """
        model = self._models.get_model(actor, version.model_id)
        self.check_weights(actor, model)
        evidence = self._evidence.gather(actor, model, frozen_by=version)
        with self._database.reading() as session:
            policy = view_policy(repository.find_policy(session))
        # Whoever goes back knows that it is behind what is in use.
        asked = {key: wanted for key, wanted in policy.requirements.items() if key != "max_regression"}
        check = _judge(version.name, version.number, model, evidence, policy.version, asked)
        if not check.passes:
            raise make_requirements_not_met(check)
        return policy.version


def _judge(
    name: str,
    number: int,
    model: TrainedModelView,
    evidence: Evidence,
    policy_version: int,
    asked: Mapping[str, RequirementValue],
) -> PublicationCheck:
    requirements = judge(asked, evidence)
    return PublicationCheck(
        model_id=model.id,
        model=model.name,
        name=name,
        number=number,
        in_use=None if evidence.rival is None else evidence.rival.full_name,
        dataset=evidence.dataset,
        policy_version=policy_version,
        passes=all(each.verdict is Verdict.PASSED for each in requirements),
        requirements=requirements,
    )
