"""Published models and the quality requirements over REST."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.publishing.types import PublishingEvent, Verdict, VersionState

_LONGEST_REF = 1000
_MOST_KEYS = 2000

Text = Annotated[str, Field(max_length=_LONGEST_REF)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class JudgementOut(_Out):
    """A requirement of the policy, what the model has, and the verdict; only `passed` lets it through."""

    requirement: str
    verdict: Verdict
    wanted: bool | int | float
    value: bool | int | float | str | None
    low: float | None = Field(description="Of the 95 % interval of the value.")
    high: float | None
    explanation: str
    hint: str


class PublicationCheckOut(_Out):
    """What publishing would find. `dataset`: on whose test part the figures are; `in_use`: what would be replaced."""

    model_id: UUID
    model: str
    name: str
    number: int
    in_use: str | None
    dataset: str | None
    policy_version: int
    passes: bool
    requirements: list[JudgementOut]


class PublishedVersionOut(_Out):
    """A version of a published name, with the policy as it was, and what was found of each requirement."""

    name: str
    number: int
    state: VersionState
    model_id: UUID
    model: str
    notes: str
    dataset_version_id: UUID | None
    dataset_version_name: str | None = Field(description="On whose test part it was accepted.")
    evaluation_id: UUID | None
    compared_evaluation_id: UUID | None
    policy_version: int
    policy: dict[str, Any]
    requirements: list[JudgementOut]
    override_reason: str | None = Field(description="Why it was published although not all were met.")
    published_by: str
    published_at: datetime
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    withdrawal_reason: str | None


class PublishedNameSummaryOut(_Out):
    """A name that detection can ask for. `number`: of the version in use; null where nothing is."""

    id: UUID
    name: str
    number: int | None
    last_number: int
    model_id: UUID | None
    model: str | None
    created_by: str
    created_at: datetime
    changed_at: datetime


class PublishedNameOut(PublishedNameSummaryOut):
    """With the version in use."""

    version: PublishedVersionOut | None


class PublishedNamePage(_Out):
    items: list[PublishedNameSummaryOut]
    next: str | None


class PublishedVersionPage(_Out):
    items: list[PublishedVersionOut]
    next: str | None


class HistoryEntryOut(_Out):
    """What became of a name; `from_number`: the version that was in use before."""

    id: UUID
    event: PublishingEvent
    number: int
    from_number: int | None
    model: str
    by: str
    at: datetime
    reason: str
    is_override: bool


class HistoryPage(_Out):
    items: list[HistoryEntryOut]
    next: str | None


class PublicationCheckCreate(_In):
    """What is to be tried: the model's own name, and the test part that it is judged on, where nothing else is said."""

    name: Text | None = None
    dataset: Text | None = Field(default=None, description="name@version")


class PublicationCreate(PublicationCheckCreate):
    """A model that is to be the next version of a name."""

    model: Text = Field(description="Name or id of the trained model.")
    notes: str = ""
    override: str | None = Field(
        default=None,
        description="Why it is published although requirements are not met; needs its own claim.",
    )


class Withdrawal(_In):
    reason: str


class Rollback(_In):
    """`to`: the version; without it, the last one before the one in use."""

    to: int | None = None
    reason: str = ""
    recheck: bool = Field(default=False, description="Refuse it where today's requirements are not met.")


class PolicyOut(_Out):
    """The quality requirements by key, and their defaults; null or false asks for nothing."""

    version: int
    requirements: dict[str, bool | int | float | None]
    defaults: dict[str, bool | int | float | None]
    changed_by: str | None
    changed_at: datetime | None


class PolicyEdit(_In):
    """`set`: new values by key; null or false asks for nothing. `unset`: keys that get their default again."""

    set: dict[Text, Any] = Field(default={}, max_length=_MOST_KEYS)
    unset: list[Text] = Field(default=[], max_length=_MOST_KEYS)


class PolicyChangeOut(_Out):
    """A change of the policy: what each key was and is."""

    version: int
    changes: dict[str, list[bool | int | float | None]]
    changed_by: str
    changed_at: datetime


class PolicyChangePage(_Out):
    items: list[PolicyChangeOut]
    next: str | None
