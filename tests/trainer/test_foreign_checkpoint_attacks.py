"""Files that would attack whoever opens them, and files that are damaged. Nothing of them may run."""

import contextlib
import importlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from raven_scan.trainer.foreign_checkpoint import (
    CheckpointReport,
    NotACheckpointError,
    read_foreign_checkpoint,
)


def read(path: Path) -> tuple[CheckpointReport, dict[str, Tensor]]:
    destination = path.parent / "read.safetensors"
    report = read_foreign_checkpoint(path, destination)
    return report, load_file(destination)


def refusal_of(path: Path, code: str = "refused.not_a_checkpoint") -> NotACheckpointError:
    """Read a file that must be refused, and check that nothing is left behind."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(NotACheckpointError) as refused:
        read(path)
    assert sorted(path.parent.iterdir()) == before
    assert path.name in refused.value.message
    assert refused.value.hint
    assert refused.value.code == code
    return refused.value


def zip_of(pickle_bytes: bytes, storages: dict[str, bytes] | None = None, **entries: bytes) -> bytes:
    """A checkpoint in PyTorch's zip form around a pickle made by hand."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle_bytes)
        archive.writestr("archive/version", b"3\n")
        for name, content in entries.items():
            archive.writestr(f"archive/{name}", content)
        for key, content in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", content)
    return buffer.getvalue()


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def parts_of(checkpoint: bytes) -> tuple[bytes, dict[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(checkpoint)) as archive:
        storages = {
            name.rsplit("/", 1)[1]: archive.read(name)
            for name in archive.namelist()
            if "/data/" in name and not name.endswith("/")
        }
        return archive.read("archive/data.pkl"), storages


FORMS: list[dict[str, Any]] = [
    {},
    {"_use_new_zipfile_serialization": False},
    *({"pickle_protocol": protocol} for protocol in (3, 4, 5)),
    {"_use_new_zipfile_serialization": False, "pickle_protocol": 4},
]
FORM_NAMES = ["zip", "legacy", "zip 3", "zip 4", "zip 5", "legacy 4"]


class Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def live_payloads(marker: Path) -> dict[str, tuple[Any, str]]:
    """Objects that make the file `marker` when they are unpickled, and what a refusal has to name."""
    touch = f"open({str(marker)!r}, 'w').close()"
    rebuild_tensor = importlib.import_module("torch._utils")._rebuild_tensor_v2
    rebuild_from_type = importlib.import_module("torch._tensor")._rebuild_from_type_v2
    nested = pickle.dumps(Call(exec, touch))
    return {
        "os.system": (Call(vars(os)["system"], f"touch {marker}"), "posix.system"),
        "subprocess": (Call(subprocess.call, ["touch", str(marker)]), "subprocess.call"),
        "eval": (Call(eval, touch), "builtins.eval"),
        "exec": (Call(exec, touch), "builtins.exec"),
        "nested pickle": (Call(pickle.loads, nested), "pickle.loads"),
        "nested in torch": (
            Call(torch.storage._load_from_bytes, saved_code(touch)),
            "torch.storage._load_from_bytes",
        ),
        "as an argument of a tensor": (
            Call(rebuild_tensor, Call(exec, touch), 0, (1,), (1,), 0, OrderedDict()),
            "builtins.exec",
        ),
        "as the maker of a tensor": (
            Call(rebuild_from_type, exec, nn.Parameter, (touch,), {}),
            "builtins.exec",
        ),
    }


def saved_code(touch: str) -> bytes:
    return saved(Call(exec, touch), _use_new_zipfile_serialization=False)


PAYLOADS = [
    "os.system",
    "subprocess",
    "eval",
    "exec",
    "nested pickle",
    "nested in torch",
    "as an argument of a tensor",
    "as the maker of a tensor",
]


def run_it(checkpoint: bytes) -> None:
    """What reading must never be."""
    with contextlib.suppress(Exception):  # the payload has run by then
        torch.load(io.BytesIO(checkpoint), weights_only=False)


@pytest.mark.parametrize("form", FORMS, ids=FORM_NAMES)
@pytest.mark.parametrize("payload", PAYLOADS)
def test_code_is_refused_and_does_not_run(tmp_path: Path, payload: str, form: dict[str, Any]):
    marker = tmp_path / "marker"
    attack, named = live_payloads(marker)[payload]
    checkpoint = saved({"state_dict": {"w": torch.ones(2)}, "meta": attack}, **form)
    run_it(checkpoint)
    assert marker.exists(), "the payload is a dud"
    marker.unlink()

    path = tmp_path / "attack.pth"
    path.write_bytes(checkpoint)
    refused = refusal_of(path, "refused.checkpoint_carries_code")
    assert named in refused.message
    assert not marker.exists()


ASSEMBLED = {
    "text protocol": (b"cos\nsystem\n(S'touch MARKER'\ntR.", "os.system"),
    "instance of the oldest protocol": (b"(S'touch MARKER'\nios\nsystem\n.", "os.system"),
    "object of the oldest protocol": (b"(cos\nsystem\nS'touch MARKER'\no.", "os.system"),
    "name on the stack": (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x0ctouch MARKER\x85R.", "os.system"),
    "name of a name": (b"\x80\x04\x8c\x08builtins\x8c\x0bexec.__call\x93.", "exec"),
    "alias of Python 2": (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "builtins.eval"),
    "getattr of a module": (
        b"\x80\x02cbuiltins\ngetattr\ncnumpy\nndarray\nX\x04\x00\x00\x00base\x86R.",
        "builtins.getattr",
    ),
    "getattr of what getattr gave": (
        b"\x80\x02cbuiltins\ngetattr\ncbuiltins\ngetattr\ncmmengine\nX\nX\x01\x00\x00\x00y\x86RX\x01\x00\x00\x00z\x86R.",
        "builtins.getattr",
    ),
    "getattr of hidden names": (
        b"\x80\x02cbuiltins\ngetattr\ncmmengine.logging\nX\nX\x0b\x00\x00\x00__globals__\x86R.",
        "builtins.getattr",
    ),
    "call of what getattr gave": (
        b"\x80\x02cbuiltins\ngetattr\ncmmengine.logging\nX\nX\x01\x00\x00\x00y\x86RX\x01\x00\x00\x00z\x85R.",
        "what a call returned",
    ),
    "torch.hub": (b"\x80\x02ctorch.hub\nload\nX\x01\x00\x00\x00r\x85R.", "torch.hub.load"),
    "torch.load": (b"\x80\x02ctorch\nload\nX\x01\x00\x00\x00r\x85R.", "torch.load"),
    "torch.serialization": (
        b"\x80\x02ctorch.serialization\nload\nX\x01\x00\x00\x00r\x85R.",
        "serialization.load",
    ),
    "torch.jit": (b"\x80\x02ctorch.jit._script\nunpackage_script_module\n)R.", "torch.jit"),
    "numpy.load": (b"\x80\x02cnumpy\nload\nX\x01\x00\x00\x00r\x85R.", "numpy.load"),
    "import": (b"\x80\x02cbuiltins\n__import__\nX\x02\x00\x00\x00os\x85R.", "builtins.__import__"),
    "attrgetter": (b"\x80\x02coperator\nattrgetter\nX\x06\x00\x00\x00system\x85R.", "operator.attrgetter"),
    "state of an object": (b"\x80\x02cmine\nThing\n)\x81}X\x01\x00\x00\x00acos\nsystem\nsb.", "os.system"),
    "open": (b"\x80\x02cio\nopen\nX\x01\x00\x00\x00r\x85R.", "io.open"),
}


@pytest.mark.parametrize("name", ASSEMBLED)
@pytest.mark.parametrize("wrap", [zip_of, bytes], ids=["zip", "bare pickle"])
def test_pickles_made_by_hand_are_refused(tmp_path: Path, name: str, wrap: Any):
    pickle_bytes, named = ASSEMBLED[name]
    path = tmp_path / "attack.pth"
    path.write_bytes(wrap(pickle_bytes))
    assert named in refusal_of(path, "refused.checkpoint_carries_code").message


def test_a_name_that_writes_to_the_terminal(tmp_path: Path):
    path = tmp_path / "attack.pth"
    path.write_bytes(zip_of(b"\x80\x02cos\n\x1b]0;pwned\x07system\n."))
    assert refusal_of(path, "refused.checkpoint_carries_code").message.isprintable()


def test_a_module_nobody_knows_is_neither_imported_nor_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    marker = tmp_path / "marker"
    (tmp_path / "their_project.py").write_text(
        f"open({str(marker)!r}, 'w').close()\nclass Settings(dict):\n    def __setstate__(self, state):\n        pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    pickle_bytes = (
        b"\x80\x02}(X\x01\x00\x00\x00mctheir_project\nSettings\n)\x81X\x01\x00\x00\x00aK\x01s}bX\x05\x00\x00\x00model"
        b"}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89}tRsu."
    )
    path = tmp_path / "theirs.pth"
    path.write_bytes(zip_of(pickle_bytes, {"0": np.array([1, 2], dtype="<f4").tobytes()}))
    report, back = read(path)
    assert back["w"].tolist() == [1, 2]
    assert report.not_read == ["their_project.Settings"]
    assert "their_project" not in sys.modules
    assert not marker.exists()


def test_a_tensor_larger_than_its_data(tmp_path: Path):
    pickle_bytes, storages = parts_of(saved({"w": torch.zeros(100)}))
    path = tmp_path / "bomb.pth"
    path.write_bytes(zip_of(pickle_bytes, {"0": storages["0"][:-4]}))
    assert "claims more data than the file holds" in refusal_of(path).message
    # The shape alone: 100 becomes 120 beside a storage of 100.
    shaped = pickle_bytes.replace(b"K\x00Kd\x85", b"K\x00Kx\x85")
    assert shaped != pickle_bytes
    path.write_bytes(zip_of(shaped, storages))
    assert "reaches beyond its data" in refusal_of(path).message


def test_a_tensor_that_repeats_one_number_without_end(tmp_path: Path):
    path = tmp_path / "bomb.pth"
    torch.save({"w": torch.zeros(1).expand(10**9)}, path)
    assert path.stat().st_size < 5000
    assert "reaches beyond its data" in refusal_of(path).message


def test_many_names_for_the_same_data(tmp_path: Path):
    base = torch.zeros(500_000)
    path = tmp_path / "bomb.pth"
    torch.save({f"w{number}": base for number in range(100)}, path)
    assert "many times the size of the file" in refusal_of(path).message


def test_memory_asked_for_by_the_pickle_is_not_given(tmp_path: Path):
    """The unpickler of torch.load(weights_only=True) makes these two gigabytes."""
    pickle_bytes = b"\x80\x02cbuiltins\nbytearray\nJ" + (2_000_000_000).to_bytes(4, "little") + b"\x85R."
    path = tmp_path / "bomb.pth"
    path.write_bytes(zip_of(pickle_bytes))
    assert "pickled object (builtins.bytearray)" in refusal_of(path).message


@pytest.mark.parametrize("wrap", [zip_of, bytes], ids=["zip", "bare pickle"])
def test_a_length_that_is_made_up(tmp_path: Path, wrap: Callable[[bytes], bytes]):
    path = tmp_path / "bomb.pth"
    path.write_bytes(wrap(b"\x80\x05\x96" + (1 << 62).to_bytes(8, "little") + b"abc"))
    refusal_of(path)


def test_a_memo_of_huge_numbers(tmp_path: Path):
    path = tmp_path / "bomb.pth"
    path.write_bytes(zip_of(b"\x80\x02}r\xff\xff\xff\x7f."))
    assert "holds no tensors" in refusal_of(path).message


@pytest.mark.parametrize(
    "nest", [b"]" * 50_000 + b"a" * 49_999, b")" + b"\x85" * 50_000], ids=["lists", "tuples"]
)
def test_deep_nesting(tmp_path: Path, nest: bytes):
    path = tmp_path / "bomb.pth"
    path.write_bytes(zip_of(b"\x80\x02}X\x01\x00\x00\x00m" + nest + b"s."))
    assert "holds no tensors" in refusal_of(path).message
    # As a key it would have to be hashed, level by level.
    path.write_bytes(zip_of(b"\x80\x02}" + nest + b"K\x01s."))
    assert "holds no tensors" in refusal_of(path).message


def test_endless_operations(tmp_path: Path):
    path = tmp_path / "bomb.pth"
    path.write_bytes(zip_of(b"\x80\x02" + b"N" * 3_000_001 + b"."))
    assert "more operations" in refusal_of(path).message


def test_a_compressed_archive(tmp_path: Path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", parts_of(saved({"w": torch.zeros(4)}))[0])
        archive.writestr("archive/data/0", bytes(10_000_000))
    assert "compressed" in refusal_of(path).message


@pytest.mark.parametrize("form", FORMS[:2], ids=FORM_NAMES[:2])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.6, 0.95, 0.999])
def test_a_file_that_is_cut_off(tmp_path: Path, kept: float, form: dict[str, Any]):
    whole = saved({"state_dict": {f"w{number}": torch.randn(200) for number in range(20)}}, **form)
    path = tmp_path / "cut.pth"
    path.write_bytes(whole[: int(len(whole) * kept)])
    refusal_of(path)


def test_a_flipped_bit_in_the_data(tmp_path: Path):
    tensor = torch.randn(1000)
    content = bytearray(saved({"w": tensor}))
    content[content.index(tensor.numpy().tobytes()) + 500] ^= 1
    path = tmp_path / "flipped.pth"
    path.write_bytes(content)
    assert "damaged" in refusal_of(path).message


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


NO_CHECKPOINTS: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "json": lambda: b"{}",
    "text": lambda: b"hello, this is a text file\nwith two lines\n",
    "zeros": lambda: bytes(4096),
    "image": jpeg,
    "pickle": lambda: pickle.dumps({"w": [1, 2, 3]}),
    "pickle of numpy": lambda: pickle.dumps({"w": np.zeros(3)}),
    "number": lambda: zip_of(b"\x80\x02K\x01."),
    "other byte order": lambda: zip_of(b"\x80\x02}.", byteorder=b"big"),
    "extension registry": lambda: zip_of(b"\x80\x02\x82\x01."),
    "zip without end": lambda: b"PK\x03\x04 but no archive",
    "broken safetensors": lambda: b"\x02\x00\x00\x00\x00\x00\x00\x00{]",
    "no tensors": lambda: saved({"state_dict": {"note": "no tensors"}}),
    "list": lambda: saved([torch.zeros(3)]),
    "tensor": lambda: saved(torch.zeros(3)),
    "model": lambda: saved(nn.Linear(2, 2)),
    "complex": lambda: saved({"w": torch.zeros(3, dtype=torch.complex64)}),
    "sparse": lambda: saved({"w": torch.zeros(3).to_sparse()}),
    "meta": lambda: saved({"w": torch.zeros(3, device="meta")}),
}


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_what_is_no_checkpoint(tmp_path: Path, name: str):
    path = tmp_path / "thing.pth"
    path.write_bytes(NO_CHECKPOINTS[name]())
    refusal_of(path)


