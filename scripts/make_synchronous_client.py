"""Writes the synchronous client from the asynchronous one: client/asynchronous/*.py → client/synchronous/*.py.

Usage: python scripts/make_synchronous_client.py [FOLDER], where FOLDER takes what is written elsewhere.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

REPOSITORY = Path(__file__).resolve().parent.parent
CLIENT = REPOSITORY / "src" / "raven_scan" / "client"
SOURCE = CLIENT / "asynchronous"
TARGET = CLIENT / "synchronous"

_HEAD = "# Made from asynchronous/{name} by scripts/make_synchronous_client.py: change that one, and run the script.\n"
_REPLACEMENTS = {
    "asynchronous": "synchronous",
    "AsyncByteStream": "SyncByteStream",
    "aclose": "close",
    "aclosing": "closing",
    "aread": "read",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "aiter_sse": "iter_sse",
    "aconnect_sse": "connect_sse",
}


def write_synchronous_client(target: Path) -> None:
    """Writes every file anew into `target`, formatted."""
    sources = sorted(SOURCE.glob("*.py"))
    names = {name for source in sources for name in re.findall(r"\w+", source.read_text(encoding="utf-8"))}
    replacements = {
        **{name: name.removeprefix("Async") for name in names if re.match(r"Async[A-Z]", name)},
        **{name: name.removesuffix("_async") for name in names if name.endswith("_async")},
        **_REPLACEMENTS,
    }
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "asynchronous"
        work.mkdir()
        copies = [work / source.name for source in sources]
        for source, copy in zip(sources, copies, strict=True):
            copy.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
        rule = unasync.Rule("/asynchronous/", "/synchronous/", replacements)
        unasync.unasync_files([str(copy) for copy in copies], [rule])
        target.mkdir(exist_ok=True)
        written: list[Path] = []
        for copy in copies:
            made = (Path(folder) / "synchronous" / copy.name).read_text(encoding="utf-8")
            if copy.name == "__init__.py":
                made = '"""The synchronous client, made from `asynchronous/`."""\n'
            written.append(target / copy.name)
            written[-1].write_text(_HEAD.format(name=copy.name) + made, encoding="utf-8")
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    settings = ["--quiet", "--config", str(REPOSITORY / "pyproject.toml"), *map(str, written)]
    # Names that became shorter sort and wrap differently.
    subprocess.run([*ruff, "check", "--select", "I", "--fix", *settings], check=True)
    subprocess.run([*ruff, "format", *settings], check=True)


if __name__ == "__main__":
    write_synchronous_client(Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET)
