"""Work that goes on whoever looks."""

import threading
import time
from zoneinfo import ZoneInfo

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.kernel.errors import Busy, Invalid
from raven_scan.kernel.progress import Progress
from raven_scan.web.texts import Texts
from raven_scan.web.work_under_way import Work, WorkUnderWay, draw_work

_T = Texts("en", ZoneInfo("UTC"))
_USER = LOCAL_ADMINISTRATOR.id


def wait_for_end(work: Work[str]) -> None:
    while not work.is_over:
        time.sleep(0.001)


def test_one_at_a_time_of_each_user_is_found_until_it_is_dismissed() -> None:
    works, told, goes_on = WorkUnderWay[str](), threading.Event(), threading.Event()

    def act(progress: Progress) -> str:
        progress("storing", 1, 4)
        told.set()
        assert goes_on.wait(10)
        return "made"

    work = works.begin(LOCAL_ADMINISTRATOR, "<b>coast", act)
    assert told.wait(10)
    assert "&lt;b&gt;coast" in draw_work(work, _T)
    assert "1 of 4" in draw_work(work, _T)
    works.dismiss(_USER)
    assert works.find(_USER) is work
    with pytest.raises(Busy, match="<b>coast"):
        works.begin(LOCAL_ADMINISTRATOR, "another", act)
    wait_for_end(works.begin(WORKER, "of another user", lambda _: "made too"))
    goes_on.set()
    wait_for_end(work)
    assert work.result == "made"
    works.dismiss(_USER)
    assert works.find(_USER) is None


def test_what_fails_is_told_and_never_how_it_is_made_inside() -> None:
    works = WorkUnderWay[str]()

    def refuse(_: Progress) -> str:
        raise Invalid("dataset.bad", "It is bad.", hint="Mend it.")

    refused = works.begin(LOCAL_ADMINISTRATOR, "coast", refuse)
    wait_for_end(refused)
    assert refused.error is not None
    assert refused.error.message == "It is bad."
    broken = works.begin(LOCAL_ADMINISTRATOR, "coast", lambda _: str(1 // 0))
    wait_for_end(broken)
    assert broken.error is not None
    assert "ZeroDivisionError" in broken.error.message + broken.error.hint
    assert broken.result is None
