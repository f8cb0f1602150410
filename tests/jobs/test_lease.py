"""What a worker that stood still knows of its lease."""

import pytest

from raven_scan.jobs.lease import Lease, LeaseLost

LEASH_TIMEOUT_S = 7.5


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(LEASH_TIMEOUT_S, clock=clock)


def lose() -> bool:
    raise LeaseLost


def test_a_worker_that_is_well_shows_it_though_the_database_is_away(clock: Clock, lease: Lease):
    for _ in range(60):
        clock.now_s += 1
        assert lease.may_pull_leash()


def test_one_that_stood_still_does_not_show_it_before_its_lease_is_confirmed(clock: Clock, lease: Lease):
    clock.now_s += LEASH_TIMEOUT_S + 1
    assert not lease.may_pull_leash()
    clock.now_s += 1
    assert not lease.may_pull_leash()
    lease.renew(lambda: False)
    assert lease.may_pull_leash()


def test_a_beat_that_was_on_its_way_confirms_nothing(clock: Clock, lease: Lease):
    def beat() -> bool:
        clock.now_s += LEASH_TIMEOUT_S + 1
        assert not lease.may_pull_leash()
        return False

    lease.renew(beat)
    assert not lease.may_pull_leash()


def test_one_whose_lease_is_lost_never_shows_it_again(lease: Lease):
    lease.renew(lose)
    assert lease.is_lost.is_set()
    assert not lease.may_pull_leash()
    lease.renew(lambda: False)
    assert not lease.may_pull_leash()


def test_a_run_that_is_to_pause_is_told(lease: Lease):
    lease.renew(lambda: True)
    assert lease.is_pausing.is_set()
