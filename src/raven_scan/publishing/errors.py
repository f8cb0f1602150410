"""Why something about publishing is refused."""

from collections.abc import Sequence
from dataclasses import asdict
from shlex import quote
from typing import Any

from raven_scan.access.types import Claim
from raven_scan.kernel.errors import Busy, Conflict, Damaged, Forbidden, Invalid, NotFound
from raven_scan.kernel.findings import Finding
from raven_scan.publishing.types import Judgement, PublicationCheck, RunOutcome, Verdict

KIND = "published_model"
_SHOWN = 100


def make_bad_policy(problems: Sequence[str], keys: Sequence[str]) -> Invalid:
    return Invalid(
        "policy.bad_requirement",
        f"The policy cannot be so: {'; '.join(problems)}.",
        hint=f"Known are: {', '.join(keys)}.",
        parameters={"problems": [{"message": problem} for problem in problems], "known": list(keys)},
    )


def make_not_found(ref: str) -> NotFound:
    return NotFound(
        "published_model.not_found",
        f"Nothing is published as {ref[:_SHOWN]!r}.",
        hint="`raven models published` lists the names.",
        parameters={"ref": ascii(ref[:_SHOWN])},
    )


def make_version_not_found(name: str, ref: str) -> NotFound:
    return NotFound(
        "published_model.version_not_found",
        f"There is no {ref[:_SHOWN]!r}.",
        hint=f"`raven models published {quote(name)}` lists the versions.",
        parameters={"name": name, "ref": ascii(ref[:_SHOWN])},
    )


def make_withdrawn(full_name: str, reason: str) -> Conflict:
    """`full_name`: of the version, or the name where nothing of it is in use."""
    name = full_name.partition("@")[0]
    return Conflict(
        "published_model.withdrawn",
        f"{full_name} was withdrawn: {reason}",
        hint=f"`raven models published {quote(name)}` shows what there is; "
        f"`raven models rollback {quote(name)}` takes an earlier version into use.",
        parameters={"name": name, "ref": full_name, "reason": reason},
    )


def make_already_withdrawn(full_name: str) -> Conflict:
    return Conflict(
        "published_model.already_withdrawn",
        f"{full_name} is withdrawn already.",
        hint="Nothing is left to do.",
        parameters={"ref": full_name},
    )


def make_nothing_in_use(name: str) -> Conflict:
    return Conflict(
        "published_model.nothing_in_use",
        f"Of {name} no version is in use.",
        hint=f"Name a version: `raven models published {quote(name)}` lists them.",
        parameters={"name": name},
    )


def make_already_in_use(full_name: str) -> Conflict:
    return Conflict(
        "published_model.already_in_use",
        f"{full_name} is in use already.",
        hint="Say another version with --to.",
        parameters={"ref": full_name},
    )


def make_no_earlier(name: str, numbers: Sequence[int]) -> Conflict:
    others = f" Others are {', '.join(map(str, numbers))}." if numbers else ""
    return Conflict(
        "published_model.no_earlier_version",
        f"There is no earlier version of {name} to go back to.{others}",
        hint="Say a version with --to." if numbers else "Publish another model under this name.",
        parameters={"name": name, "numbers": list(numbers)},
    )


def make_already_published(model: str, full_name: str) -> Conflict:
    return Conflict(
        "published_model.already_published",
        f"The model {model!r} is what {full_name} stands for already.",
        hint="Publish another model, or this one under another name: --as NAME.",
        parameters={"model": model, "ref": full_name},
    )


def make_model_deleted(model: str) -> Conflict:
    return Conflict(
        "published_model.model_deleted",
        f"The model {model!r} was deleted.",
        hint="Who may delete models can take it out of the trash: `raven trash list`.",
        parameters={"model": model},
    )


def make_run_not_successful(run: RunOutcome) -> Conflict:
    ended = "ended in" if run.status in {"Error", "Cancelled"} else "is"
    return Conflict(
        "published_model.run_not_successful",
        f"{run.name!r} is a training run that {ended} {run.status}; it has made no model.",
        hint=f"See why: `raven runs show {quote(run.name)}`; publish a model once its run has ended in Success.",
        parameters={"run": run.name, "status": run.status},
    )


def make_is_builtin(model: str) -> Conflict:
    return Conflict(
        "published_model.is_builtin",
        f"The model {model!r} is builtin: an architecture's starting weights, which detect no waste.",
        hint="Train a model from it, and publish that one.",
        parameters={"model": model},
    )


def make_weights_damaged(model: str, problems: Sequence[Finding]) -> Damaged:
    return Damaged(
        "published_model.weights_damaged",
        f"The model {model!r} cannot detect: {' '.join(each.message for each in problems)}",
        hint=f"Restore them from a backup: `raven models verify {quote(model)}` tells what else is damaged.",
        parameters={"model": model},
    )


def make_not_evaluated(check: PublicationCheck) -> Conflict:
    where = quote(check.dataset) if check.dataset else "NAME@VERSION"
    on = f" on the test part of {check.dataset}" if check.dataset else ""
    return Conflict(
        "published_model.not_evaluated",
        f"The model {check.model!r} has not been evaluated{on}.",
        hint=f"raven models evaluate {quote(check.model)} --dataset {where}",
        parameters={"model": check.model, "dataset": check.dataset, **_describe(check)},
    )


def make_requirements_not_met(check: PublicationCheck) -> Conflict:
    failing = [each for each in check.requirements if each.verdict is not Verdict.PASSED]
    return Conflict(
        "published_model.requirements_not_met",
        f"The model {check.model!r} does not meet {len(failing)} of {len(check.requirements)} requirements.",
        hint="Do what each says; who may override them publishes all the same, with a reason: --override.",
        parameters={
            "model": check.model,
            "problems": [{"message": _tell(each)} for each in failing],
            **_describe(check),
        },
    )


def make_override_not_allowed(name: str) -> Forbidden:
    claim = Claim.TRAINED_MODEL_OVERRIDE
    return Forbidden(
        "published_model.override_not_allowed",
        f"{name} may not override the quality requirements: the claim {claim} is missing.",
        hint="Ask an administrator for a role with this claim, or publish a model that meets them.",
        parameters={"claim": str(claim)},
    )


def make_reason_missing(what: str) -> Invalid:
    """`what`: such as `an override`."""
    return Invalid(
        "published_model.reason_missing",
        f"{what.capitalize()} needs a reason.",
        hint="Say why, in a few words.",
    )


def make_changed_too_often(name: str) -> Busy:
    return Busy(
        "published_model.changed_meanwhile",
        f"What {name} stands for, or the policy, changes faster than a model can be judged.",
        hint="Try again.",
        parameters={"name": name},
    )


def _describe(check: PublicationCheck) -> dict[str, Any]:
    return {
        "policy_version": check.policy_version,
        "requirements": [{**asdict(each), "verdict": str(each.verdict)} for each in check.requirements],
    }


def _tell(judgement: Judgement) -> str:
    return f"{judgement.requirement}: {judgement.verdict}. {judgement.explanation} {judgement.hint}".strip()
