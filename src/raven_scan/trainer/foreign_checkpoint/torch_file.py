"""PyTorch's files, both forms: a zip of a pickle and one entry a storage, and before 1.6 pickles and storages in a row.

Source: `torch/serialization.py`: `_save`, `_load`, `_legacy_save`, `_legacy_load`.
"""

import mmap
import struct
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Protocol

from raven_scan.trainer.foreign_checkpoint.errors import BadCheckpointContentError, CodeInCheckpointError
from raven_scan.trainer.foreign_checkpoint.pickled_data import Pickle, parse_pickle
from raven_scan.trainer.foreign_checkpoint.tensor_outlines import find_storage

_ZIP_START = b"PK\x03\x04"
_LARGEST_PICKLE_BYTES = 1 << 30
_ENCRYPTED = 0x1
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_COUNT_BYTES = 8
_SAVE_AGAIN = "Save it again with today's PyTorch: torch.save({'state_dict': model.state_dict()}, PATH)."


class TorchFile(Protocol):
    """An opened file: what its pickle says, and the memory of its tensors by key."""

    form: str
    pickle: Pickle

    def read_storage(self, key: str, expected_bytes: int) -> bytes:
        """Read a storage, at least `expected_bytes` long; raises BadCheckpointContentError."""
        ...


@contextmanager
def open_torch_file(path: Path) -> Generator[TorchFile]:
    """Open a file that `torch.save` wrote.

    Raises:
        BadCheckpointContentError: it did not, or the file is damaged.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(len(_ZIP_START))
        if not start:
            raise BadCheckpointContentError("the file is empty.")
        if start != _ZIP_START:
            # Mapped, so that a length that a pickle makes up reads to the end of the file and reserves nothing.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield _LegacyFile(content)
            return
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise BadCheckpointContentError("the file is cut off or damaged.") from error
        with archive:
            yield _ZipFile(archive)


class _ZipFile:
    form = "torch zip"

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise BadCheckpointContentError(
                "it is a compressed archive, and PyTorch never compresses its checkpoints. " + _SAVE_AGAIN
            )
        pickles = [name for entry in entries if (name := PurePosixPath(entry.filename)).name == "data.pkl"]
        if len(pickles) != 1:
            raise BadCheckpointContentError("it is a zip archive, but none that PyTorch writes.")
        self._folder = pickles[0].parent
        if self._find("constants.pkl"):
            raise BadCheckpointContentError("it is a TorchScript program, which holds code. " + _SAVE_AGAIN)
        if self._find("byteorder") and self._read("byteorder", 16).strip() != b"little":
            raise BadCheckpointContentError("it was written on a big-endian machine. " + _SAVE_AGAIN)
        self.pickle = parse_pickle(BytesIO(self._read("data.pkl", _LARGEST_PICKLE_BYTES)))

    def read_storage(self, key: str, expected_bytes: int) -> bytes:
        entry = self._find(f"data/{key}")
        if entry is None or entry.file_size < expected_bytes:
            raise BadCheckpointContentError("a tensor claims more data than the file holds.")
        return self._read(f"data/{key}", entry.file_size)

    def _find(self, name: str) -> zipfile.ZipInfo | None:
        try:
            return self._archive.getinfo(str(self._folder / name))
        except KeyError:
            return None

    def _read(self, name: str, largest_bytes: int) -> bytes:
        entry = self._find(name)
        if entry is None or entry.flag_bits & _ENCRYPTED or entry.file_size > largest_bytes:
            raise BadCheckpointContentError(f"its part {name} is missing, encrypted or too large.")
        try:
            content = self._archive.read(entry)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, struct.error) as error:
            raise BadCheckpointContentError(f"its part {name} is damaged: {error}.") from error
        if len(content) != entry.file_size:
            raise BadCheckpointContentError(f"its part {name} is cut off.")
        return content


class _LegacyFile:
    form = "torch legacy"

    def __init__(self, file: mmap.mmap) -> None:
        self._file = file
        try:
            magic = parse_pickle(file).value
        except CodeInCheckpointError:
            raise
        except BadCheckpointContentError as error:
            raise BadCheckpointContentError(
                "it is in no format that PyTorch or safetensors write."
            ) from error
        if magic != _LEGACY_MAGIC:
            raise BadCheckpointContentError("it is a pickle, but none that PyTorch wrote.")
        if parse_pickle(file).value != _LEGACY_PROTOCOL:
            raise BadCheckpointContentError(
                "it is in an unknown version of PyTorch's old format. " + _SAVE_AGAIN
            )
        system = parse_pickle(file).value
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise BadCheckpointContentError("it was written on a big-endian machine. " + _SAVE_AGAIN)
        self.pickle = parse_pickle(file)
        keys = parse_pickle(file).value
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise BadCheckpointContentError("its list of tensors is damaged.")
        self._starts = self._find_starts(keys)

    def read_storage(self, key: str, expected_bytes: int) -> bytes:
        if key not in self._starts:
            raise BadCheckpointContentError("a tensor names data that the file does not hold.")
        self._file.seek(self._starts[key])
        return self._file.read(expected_bytes)

    def _find_starts(self, keys: list[str]) -> dict[str, int]:
        """Where each storage's data starts: they follow each other, each behind its count of elements."""
        storages = {
            storage.key: storage
            for reference in self.pickle.references
            if (storage := find_storage(reference))
        }
        starts: dict[str, int] = {}
        for key in keys:
            storage = storages.get(key)
            if storage is None:
                raise BadCheckpointContentError("it holds data of a number type that is not supported.")
            count = int.from_bytes(self._file.read(_COUNT_BYTES), "little")
            starts[key] = self._file.tell()
            end = starts[key] + storage.size_bytes
            if count != storage.count or end > len(self._file):
                raise BadCheckpointContentError(
                    "the file is cut off, or a tensor claims more data than it holds."
                )
            self._file.seek(end)
        return starts
