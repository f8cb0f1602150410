"""Working folders of attempts."""

from uuid import uuid4

from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.run_folder import AttemptFolder


def test_an_attempt_removes_what_earlier_ones_left_and_nothing_of_later_ones(settings: Settings):
    # A worker may be frozen before it makes its folder, and wake up when another works on the run already.
    run_id = uuid4()
    first, second, third = (AttemptFolder(settings, run_id, fence) for fence in (1, 2, 10))
    first.create()
    third.create()
    assert not first.path.exists()
    second.create()
    assert second.path.exists()
    assert third.path.exists()
