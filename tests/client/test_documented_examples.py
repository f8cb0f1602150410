"""docs/sdk.md: every example works, one after the other, against a server with a worker beside it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.app.conftest import Process

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sdk.md"
TEXT = PAGE.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_example_works(
    environment: dict[str, str],
    start_raven: Callable[..., Process],
    start_worker: Callable[..., Any],
    sample_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del environment
    document = start_raven("serve", "--port", "0", "--no-worker", "--json").wait_for_document()
    start_worker()
    monkeypatch.setenv("RAVEN_SERVER", document["server"])
    monkeypatch.setenv("RAVEN_TOKEN", Path(document["token_file"]).read_text().strip())
    folder = tmp_path / "user"
    shutil.copytree(sample_folder, folder / "flights")
    monkeypatch.chdir(folder)
    assert len(EXAMPLES) > 10
    names: dict[str, Any] = {"__name__": "__main__"}
    for example in EXAMPLES:
        # Padded, so that a failure names its line of the page.
        line = TEXT.count("\n", 0, TEXT.index(example))
        exec(compile("\n" * line + example, str(PAGE), "exec"), names)  # noqa: S102
        if "rvn_your-token" in example:
            names["raven"].close()
    told = capsys.readouterr().out
    for expected in (
        "flights@1",
        "Draft",
        "Success",
        "ended: Success",
        "was changed since you read it",
        "third",
    ):
        assert expected in told
    assert (folder / "first.safetensors").stat().st_size > 0
