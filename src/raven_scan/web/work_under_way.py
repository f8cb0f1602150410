"""Work of minutes that goes on whoever looks: a page that is left, or loses its connection, finds it again."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from raven_scan.access.types import Actor
from raven_scan.kernel.errors import Busy, RavenError, Unavailable
from raven_scan.kernel.long_work import describe_unexpected
from raven_scan.kernel.progress import Progress
from raven_scan.web.marks import draw_bar
from raven_scan.web.texts import Texts

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Work(Generic[T]):
    """Work of a user, as far as it is; its thread writes, pages read.

    Attributes:
        name: of what is made.
        stage: a word for what it does now; `done` of `total`, which is 0 where unknown.
        result: None before its end, and where there is an error.
        error: why nothing was made.
    """

    name: str
    stage: str = ""
    done: int = 0
    total: int = 0
    result: T | None = None
    error: RavenError | None = None
    is_over: bool = False


class WorkUnderWay(Generic[T]):
    """The last work of one kind of each user: as many as users, and gone with the server, as its threads are."""

    def __init__(self) -> None:
        self._last: dict[UUID, Work[T]] = {}
        self._lock = threading.Lock()

    def find(self, user_id: UUID) -> Work[T] | None:
        """The user's, that goes on or was not dismissed."""
        return self._last.get(user_id)

    def dismiss(self, user_id: UUID) -> None:
        """Forgets one that is over."""
        with self._lock:
            found = self._last.get(user_id)
            if found is not None and found.is_over:
                del self._last[user_id]

    def begin(self, actor: Actor, name: str, act: Callable[[Progress], T]) -> Work[T]:
        """Has it done in a thread of its own: those that answer pages are few.

        Raises:
            Busy: other work of this kind of the user goes on.
        """
        work = Work[T](name)
        with self._lock:
            before = self._last.get(actor.id)
            if before is not None and not before.is_over:
                raise Busy(
                    "screen.work_under_way",
                    f"Your work on {before.name!r} goes on.",
                    hint="Wait for its end.",
                )
            self._last[actor.id] = work

        def tell(stage: str, done: int, total: int) -> None:
            work.stage, work.done, work.total = stage, done, total

        def run() -> None:
            try:
                work.result = act(tell)
            except RavenError as error:
                work.error = error
            except Exception as error:  # noqa: BLE001 - told to the user, and logged whole
                _log.exception("screen.work_failed")
                described = describe_unexpected(error)
                work.error = Unavailable("internal", described["message"], hint=described["hint"])
            finally:
                work.is_over = True

        threading.Thread(target=copy_context().run, args=(run,), name="screen-work", daemon=True).start()
        return work


def draw_work(work: Work[T], t: Texts) -> str:
    """What is done at the moment, and how far it is."""
    words = {
        "download": t("Downloading"),
        "unpacking": t("Unpacking"),
        "reading annotations": t("Reading annotations"),
        "checking images": t("Checking images"),
        "storing": t("Storing"),
        "images": t("Drawing images"),
        "drawing": t("Drawing images"),
        "verifying": t("Verifying"),
        "computing the digest": t("Computing the digest"),
        "reading the checkpoint": t("Reading the checkpoint"),
        "checking the weights": t("Checking the weights"),
        "packing": t("Packing"),
        "converting to ONNX": t("Converting to ONNX"),
        "checking the ONNX form": t("Checking the ONNX form"),
    }
    stage = words.get(work.stage, work.stage) or t("Beginning")
    write = t.size if work.stage == "download" else t.number
    count = t("{done} of {total}", done=write(work.done), total=write(work.total)) if work.total else ""
    return (
        f'<div class="row-gap"><span class="chip busy">{escape(work.name)}</span>{escape(stage)} '
        f'<span class="muted">{escape(count)}</span></div>'
        f"{draw_bar(work.done / work.total if work.total else 0.0, stage)}"
    )