def test_a_torchscript_program(tmp_path: Path):
    path = tmp_path / "program.pt"
    path.write_bytes(zip_of(b"\x80\x02}.", None, **{"constants.pkl": b"\x80\x02)."}))
    assert "TorchScript" in refusal_of(path).message


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.pth")


def test_weights_already_there_stay_when_the_file_is_refused(tmp_path: Path):
    path, destination = tmp_path / "bad.pth", tmp_path / "read.safetensors"
    destination.write_bytes(b"before")
    path.write_bytes(b"no checkpoint")
    refusal_of(path)
    assert destination.read_bytes() == b"before"


WHOLE_ZIP = parts_of(
    saved({"state_dict": {"w": torch.ones(2, 3), "b": torch.ones(2).half()}, "meta": {"epoch": 1}})
)
WHOLE_LEGACY = saved({"state_dict": {"w": torch.ones(2, 3)}}, _use_new_zipfile_serialization=False)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), legacy=st.booleans())
def test_any_change_of_any_byte_is_read_or_refused(tmp_path: Path, data: st.DataObject, *, legacy: bool):
    content = bytearray(WHOLE_LEGACY if legacy else WHOLE_ZIP[0])
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(content) - 1))
        with_what = data.draw(st.binary(max_size=3))
        content[where : where + data.draw(st.integers(0, 3))] = with_what
    path = tmp_path / "changed.pth"
    path.write_bytes(content if legacy else zip_of(bytes(content), WHOLE_ZIP[1]))
    with contextlib.suppress(NotACheckpointError):
        read(path)
