"""Whoever is to hear of a run's end is told in the transaction in which it ends."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor
from raven_scan.app.wiring import Platform, build_services
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.jobs.lease import LeaseLost
from raven_scan.kernel.database import Database
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.subscriptions import Wish
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.types import RunError, TrainingRunView

from .conftest import TINY

ADMIN = LOCAL_ADMINISTRATOR
ERROR = RunError(code="diverged", message="The loss is no number.", hint="Lower the learning rate.")


@pytest.fixture
def platform(database: Database, tmp_path: Path) -> Platform:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    settings = Settings.model_validate(
        {
            "home": home,
            "notify_webhooks": ["http://127.0.0.1:9/hook"],
            "webhook_secret": secret,
            "allow_private_webhooks": True,
        }
    )
    return build_services(settings, database, None)


def hold(platform: Platform) -> Attempt:
    attempt = platform.execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    return attempt


def list_announced(platform: Platform) -> list[tuple[str, str]]:
    page = platform.notifications.list_notifications(ADMIN, PageRequest())
    return [(item.event, item.subject) for item in page.items]


def test_a_run_that_failed_is_announced_once(
    platform: Platform, schedule_run: Callable[..., TrainingRunView]
):
    schedule_run()
    attempt = hold(platform)
    platform.execution.fail(WORKER, attempt, ERROR)
    with pytest.raises(LeaseLost):
        platform.execution.fail(WORKER, attempt, ERROR)
    assert list_announced(platform) == [("training_run.failed", "first")]


def test_a_run_that_waits_again_or_is_cancelled_is_not_announced(
    platform: Platform, schedule_run: Callable[..., TrainingRunView]
):
    schedule_run()
    platform.execution.lose(WORKER, hold(platform), ERROR)
    platform.execution.hand_back(WORKER, hold(platform), "stopped")
    platform.run_control.cancel(ADMIN, "first")
    assert list_announced(platform) == []


def test_who_created_a_run_hears_of_it(
    platform: Platform, dataset: DatasetVersionView, schedule_run: Callable[..., TrainingRunView]
):
    user = platform.users.create(ADMIN, name="ana", roles=["Trainer"]).user
    ana = Actor(id=user.id, name=user.name, claims=user.claims)
    wish = Wish(webhook=SecretStr("http://127.0.0.1:9/ana"))
    platform.subscriptions.subscribe(ana, wish)
    schedule_run()
    platform.execution.fail(WORKER, hold(platform), ERROR)
    assert len(list_announced(platform)) == 1
    platform.training_runs.create(
        ana, name="second", dataset=dataset.full_name, base_model="yolox-nano", parameters=TINY
    )
    platform.training_runs.schedule(ana, "second")
    platform.execution.fail(WORKER, hold(platform), ERROR)
    told = platform.notifications.list_notifications(ADMIN, PageRequest()).items
    assert sorted(each.subject for each in told) == ["first", "second", "second"]
