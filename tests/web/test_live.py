"""How pages keep up: what many ask together, and what is told when they cannot."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.kernel.errors import Invalid, RavenError, Unauthenticated, Unavailable
from raven_scan.web.live import SharedAnswers
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_refresh

T = TypeVar("T")

LONG_S = 60.0


class Asked:
    """A question that counts who asked it."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []
        self.refusal: Exception | None = None

    def __call__(self, actor: Actor) -> int:
        self.actors.append(actor)
        if self.refusal is not None:
            raise self.refusal
        return len(self.actors)


def run(work: Coroutine[Any, Any, T]) -> T:
    """In a thread of its own: Playwright's loop runs in this one as long as a browser is open."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def make_viewer(name: str, *claims: Claim) -> Viewer:
    actor = replace(LOCAL_ADMINISTRATOR, name=name, claims=frozenset(claims))
    return Viewer(actor, lambda: actor, Texts("en", ZoneInfo("UTC")))


def test_pages_of_the_same_claims_ask_once():
    ada, bea = make_viewer("ada", Claim.DATASET_VIEW), make_viewer("bea", Claim.DATASET_VIEW)
    carl = make_viewer("carl", Claim.DATASET_VIEW, Claim.SYSTEM_VIEW)
    asked = Asked()

    async def look() -> tuple[list[int], int, int]:
        answers = SharedAnswers()
        together = await asyncio.gather(
            *(answers.ask(each, "queue", asked, fresh_s=LONG_S) for each in (ada, bea))
        )
        other_claims = await answers.ask(carl, "queue", asked, fresh_s=LONG_S)
        # Who has changed something asks anew, and the others get what they are told.
        await answers.ask(ada, "queue", asked, fresh_s=0.0)
        return together, other_claims, await answers.ask(bea, "queue", asked, fresh_s=LONG_S)

    assert run(look()) == ([1, 1], 2, 3)
    assert [actor.claims for actor in asked.actors] == [ada.actor.claims, carl.actor.claims, ada.actor.claims]


def test_who_is_signed_out_gets_nothing_that_others_asked_for():
    ada, bea = make_viewer("ada", Claim.DATASET_VIEW), make_viewer("bea", Claim.DATASET_VIEW)

    def refuse() -> Actor:
        raise Unauthenticated("access.session_ended", "The session has ended.")

    gone = Viewer(bea.actor, refuse, bea.texts)

    async def look() -> None:
        answers = SharedAnswers()
        await answers.ask(ada, "queue", Asked(), fresh_s=LONG_S)
        await answers.ask(gone, "queue", Asked(), fresh_s=LONG_S)

    with pytest.raises(Unauthenticated):
        run(look())


def test_a_refusal_is_not_kept():
    ada, asked = make_viewer("ada", Claim.DATASET_VIEW), Asked()

    async def look() -> int:
        answers = SharedAnswers()
        asked.refusal = Invalid("queue.odd", "No.")
        with pytest.raises(Invalid):
            await answers.ask(ada, "queue", asked, fresh_s=LONG_S)
        asked.refusal = None
        return await answers.ask(ada, "queue", asked, fresh_s=LONG_S)

    assert run(look()) == 2


def test_a_refusal_of_what_is_looked_at_again_and_again_is_told_once():
    told: list[str] = []

    class Looking(Viewer):
        def tell(self, error: RavenError) -> None:
            told.append(error.code)

        def close_refusals(self) -> None:
            told.append("mended")

    ada = make_viewer("ada")
    away, gone = Unavailable("database.away", "It is away."), Unavailable("storage.away", "It is away.")
    outcomes = iter([None, away, away, gone, None, None, away])

    async def look() -> None:
        refusal = next(outcomes)
        if refusal is not None:
            raise refusal

    async def look_often() -> None:
        handle = as_refresh(Looking(ada.actor, lambda: ada.actor, ada.texts), look)
        for _ in range(7):
            await handle()

    run(look_often())
    assert told == ["database.away", "storage.away", "mended", "database.away"]
