"""Processes that keep models ready: which there are, who may have them, and what becomes of those that die.

The processes are real; they compute nothing (`predicting_children`).
"""

import os
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from raven_scan.detections.turns import LineFull, NoTurn, Turns
from raven_scan.detections.warm_model import LoadableModel, ProcessSettings
from raven_scan.detections.warm_models import PoolSettings, Request, WarmModels
from raven_scan.kernel.errors import Busy, Invalid, RavenError, Unavailable
from raven_scan.kernel.ids import make_id
from raven_scan.pixels.rules import PixelRules
from raven_scan.wire.prediction import PredictedImage

DEADLINE_S = 60.0
MAKE_POOL = Callable[..., WarmModels]


@pytest.fixture
def make_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[MAKE_POOL]:
    children = Path(__file__).parent / "predicting_children"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(children), os.environ.get("PYTHONPATH", "")]))
    pools: list[WarmModels] = []

    def make(*, models: int = 2, memory_bytes: int = 1 << 40, idle_s: float = 600.0) -> WarmModels:
        process = ProcessSettings(
            folder=tmp_path / "work",
            threads=1,
            loader_threads=1,
            image_memory_bytes=1 << 30,
            largest_image_pixels=10**8,
            module="quick_predictor",
        )
        pools.append(WarmModels(PoolSettings(models, memory_bytes, idle_s), lambda _: process))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
    assert list((tmp_path / "work").iterdir()) == []


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., LoadableModel]:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"")

    def make(name: str = "first", *, architecture: str = "yolox-nano") -> LoadableModel:
        return LoadableModel(
            id=make_id(),
            name=name,
            architecture=architecture,
            classes=["waste"],
            weights=weights,
            configuration=None,
            pixel_rules=PixelRules(),
        )

    return make


MAKE_MODEL = Callable[..., LoadableModel]


class Asked:
    """A request, and what came of it."""

    def __init__(self, *images: Path, timeout_s: float = DEADLINE_S) -> None:
        self.found: dict[int, PredictedImage] = {}
        self.loadings = 0
        self.request = Request(
            images=images,
            batch_size=1,
            min_confidence=0.0,
            timeout_s=timeout_s,
            on_images=lambda images: self.found.update({image.index: image for image in images}),
            on_loading=self._count,
        )

    def _count(self) -> None:
        self.loadings += 1

    @property
    def pids(self) -> set[int]:
        return {int(image.boxes[0][0]) for image in self.found.values()}


def ask(pool: WarmModels, model: LoadableModel, *images: Path, timeout_s: float = DEADLINE_S) -> Asked:
    asked = Asked(*(images or (Path("/a"), Path("/b"))), timeout_s=timeout_s)
    pool.predict(model, "cpu", asked.request)
    return asked


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def list_ids(pool: WarmModels) -> list[UUID]:
    return [each.model for each in pool.list_models()]


def test_a_second_call_finds_the_model_ready(make_pool: MAKE_POOL, make_model: MAKE_MODEL):
    pool, model = make_pool(), make_model()
    first, second = ask(pool, model), ask(pool, model)
    assert (first.loadings, second.loadings) == (1, 0)
    assert first.pids == second.pids == {pool.list_models()[0].process_id}
    assert len(second.found) == 2
    (warm,) = pool.list_models()
    assert (warm.request_count, warm.is_busy, warm.device) == (2, False, "cpu")
    assert warm.memory_bytes > 0


def test_the_least_recently_used_one_makes_room(make_pool: MAKE_POOL, make_model: MAKE_MODEL):
    pool = make_pool(models=2)
    first, second, third = (make_model(name) for name in ("first", "second", "third"))
    ended = ask(pool, second).pids
    ask(pool, first)
    ask(pool, second)
    gone = next(each.process_id for each in pool.list_models() if each.model == first.id)
    ask(pool, third)
    assert set(list_ids(pool)) == {second.id, third.id}
    assert not psutil.pid_exists(gone)
    assert ask(pool, second).pids == ended


def test_memory_allows_fewer(make_pool: MAKE_POOL, make_model: MAKE_MODEL):
    pool = make_pool(models=5, memory_bytes=1)
    first, second = make_model("first"), make_model("second")
    ask(pool, first)
    ask(pool, second)
    assert list_ids(pool) == [second.id]


def test_what_is_being_loaded_counts_before_it_has_its_memory(
    make_pool: MAKE_POOL, make_model: MAKE_MODEL, tmp_path: Path
):
    pool = make_pool(models=5, memory_bytes=1_100_000_000)
    first, second = make_model("first", architecture="slow"), make_model("second")
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(ask, pool, first)
        wait_until((tmp_path / "loads").exists)
        with pytest.raises(Busy):
            ask(pool, second, timeout_s=0.2)
        (tmp_path / "loads").unlink()
        assert len(loading.result(DEADLINE_S).found) == 2
    # What it really takes is less than was set aside for it.
    assert len(ask(pool, second).found) == 2


def test_one_that_nobody_asks_for_is_let_go(make_pool: MAKE_POOL, make_model: MAKE_MODEL):
    pool, model = make_pool(idle_s=0.3), make_model()
    (pid,) = ask(pool, model).pids
    wait_until(lambda: not psutil.pid_exists(pid))
    assert pool.list_models() == []
    assert ask(pool, model).loadings == 1


def test_one_that_died_while_nobody_asked_is_replaced(make_pool: MAKE_POOL, make_model: MAKE_MODEL):
    pool, model = make_pool(), make_model()
    (pid,) = ask(pool, model).pids
    os.kill(pid, 9)
    again = ask(pool, model)
    assert len(again.found) == 2
    assert again.pids != {pid}


