"""Whether weights that came in are what they are said to be."""

from pathlib import Path

from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.progress import ignore_progress
from raven_scan.packages import errors
from raven_scan.packages.manifest import WEIGHTS
from raven_scan.trained_models.checkpoint_reading import read_checkpoint
from raven_scan.trained_models.weights_file import find_file_problems

_LARGEST_HEADER_BYTES = 16 << 20
_LENGTH_BYTES = 8


def check_header(path: Path) -> None:
    """Refuses what is no safetensors file, or has a header larger than any model's. Raises Invalid."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length > _LARGEST_HEADER_BYTES:
        raise errors.make_bad_content(WEIGHTS, f"its header says to have {length} bytes")
    problems = find_file_problems(path, size_bytes=None)
    if problems:
        raise errors.make_bad_content(WEIGHTS, problems[0].message.removesuffix("."))


def check_weights(path: Path, architecture: str, *, class_count: int, folder: Path) -> int:
    """Has a child process build the architecture and put the weights into it; returns how many parameters they are.

    Raises:
        Invalid: they do not fit, or are for another number of classes.
        Unavailable: the child process failed.
    """
    work = folder / "fit"
    work.mkdir()
    try:
        read = read_checkpoint(
            path, architecture, folder=work, file_name=WEIGHTS, url=None, progress=ignore_progress
        )
    except Invalid as error:
        raise errors.make_bad_content(WEIGHTS, error.message.removesuffix(".")) from error
    (work / "weights.safetensors").unlink()
    report = read.report
    wrong = [*report.missing, *report.unexpected, *report.mismatched]
    if wrong:
        raise errors.make_bad_content(
            WEIGHTS,
            f"{len(wrong) + report.left_out} tensors do not fit {architecture}, such as {wrong[0][:100]}",
        )
    if len(read.classes) != class_count:
        raise errors.make_bad_content(
            WEIGHTS, f"they are for {len(read.classes)} classes, and the class list has {class_count}"
        )
    return read.parameter_count
