"""A short chaos campaign; `benchmarks/chaos.py` runs the whole one."""

import os
from pathlib import Path

import pytest
from tests.chaos.attempt_watch import AIMED_AT
from tests.chaos.campaign import Campaign
from tests.chaos.plan import Victim, make_plan

SEED = int(os.environ.get("CHAOS_SEED", "5"))
"""Another one finds other weaknesses."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("tiny_runs", [8, pytest.param(12, marks=pytest.mark.long)])
def test_every_run_ends_in_success_exactly_once_whatever_is_killed(tmp_path: Path, tiny_runs: int):
    report = Campaign(
        tmp_path,
        seed=SEED,
        tiny_runs=tiny_runs,
        real_runs=2,
        workers=2,
        longest_s=800,
        # Other tests run beside it; `benchmarks/chaos.py` asks for the time that is promised.
        taken_over_within_s=60,
        log=print,
    ).run()
    assert not report.violations
    assert {each.blow.phase for each in report.struck} == set(AIMED_AT)
    assert report.ends["success"] == report.tiny_runs + report.real_runs
    assert report.ends["lost"] + report.ends["worker_stopped"] >= 3


def test_a_plan_is_the_same_for_the_same_seed_and_aims_at_everything():
    plan = make_plan(1, tiny_runs=80, real_runs=20)
    assert plan == make_plan(1, tiny_runs=80, real_runs=20)
    assert plan != make_plan(2, tiny_runs=80, real_runs=20)
    for is_real in (False, True):
        blows = [blow for run in plan if run.recipe.is_real is is_real for blow in run.blows]
        assert {blow.phase for blow in blows} == set(AIMED_AT)
        assert {blow.victim for blow in blows} == set(Victim)
