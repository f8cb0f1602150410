"""The devices that a worker has."""

from pathlib import Path

import pytest

from raven_scan.jobs import devices
from raven_scan.jobs.devices import choose_devices, find_devices, parse_slots
from raven_scan.kernel.errors import Invalid


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(devices, "_DRIVER_FOLDER", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def two_gpus(tmp_path: Path) -> None:
    # As in a container that was given two of eight; the other files are the driver's own.
    for name in ("nvidia3", "nvidia7", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()


def test_without_a_gpu_there_is_one_slot_of_the_cpu() -> None:
    assert find_devices() == ["cpu"]
    assert choose_devices("auto") == ["cpu"]
    assert choose_devices("cuda:3") == ["cuda:3"]


@pytest.mark.usefixtures("two_gpus")
def test_every_gpu_is_a_slot() -> None:
    assert find_devices() == ["cuda:0", "cuda:1"]
    assert choose_devices("auto") == find_devices()


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("1", ["cuda:0"]),
        ("0,1", ["cuda:0", "cuda:1"]),
        ("", ["cpu"]),
        ("-1", ["cpu"]),
        ("1,-1,0", ["cuda:0"]),
        ("GPU-8932f937,GPU-d72be1ff", ["cuda:0", "cuda:1"]),
    ],
)
def test_gpus_that_are_hidden_are_not_found(
    visible: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_devices() == found


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("cpu", ["cpu"]),
        ("cpu:2", ["cpu", "cpu"]),
        ("cuda:1", ["cuda:1"]),
        ("cuda:0,cuda:1", ["cuda:0", "cuda:1"]),
        ("cuda", ["cuda:0", "cuda:1"]),
        ("cpu:1, cuda:0", ["cpu", "cuda:0"]),
        ("cpu,cpu", ["cpu", "cpu"]),
        ("cuda:01", ["cuda:1"]),
    ],
)
def test_slots(text: str, slots: list[str]) -> None:
    assert parse_slots(text) == slots


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a part is empty"),
        ("cpu,", "a part is empty"),
        ("2", "'2' is no device"),
        ("cpu:0", "'cpu:0' is no slot at all"),
        ("cpu:65", "65 slots are more than 64"),
        ("cpu:²", "is no device"),
        ("cuda:0,cuda:0", "cuda:0 is there twice"),
        ("cuda,cuda:1", "cuda:1 is there twice"),
        ("gpu:0", "'gpu:0' is no device"),
        ("cuda:-1", "is no device"),
    ],
)
def test_what_are_no_slots(text: str, said: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_slots(text)
    assert refusal.value.code == "worker.bad_slots"
    assert said in refusal.value.message


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(Invalid, match="there is cuda:0 to cuda:1") as refusal:
        parse_slots("cuda:2")
    assert refusal.value.code == "worker.no_such_device"


@pytest.mark.parametrize("text", ["cuda", "cuda:0"])
def test_no_gpu_at_all(text: str) -> None:
    with pytest.raises(Invalid, match="there is no GPU"):
        parse_slots(text)
