"""Why something about an evaluation is refused."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from raven_scan.kernel.errors import Busy, Conflict, Damaged, Invalid, NotFound, RavenError


def make_not_found(ref: str | UUID) -> RavenError:
    return NotFound(
        "evaluations.not_found",
        f"There is no evaluation {str(ref)[:100]!r}.",
        hint="`raven models evaluations` lists them.",
        parameters={"ref": ascii(str(ref)[:100])},
    )


def make_unknown_part(part: str) -> RavenError:
    return Invalid(
        "evaluations.unknown_part",
        f"A dataset has no part {part[:100]!r}.",
        hint="Say train, valid or test.",
        parameters={"part": ascii(part[:100])},
    )


def make_no_weights(model: str) -> RavenError:
    """Of a builtin model, or one whose head is yet to be made."""
    return Conflict(
        "evaluations.no_classes",
        f"The model {model!r} has no weights for any classes yet: there is nothing to evaluate.",
        hint=f"Train on it first: `raven runs create --base-model {model}`.",
        parameters={"model": model},
    )


def make_empty_part(dataset: str, part: str) -> RavenError:
    return Conflict(
        "evaluations.empty_part",
        f"The {part} part of {dataset} has no image.",
        hint="Choose another part, or import the dataset with one.",
        parameters={"dataset": dataset, "part": part},
    )


def make_no_common_class(
    model: str, dataset: str, model_classes: Sequence[str], dataset_classes: Sequence[str]
) -> RavenError:
    return Conflict(
        "evaluations.no_common_class",
        f"{model!r} and {dataset} have no class in common.",
        hint=f"Classes are told apart by their names. The dataset has {', '.join(dataset_classes[:10])}, the model "
        f"{', '.join(model_classes[:10])}: import the dataset with --map OLD=NEW.",
        parameters={
            "model": model,
            "dataset": dataset,
            "model_classes": list(model_classes[:100]),
            "dataset_classes": list(dataset_classes[:100]),
        },
    )


def make_not_usable(problems: Sequence[Any]) -> RavenError:
    """`problems`: findings about files of the model or the dataset."""
    first = problems[0]
    return Conflict(
        "evaluations.files_damaged",
        first.message,
        hint=first.hint,
        parameters={"problems": [{"code": each.code, "message": each.message} for each in problems]},
    )


def make_not_ended(evaluation_id: UUID, status: str) -> RavenError:
    return Conflict(
        "evaluations.no_result",
        f"The evaluation is {status}: it has no result.",
        hint="Wait for its end, or evaluate the model again.",
        parameters={"id": str(evaluation_id), "status": status},
    )


def make_already_ended(evaluation_id: UUID, status: str) -> RavenError:
    return Conflict(
        "evaluations.has_ended",
        f"The evaluation has ended: it is {status}.",
        hint="Evaluate the model again, if that is wanted.",
        parameters={"id": str(evaluation_id), "status": status},
    )


def make_bad_count(count: int, fewest: int, most: int) -> RavenError:
    return Invalid(
        "evaluations.bad_model_count",
        f"{fewest} to {most} different models are compared, not {count}.",
        hint="The first is what the others are compared with.",
        parameters={"count": count},
    )


def make_different_parts(first: str, first_on: str, other: str, other_on: str) -> RavenError:
    return Conflict(
        "evaluations.different_parts",
        f"{first!r} was evaluated on {first_on}, and {other!r} on {other_on}: such figures cannot be compared.",
        hint=f"Evaluate both on the same: `raven models evaluate {other} --dataset {first_on.split(maxsplit=1)[0]}`.",
        parameters={"first": first, "first_on": first_on, "other": other, "other_on": other_on},
    )


def make_not_evaluated(missing: Sequence[str], dataset: str, part: str) -> RavenError:
    """`missing`: names of models that have no evaluation there."""
    more = "" if part == "test" else f" --part {part}"
    commands = [f"raven models evaluate {name} --dataset {dataset}{more}" for name in missing]
    names = ", ".join(repr(name) for name in missing)
    return Conflict(
        "evaluations.missing",
        f"There is no evaluation of {names} on the {part} part of {dataset}.",
        hint=f"Make it: {'; '.join(commands)}",
        parameters={"models": list(missing), "dataset": dataset, "part": part, "commands": commands},
    )


def make_never_evaluated(model: str) -> RavenError:
    return Conflict(
        "evaluations.never_evaluated",
        f"The model {model!r} was never evaluated.",
        hint=f"Make an evaluation: `raven models evaluate {model} --dataset DATASET`.",
        parameters={"model": model, "commands": [f"raven models evaluate {model} --dataset DATASET"]},
    )


def make_unknown_figure(figure: str, known: Sequence[str]) -> RavenError:
    return Invalid(
        "evaluations.unknown_figure",
        f"Models are not compared by {figure[:100]!r}.",
        hint=f"Say one of: {', '.join(known)}.",
        parameters={"figure": ascii(figure[:100]), "known": list(known)},
    )


def make_unknown_class(class_name: str, known: Sequence[str]) -> RavenError:
    return Invalid(
        "evaluations.unknown_class",
        f"The dataset has no class {class_name[:100]!r}.",
        hint=f"Its classes: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}.",
        parameters={"class": ascii(class_name[:100]), "known": list(known[:100])},
    )


def make_different_content(first: str, other: str, text: str) -> RavenError:
    """Of the same dataset version, but not of the same images, boxes or classes; `text` says in what they differ."""
    return Conflict(
        "evaluations.different_parts",
        f"{first!r} and {other!r} were not evaluated on the same: {text}",
        hint="Evaluate both again on the same part of the same dataset version.",
        parameters={"first": first, "other": other},
    )


def make_matches_damaged(text: str) -> RavenError:
    return Damaged(
        "evaluations.matches_damaged",
        f"The matches of the evaluation cannot be read: {text}",
        hint="Restore them from a backup, or evaluate the model again.",
    )


def make_report_damaged(id_: UUID) -> RavenError:
    return Damaged(
        "evaluations.report_damaged",
        f"The report of the evaluation {id_} is not what was stored.",
        hint="Restore it from a backup, or evaluate the model again.",
        parameters={"id": str(id_)},
    )


def make_comparisons_busy() -> RavenError:
    return Busy(
        "evaluations.comparisons_busy",
        "Other comparisons are being reckoned, and take long.",
        hint="Ask again in a minute.",
    )
