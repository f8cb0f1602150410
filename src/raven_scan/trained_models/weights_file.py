"""What can be told of a weights file without a tensor framework."""

from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open

from raven_scan.kernel.findings import Finding, Severity
from raven_scan.storage.blobs import digest_file

_HINT = "Restore the file from a backup, or choose another base model."


def find_file_problems(path: Path, *, size_bytes: int | None, digest: str | None = None) -> list[Finding]:
    """Why a safetensors file cannot be used; [] where it can.

    Args:
        path: the file.
        size_bytes: that it should have, or None.
        digest: sha256 that it should have, or None not to read it whole.
    """
    try:
        actual_bytes = path.stat().st_size
        if size_bytes is not None and actual_bytes != size_bytes:
            return [_find("damaged", f"The weights have {actual_bytes} bytes instead of {size_bytes}.")]
        # Checks the header, and that the tensors fill the file exactly.
        with cast("Any", safe_open(path, framework="numpy")) as file:
            tensor_count = len(file.keys())
        if digest is not None and digest_file(path) != digest:
            return [_find("damaged", "The weights are not those that were stored.")]
    except (OSError, SafetensorError) as error:
        return [_find("unreadable", f"The weights cannot be read: {error}.")]
    return [] if tensor_count else [_find("empty", "The weights hold no tensor.")]


def make_missing(model_name: str) -> Finding:
    """Of a model whose weights are not in the blob store."""
    return _find("missing", f"The weights of {model_name!r} are not in the blob store.")


def _find(what: str, message: str) -> Finding:
    return Finding(f"trained_model.weights_{what}", Severity.ERROR, message, _HINT)
