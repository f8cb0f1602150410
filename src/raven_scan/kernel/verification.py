"""What a proof says: whether things are what their stored digests say."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Of one thing. Not checked: there is nothing to prove it from, or what would tell is damaged itself."""

    GOOD = "good"
    DAMAGED = "damaged"
    MISSING = "missing"
    NOT_CHECKED = "not_checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedItem:
    """One thing that was looked at.

    Attributes:
        item: what it is, such as `weights` or `images`.
        message: one sentence.
        digest: that it should have, where it is one blob.
        count: how many blobs or records it stands for.
        hint: what to do, where something is wrong.
    """

    item: str
    verdict: Verdict
    message: str
    digest: str | None = None
    count: int = 1
    hint: str = ""

    @property
    def is_bad(self) -> bool:
        return self.verdict in {Verdict.DAMAGED, Verdict.MISSING}
