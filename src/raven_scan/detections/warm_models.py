"""The models that processes of this server keep ready: few, the least recently used one makes room for another."""

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from msgspec.structs import replace

from raven_scan.detections.errors import make_closed, make_not_in_time, make_queue_full, make_timeout
from raven_scan.detections.turns import LineFull, NoTurn, Turns
from raven_scan.detections.types import WarmModelView
from raven_scan.detections.warm_model import LoadableModel, ProcessLost, ProcessSettings, WarmModel
from raven_scan.wire.prediction import PredictedImage

_MOST_WAITING = 16
_TRIES = 2
_BARE_PROCESS_BYTES = 600_000_000
"""What the frameworks take without any model."""

_WEIGHTS_FACTOR = 4
"""What a model takes, by the size of its weights."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How much may be kept ready.

    Attributes:
        most_models: processes at once.
        most_memory_bytes: that they may take together; one may always be there.
        idle_s: a process that nobody asked for so long is ended.
    """

    most_models: int
    most_memory_bytes: int
    idle_s: float


@dataclass(slots=True)
class _Place:
    """Where a model's process is, or will be. `users`: requests that have it, or wait for it."""

    model: LoadableModel
    device: str
    turns: Turns = field(default_factory=lambda: Turns(_MOST_WAITING))
    warm: WarmModel | None = None
    users: int = 0
    used_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a model is asked.

    Attributes:
        timeout_s: for all of it, waiting too.
        on_images: told of images that are done.
        on_loading: told where the model has to be loaded first.
    """

    images: Sequence[Path]
    batch_size: int
    min_confidence: float
    timeout_s: float
    on_images: Callable[[list[PredictedImage]], None]
    on_loading: Callable[[], None]


class WarmModels:
    """Hands requests to processes, which it starts and ends. Safe to use from several threads.

    Args:
        pool: how much may be kept ready.
        process: how each process works on a device.
    """

    def __init__(self, pool: PoolSettings, process: Callable[[str], ProcessSettings]) -> None:
        self._pool = pool
        self._process = process
        self._places: dict[tuple[UUID, str], _Place] = {}
        self._changed = threading.Condition()
        self._waiting_for_place = 0
        self._keeper: threading.Thread | None = None
        self._is_closed = False

    def predict(self, model: LoadableModel, device: str, request: Request) -> None:
        """Has a model predict on images. A process that dies meanwhile is replaced once, for the images that are left.

        Raises:
            Busy: too many wait for it, or for a place.
            Invalid, Unavailable: the model cannot be loaded; its process failed, or took too long.
        """
        deadline = time.monotonic() + request.timeout_s
        left = list(range(len(request.images)))
        for last in (False, True):
            asked = list(left)

            def take(found: list[PredictedImage], asked: list[int] = asked) -> None:
                renumbered = [_renumber(image, asked) for image in found]
                for image in renumbered:
                    left.remove(image.index)
                request.on_images(renumbered)

            try:
                with self._hold(model, device, request, deadline) as warm:
                    warm.predict(
                        [request.images[index] for index in asked],
                        batch_size=request.batch_size,
                        min_confidence=request.min_confidence,
                        deadline=deadline,
                        on_images=take,
                    )
            except ProcessLost as lost:
                if self._is_closed:
                    raise make_closed() from None
                if last:
                    raise lost.error from None
            except TimeoutError:
                raise make_timeout(model.name, request.timeout_s) from None
            else:
                return

    def list_models(self) -> list[WarmModelView]:
        """Those that are ready."""
        with self._changed:
            places = list(self._places.values())
        return [
            WarmModelView(
                model=place.model.id,
                name=place.model.name,
                device=place.device,
                process_id=warm.pid,
                request_count=warm.request_count,
                memory_bytes=warm.measure_memory_bytes(),
                is_busy=place.users > 0,
            )
            for place in places
            if (warm := place.warm) is not None and warm.is_alive
        ]

    def close(self) -> None:
        """Ends all processes, whoever waits for them."""
        with self._changed:
            self._is_closed = True
            places = list(self._places.values())
            self._places.clear()
            self._changed.notify_all()
        for place in places:
            if place.warm is not None:
                place.warm.end()

    @contextmanager
    def _hold(
        self, model: LoadableModel, device: str, request: Request, deadline: float
    ) -> Generator[WarmModel]:
        """A process of the model, which is the caller's for as long as the context lasts."""
        place = self._enter(model, device, request, deadline)
        try:
            with place.turns.take(deadline):
                warm = self._start(place, request, deadline)
                try:
                    yield warm
                except BaseException:
                    # Somebody else may still wait for an answer that this one would get.
                    warm.end()
                    raise
        except LineFull:
            raise make_queue_full(model.name, _MOST_WAITING) from None
        except NoTurn:
            raise make_not_in_time(model.name, request.timeout_s) from None
        finally:
            with self._changed:
                place.users -= 1
                place.used_at = time.monotonic()
                self._changed.notify_all()

    def _enter(self, model: LoadableModel, device: str, request: Request, deadline: float) -> _Place:
        key = (model.id, device)
        with self._changed:
            while True:
                if self._is_closed:
                    raise make_closed()
                place = self._places.get(key)
                if place is None and self._has_room(model):
                    place = self._places[key] = _Place(model, device)
                    self._ensure_keeper()
                if place is not None:
                    place.model = model  # it may have another name by now, and its files another place
                    place.users += 1
                    return place
                if self._end_least_recently_used():
                    continue
                if self._waiting_for_place >= _MOST_WAITING:
                    raise make_queue_full(model.name, _MOST_WAITING)
                self._waiting_for_place += 1
                is_changed = self._changed.wait(deadline - time.monotonic())
                self._waiting_for_place -= 1
                if not is_changed:
                    raise make_not_in_time(model.name, request.timeout_s)

    def _has_room(self, model: LoadableModel) -> bool:
        if not self._places:
            return True
        if len(self._places) >= self._pool.most_models:
            return False
        taken = sum(
            # What is being loaded has not taken yet what it will.
            _estimate_memory_bytes(place.model) if place.warm is None else place.warm.measure_memory_bytes()
            for place in self._places.values()
        )
        return taken + _estimate_memory_bytes(model) <= self._pool.most_memory_bytes

    def _end_least_recently_used(self) -> bool:
        """Whether there was one that nobody uses. Called with the lock: until it is gone, it takes memory."""
        idle = [key for key, place in self._places.items() if place.users == 0]
        if not idle:
            return False
        self._end_place(min(idle, key=lambda key: self._places[key].used_at))
        return True

    def _end_place(self, key: tuple[UUID, str]) -> None:
        place = self._places.pop(key)
        if place.warm is not None:
            place.warm.end()

    def _start(self, place: _Place, request: Request, deadline: float) -> WarmModel:
        """The place's process; another one where it is gone. Called by whoever's turn it is."""
        if self._is_closed:
            raise make_closed()
        if place.warm is not None and place.warm.is_alive:
            return place.warm
        if place.warm is not None:
            place.warm.end()
        request.on_loading()
        warm = WarmModel.start(place.model, place.device, self._process(place.device), deadline=deadline)
        with self._changed:
            place.warm = warm
            is_closed = self._is_closed
        if is_closed:
            warm.end()
            raise make_closed()
        return warm

    def _ensure_keeper(self) -> None:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._end_idle_ones, name="warm-models", daemon=True)
            self._keeper.start()

    def _end_idle_ones(self) -> None:
        """Until there are no processes left."""
        with self._changed:
            while self._places:
                now = time.monotonic()
                ends = {
                    key: place.used_at + self._pool.idle_s
                    for key, place in self._places.items()
                    if place.users == 0
                }
                for key, end in ends.items():
                    if end <= now:
                        self._end_place(key)
                if not self._places:
                    break
                left = [end for end in ends.values() if end > now]
                self._changed.wait(min(left) - now if left else None)
            self._keeper = None


def _estimate_memory_bytes(model: LoadableModel) -> int:
    try:
        weights_bytes = model.weights.stat().st_size
    except OSError:
        weights_bytes = 0  # gone: loading it will say so
    return _BARE_PROCESS_BYTES + _WEIGHTS_FACTOR * weights_bytes


def _renumber(image: PredictedImage, asked: list[int]) -> PredictedImage:
    """With its place in the whole request, of which the process was asked a part."""
    return replace(image, index=asked[image.index])
