"""Values of publishing."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

TEST_PART = "test"
"""The part of a dataset version that models are judged on."""

RequirementValue = bool | int | float | None
"""What a requirement asks for; None or False where it asks for nothing."""


class Verdict(StrEnum):
    """What was found of a requirement. Only `passed` lets a model through."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT_BE_JUDGED = "cannot be judged"
    TOO_FEW_IMAGES = "too few images to tell"


class VersionState(StrEnum):
    """How a version of a published name stands. A replaced one can be asked for by its number, and rolled back to."""

    IN_USE = "in use"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"


class PublishingEvent(StrEnum):
    """What a history tells of."""

    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One requirement, and what was found.

    Attributes:
        requirement: its key in the policy, such as `min_map50` or `min_recall.glass`.
        wanted: the threshold.
        value: what the model has; None where it cannot be had.
        low, high: 95 % interval of the value, where it has one.
        explanation: a sentence.
        hint: what to do where it is not passed.
    """

    requirement: str
    verdict: Verdict
    wanted: bool | int | float
    value: bool | int | float | str | None
    low: float | None = None
    high: float | None = None
    explanation: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicationCheck:
    """What publishing a model would find.

    Attributes:
        name, number: the version that it would be.
        dataset: name@version of the dataset whose test part the figures are of; None where there is no evaluation.
        in_use: name@number that it would replace.
        policy_version: 0 for the defaults.
        passes: every requirement is met.
    """

    model_id: UUID
    model: str
    name: str
    number: int
    in_use: str | None
    dataset: str | None
    policy_version: int
    passes: bool
    requirements: list[Judgement]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedVersionView:
    """A version of a published name.

    Attributes:
        dataset_version_id, dataset_version_name: on whose test part it was accepted, its frozen test part; None for
            one that was never evaluated.
        evaluation_id: of the model there.
        compared_evaluation_id: of the model that was in use before, on the test part that was frozen then.
        policy: the requirements as they were.
        requirements: what was found of each.
        override_reason: why it was published although not all were met.
    """

    name: str
    number: int
    state: VersionState
    model_id: UUID
    model: str
    notes: str
    dataset_version_id: UUID | None
    dataset_version_name: str | None
    evaluation_id: UUID | None
    compared_evaluation_id: UUID | None
    policy_version: int
    policy: dict[str, Any]
    requirements: list[Judgement]
    override_reason: str | None
    published_by: str
    published_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    withdrawal_reason: str | None

    @property
    def full_name(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedNameSummary:
    """A name that detection can ask for.

    Attributes:
        number: of the version in use; None where it was withdrawn.
        last_number: of the version that was published last.
        changed_at: when something was last published, withdrawn or rolled back.
    """

    id: UUID
    name: str
    number: int | None
    last_number: int
    model_id: UUID | None
    model: str | None
    created_by: str
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedNameView(PublishedNameSummary):
    """Also the version in use; None where it was withdrawn."""

    version: PublishedVersionView | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """What became of a name.

    Attributes:
        number: the version that was published, withdrawn or rolled back to.
        from_number: the version that was in use before; None where none was.
        reason: of a withdrawal or rollback; the notes of a publication.
        is_override: it was published although not all requirements were met.
    """

    id: UUID
    event: PublishingEvent
    number: int
    from_number: int | None
    model: str
    by: str
    at: datetime
    reason: str
    is_override: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedModel:
    """What a name stands for, for detection.

    Attributes:
        name, number: of the published version.
        model_id, model: the trained model behind it.
    """

    name: str
    number: int
    model_id: UUID
    model: str

    @property
    def full_name(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """How the run stands that a model came from."""

    id: UUID
    name: str
    status: str
    created_by: str
    created_by_id: UUID | None


@dataclass(frozen=True, slots=True)
class FigureFound:
    """A figure with its 95 % interval; `value` is None where it cannot be had, for that `reason`."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class DifferenceFound:
    """The model's mAP50 less that of the model in use, on the same test part.

    Attributes:
        low, high: paired 95 % bootstrap interval.
        has_too_few_images: so few images have boxes that an interval says nothing of others.
        is_undecided: the interval is so wide that either may be the better one.
    """

    value: float | None
    low: float | None
    high: float | None
    has_too_few_images: bool
    is_undecided: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an evaluation says of a model.

    Attributes:
        dataset: name@version.
        recall_by_class: by the classes' names.
        unknown_classes: of the test part, that the model does not know.
    """

    evaluation_id: UUID
    dataset_version_id: UUID
    dataset: str
    map50: FigureFound
    recall: FigureFound
    recall_by_class: dict[str, FigureFound]
    image_count: int
    box_count: int
    unknown_classes: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What of test parts a model has learned from, as far as it is known here.

    Attributes:
        tests: the test parts, by name@version.
        image_count: of different images in them.
        seen_count: of those that it, or a base model of it, learned from or was chosen by (train and valid parts).
        sources: in which dataset versions these are.
        lost: what should be known here and is not.
        unknown: models that came from elsewhere, of which nothing here tells what they learned from.
    """

    tests: list[str]
    image_count: int
    seen_count: int
    sources: list[str]
    lost: list[str]
    unknown: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """The version in use that a model would replace.

    Attributes:
        full_name: name@number.
        dataset: name@version of its frozen test part.
        evaluation_id: of it there; None where there is none.
        model_evaluation_id: of the candidate there; None where there is none.
        difference: None unless both are there, and can be compared.
        problem: why they cannot.
    """

    full_name: str
    model_id: UUID
    model: str
    dataset: str | None
    evaluation_id: UUID | None = None
    model_evaluation_id: UUID | None = None
    difference: DifferenceFound | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a model is judged by.

    Attributes:
        is_trained: a run here made it.
        run: that one; None where it is gone, or there was none.
        author: who made or imported it; None where nobody knows.
        is_author: whether the asker is that one.
        dataset: name@version whose test part is asked about; None where the model has no evaluation at all.
        measured: there; None where there is no evaluation.
        exposure: None where there is no test part to be judged on.
        rival: None where nothing is in use under the name.
    """

    model: str
    is_trained: bool
    run: RunOutcome | None = None
    author: str | None = None
    is_author: bool = False
    dataset: str | None = None
    measured: Measured | None = None
    exposure: Exposure | None = None
    rival: Rival | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """One change of the policy. `changes`: what each key was and is, by key."""

    version: int
    changes: dict[str, list[RequirementValue]]
    changed_by: str
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """The quality requirements.

    Attributes:
        version: grows with every change; 0 for the defaults.
        requirements: every key with what it asks for, `min_recall.CLASS` for classes.
        defaults: what they are where nobody sets them.
        changed_by, changed_at: of the last change; None where there was none.
    """

    version: int
    requirements: dict[str, RequirementValue]
    defaults: dict[str, RequirementValue] = field(default_factory=dict[str, RequirementValue])
    changed_by: str | None
    changed_at: datetime | None
