"""What is known of a failed run beside its sentence."""

import pytest

from raven_scan.training_runs.failures import needs_other_settings
from raven_scan.training_runs.types import RunError

_OF_SETTINGS = (
    "diverged",
    "out_of_memory",
    "out_of_memory.device",
    "out_of_memory.loader",
    "refused.nothing_to_learn_from",
)
_OF_SURROUNDINGS = (
    "out_of_memory.shared_memory",
    "refused.no_such_device",
    "refused.checkpoint_of_other_run",
    "crashed.disk_full",
    "crashed.killed",
    "crashed.internal",
    "hung",
    "lost",
    "time_limit",
)


@pytest.mark.parametrize("code", _OF_SETTINGS)
def test_a_mere_retry_would_fail_again(code: str):
    assert needs_other_settings(RunError(code, "It failed.", ""))


@pytest.mark.parametrize("code", _OF_SURROUNDINGS)
def test_a_retry_may_succeed(code: str):
    assert not needs_other_settings(RunError(code, "It failed.", ""))