def test_one_that_dies_in_a_request_is_replaced_for_the_images_that_are_left(
    make_pool: MAKE_POOL, make_model: MAKE_MODEL, tmp_path: Path
):
    pool, model = make_pool(), make_model()
    asked = ask(pool, model, tmp_path / "a", tmp_path / "die-once.jpg", tmp_path / "b")
    assert sorted(asked.found) == [0, 1, 2]
    assert asked.loadings == 2
    # The first image was answered by the one that died, and not asked again.
    assert len(asked.pids) == 2
    assert asked.found[0].boxes[0][0] != asked.found[2].boxes[0][0]


def test_one_that_dies_twice_is_one_clear_error_and_the_next_request_is_answered(
    make_pool: MAKE_POOL, make_model: MAKE_MODEL, tmp_path: Path
):
    pool, model = make_pool(), make_model()
    with pytest.raises(Unavailable) as raised:
        ask(pool, model, tmp_path / "die.jpg")
    assert raised.value.code == "detection.crashed"
    assert raised.value.parameters["exit_code"] == 9
    assert len(ask(pool, model).found) == 2


@pytest.mark.parametrize(
    ("image", "code"),
    [("nonsense", "detection.unreadable_answer"), ("memory", "detection.out_of_memory.host")],
)
def test_one_that_fails_is_told_of(
    make_pool: MAKE_POOL, make_model: MAKE_MODEL, tmp_path: Path, image: str, code: str
):
    pool, model = make_pool(), make_model()
    with pytest.raises(Unavailable) as raised:
        ask(pool, model, tmp_path / f"{image}.jpg")
    assert raised.value.code == code
    assert len(ask(pool, model).found) == 2


def test_a_model_that_cannot_be_loaded_says_why(make_pool: MAKE_POOL, make_model: MAKE_MODEL):
    pool = make_pool()
    with pytest.raises(Invalid) as raised:
        ask(pool, make_model(architecture="damaged"))
    assert raised.value.code == "detection.refused.weights_unreadable"


def test_one_that_takes_too_long_is_ended(make_pool: MAKE_POOL, make_model: MAKE_MODEL, tmp_path: Path):
    pool, model = make_pool(), make_model()
    (pid,) = ask(pool, model).pids
    with pytest.raises(Unavailable) as raised:
        ask(pool, model, tmp_path / "hang.jpg", timeout_s=0.5)
    assert raised.value.code == "detection.timed_out"
    assert not psutil.pid_exists(pid)
    assert len(ask(pool, model).found) == 2


def test_callers_have_it_one_after_another(make_pool: MAKE_POOL, make_model: MAKE_MODEL):
    pool, model = make_pool(), make_model()
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda _: ask(pool, model), range(12)))
    assert all(len(answer.found) == 2 for answer in answers)
    assert len({pid for answer in answers for pid in answer.pids}) == 1
    assert sum(answer.loadings for answer in answers) == 1


def test_who_waits_for_a_place_has_it_when_one_is_free_or_hears_that_there_is_none(
    make_pool: MAKE_POOL, make_model: MAKE_MODEL, tmp_path: Path
):
    pool = make_pool(models=1)
    busy, other = make_model("busy"), make_model("other")
    with ThreadPoolExecutor(2) as threads:
        hanging = threads.submit(ask, pool, busy, tmp_path / "hang.jpg")
        wait_until((tmp_path / "hangs").exists)
        with pytest.raises(Busy) as raised:
            ask(pool, other, timeout_s=0.2)
        assert raised.value.code == "detection.no_turn"
        waiting = threads.submit(ask, pool, other)
        # Twice, since its request is made once more.
        for _ in range(2):
            (pid,) = {each.process_id for each in pool.list_models() if each.model == busy.id} or {0}
            (tmp_path / "hangs").unlink()
            os.kill(pid, 9)
            if not hanging.done():
                wait_until(lambda: (tmp_path / "hangs").exists() or hanging.done())
        with pytest.raises(RavenError):
            hanging.result()
        assert len(waiting.result().found) == 2


def test_the_end_of_the_server_leaves_no_process(
    make_pool: MAKE_POOL, make_model: MAKE_MODEL, tmp_path: Path
):
    pool, model = make_pool(), make_model()
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(ask, pool, model, tmp_path / "hang.jpg")
        wait_until((tmp_path / "hangs").exists)
        (warm,) = pool.list_models()
        pool.close()
        with pytest.raises(Unavailable) as raised:
            hanging.result(DEADLINE_S)
    assert raised.value.code == "detection.server_ending"
    assert not psutil.pid_exists(warm.process_id)
    with pytest.raises(Unavailable):
        ask(pool, model)


def test_a_line_has_an_end_and_an_order():
    turns = Turns(most_waiting=2)
    order: list[int] = []
    has_turn, may_end = threading.Event(), threading.Event()

    def wait(number: int) -> None:
        with turns.take(time.monotonic() + DEADLINE_S):
            order.append(number)
            has_turn.set()
            may_end.wait(DEADLINE_S)

    threads: list[threading.Thread] = []
    for number in range(3):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        has_turn.wait(DEADLINE_S)
        wait_until(lambda number=number: turns.length == number + 1)
    with pytest.raises(LineFull), turns.take(time.monotonic() + DEADLINE_S):
        pass
    may_end.set()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2]
    with turns.take(0.0), pytest.raises(NoTurn), turns.take(time.monotonic()):
        pass
    with turns.take(0.0):
        assert turns.length == 1
