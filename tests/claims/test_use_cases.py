"""Every method of every service, crossed with every claim alone, with all but it, with none and with all."""

import dataclasses
import inspect

import pytest

from raven_scan.access.types import Actor, Claim
from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import ErrorKind, RavenError
from raven_scan.kernel.ids import make_id

from .rows import GONE, HIDDEN, REFUSED, UseCase
from .use_cases import NO_USE_CASES, USE_CASES, WITHOUT_ACTOR

EVERYTHING = frozenset(Claim)
LET_IN = 200
_BELOW_THE_SLICES = ("raven_scan.kernel", "raven_scan.storage", "raven_scan.jobs")


def list_use_cases(platform: Platform) -> set[str]:
    """Methods that take an actor, of everything that the platform holds."""
    return {
        f"{field.name}.{name}"
        for field in dataclasses.fields(platform)
        if field.name != "settings"
        for name, method in inspect.getmembers(getattr(platform, field.name), inspect.ismethod)
        if not name.startswith("_") and "actor" in inspect.signature(method).parameters
    }


def list_without_actor(platform: Platform) -> set[str]:
    """Methods of the slices' services that nobody is asked for."""
    return {
        f"{field.name}.{name}"
        for field in dataclasses.fields(platform)
        if not type(getattr(platform, field.name)).__module__.startswith(_BELOW_THE_SLICES)
        for name, method in inspect.getmembers(getattr(platform, field.name), inspect.ismethod)
        if not name.startswith("_") and "actor" not in inspect.signature(method).parameters
    }


def test_no_method_of_a_service_forgets_who_asks(platform: Platform):
    assert list_without_actor(platform) == set(WITHOUT_ACTOR)


def test_every_use_case_has_a_row(platform: Platform):
    there = list_use_cases(platform) - set(NO_USE_CASES)
    rows = [row.name for row in USE_CASES]
    assert there - set(rows) == set()
    assert set(rows) - there == set()
    assert len(rows) == len(set(rows))
    assert set(NO_USE_CASES) <= list_use_cases(platform)


@pytest.mark.parametrize("use_case", USE_CASES, ids=str)
def test_a_use_case_opens_to_its_claims_alone(use_case: UseCase, platform: Platform):
    wrong: list[str] = []
    for claims in list_sets(use_case):
        found = try_out(platform, use_case, Actor(make_id(), "somebody", claims))
        allowed = {HIDDEN} if use_case.finds_nothing else {LET_IN}
        expected = use_case.list_refusals(claims) or allowed
        if found not in expected:
            wrong.append(f"{sorted(claims)}: {found}, not {expected}")
    assert wrong == []


def list_sets(use_case: UseCase) -> list[frozenset[Claim]]:
    exact = use_case.needs | frozenset(sorted(use_case.any_of)[:1])
    sets = [EVERYTHING, exact, frozenset[Claim](), EVERYTHING - use_case.any_of]
    for claim in Claim:
        sets.append(frozenset({claim}))
        # Who has all that is needed was let in above, and doing it again takes time.
        if claim in use_case.needs:
            sets.append(EVERYTHING - {claim})
    return sets


def try_out(platform: Platform, use_case: UseCase, actor: Actor) -> int:
    """How the actor is answered."""
    try:
        # Services join the transaction that is open; this one is rolled back whole.
        with platform.database.transaction() as session:
            use_case.call(platform, actor)
            session.rollback()
    except RavenError as error:
        if error.kind is ErrorKind.NOT_FOUND or error.code in GONE:
            return HIDDEN
        is_refusal = error.kind is ErrorKind.FORBIDDEN and error.code.startswith("access.")
        return REFUSED if is_refusal else LET_IN
    except (TypeError, AttributeError):
        if not use_case.is_made_up:
            raise
    return LET_IN
