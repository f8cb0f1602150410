"""What can go wrong with a training run, said once."""

from raven_scan.kernel.errors import Conflict, NotFound
from raven_scan.kernel.findings import Finding
from raven_scan.training_runs.types import RunStatus


def run_not_found(ref: str) -> NotFound:
    return NotFound(
        "training_run.not_found",
        f"There is no training run {ref!r}.",
        hint="`raven runs list` shows them.",
        parameters={"ref": ref},
    )


def name_taken(name: str, *, hint: str = "Choose another name.") -> Conflict:
    return Conflict(
        "training_run.name_taken",
        f"There is a training run named {name!r} already.",
        hint=hint,
        parameters={"name": name},
    )


def run_is_processing(name: str) -> Conflict:
    return Conflict(
        "training_run.is_processing",
        f"The training run {name!r} is Processing, and cannot be deleted.",
        hint=f"Cancel it first: `raven runs cancel {name}`.",
        parameters={"name": name, "status": str(RunStatus.PROCESSING)},
    )


def input_gone(run: str, thing: str, name: str, option: str) -> Conflict:
    """`thing`: what the run was made of, such as `dataset`, by its name then; `option`: that names another one."""
    return Conflict(
        f"training_run.{thing.replace(' ', '_')}_gone",
        f"The training run {run!r} was made of the {thing} {name!r}, which is not there any more.",
        hint=f"Restore it from the trash, or clone the run with another one: `raven runs clone {run} {option} OTHER`.",
        parameters={"name": run, "missing": name},
    )


def wrong_status(verb: str, name: str, status: RunStatus, allowed: str, hint: str) -> Conflict:
    """`verb`: what was asked, such as `paused`; `allowed`: the statuses that admit it."""
    return Conflict(
        f"training_run.not_{verb}",
        f"The training run {name!r} is {status}; only one that is {allowed} can be {verb}.",
        hint=hint,
        parameters={"name": name, "status": str(status)},
    )


def artifact_not_found(run: str, name: str) -> NotFound:
    return NotFound(
        "training_run.artifact_not_found",
        f"The training run {run!r} has nothing named {name[:100]!r} to download.",
        hint=f"`raven runs artifacts {run}` shows what it has.",
        parameters={"name": run},
    )


def preset_not_found(ref: str) -> NotFound:
    return NotFound(
        "training_preset.not_found",
        f"There is no preset {ref!r}.",
        hint="`raven presets list` shows them.",
        parameters={"ref": ref},
    )


def preset_name_taken(name: str) -> Conflict:
    return Conflict(
        "training_preset.name_taken",
        f"There is a preset named {name!r} already.",
        hint="Choose another name, or delete that one first.",
        parameters={"name": name},
    )


def preflight_failed(name: str, findings: list[Finding]) -> Conflict:
    errors = [finding for finding in findings if finding.severity == "error"]
    sentences = " ".join(finding.message for finding in errors)
    return Conflict(
        "training_run.preflight_failed",
        f"The training run {name!r} cannot be scheduled: {sentences}",
        hint=" ".join(
            [
                *(finding.hint for finding in errors if finding.hint),
                f"It stays a Draft; `raven runs clone {name} --name OTHER` makes one with changes.",
            ]
        ),
        parameters={
            "findings": [
                {
                    "code": finding.code,
                    "severity": str(finding.severity),
                    "message": finding.message,
                    "hint": finding.hint,
                }
                for finding in findings
            ]
        },
    )
