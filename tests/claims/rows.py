"""What a row of the tables says: who may do something, and how to see that they may without doing it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from raven_scan.access.types import Actor, Claim
from raven_scan.app.wiring import Platform

REFUSED, HIDDEN = 403, 404

GONE = {"training_run.dataset_gone", "training_run.base_model_gone"}
"""What a run says of a dataset or base model that is not there, for this asker."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Who may.

    Attributes:
        needs: claims of which all are needed; empty: to be signed in is enough.
        any_of: claims of which one is needed.
        view: that of them without which the thing that is asked for is not there for the asker: 404 rather than 403.
        refers: those of them without which something is not there that it refers to.
    """

    needs: frozenset[Claim] = frozenset()
    any_of: frozenset[Claim] = frozenset()
    view: Claim | None = None
    refers: frozenset[Claim] = frozenset()

    def list_refusals(self, claims: frozenset[Claim]) -> set[int]:
        """How somebody of these claims may be refused; empty where they may."""
        missing = self.needs - claims
        if self.any_of and not self.any_of & claims:
            return {REFUSED}
        if not missing:
            return set()
        # Who lacks more than one is told of the one or the other; neither tells whether the thing is there.
        hidden = missing & (self.refers | ({self.view} if self.view else set()))
        return ({HIDDEN} if hidden else set()) | ({REFUSED} if missing - hidden else set())


@dataclass(frozen=True, kw_only=True)
class Endpoint(Rule):
    """One operation of the REST API.

    Attributes:
        method, path: as the OpenAPI document has them.
        status: what those who may are answered. The request is made such that it changes nothing: on a thing whose
            state forbids it, with a name that is taken, or of a revision that is gone.
        values: of the path's parameters.
        query, body, content, headers: of the request.
        is_open: needs no sign-in.
        ends_token: the token that it is asked with is gone afterwards.
    """

    method: str
    path: str
    status: int = 200
    values: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    is_open: bool = False
    ends_token: bool = False

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path}"


@dataclass(frozen=True, kw_only=True)
class UseCase(Rule):
    """One method of a service.

    Attributes:
        name: `service.method`, the service by its name in `Platform`.
        call: does it; what it changes is rolled back.
        is_made_up: its arguments are nothing real. Who is let in may fail over them in any way.
        finds_nothing: who is let in hears that there is no such thing.
    """

    name: str
    call: Callable[[Platform, Actor], object]
    is_made_up: bool = False
    finds_nothing: bool = False

    def __str__(self) -> str:
        return self.name
