"""`raven demo`, the whole of it."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from .conftest import Process, wait_until

Start = Callable[..., Process]
Raven = Callable[..., Any]

LONGEST_S = 1500.0


@pytest.mark.long
@pytest.mark.timeout(LONGEST_S)
def test_the_demo_trains_a_detector_that_finds_waste(
    start_raven: Start, tmp_path: Path, raven: Raven
) -> None:
    demo = start_raven("demo", "--folder", tmp_path / "demo", "--json")
    assert demo.popen.wait(LONGEST_S) == 0, demo.err
    result = demo.wait_for_document()
    assert result["test"]["map50"] >= 0.6
    assert result["untrained"]["map50"] < 0.1
    with Image.open(result["picture"]) as picture:
        assert min(picture.size) > 500
    assert (
        raven("models", "show", result["model"], "--json").document["test"]["map50"]
        == result["test"]["map50"]
    )


@pytest.mark.long
def test_an_interrupted_demo_goes_on_where_it_was(start_raven: Start, tmp_path: Path, raven: Raven) -> None:
    def list_runs() -> list[tuple[str, str]]:
        items = raven("runs", "list", "--json").document["items"]
        return [(run["name"], run["status"]) for run in items]

    def begin_and_interrupt() -> str:
        demo = start_raven("demo", "--folder", tmp_path / "demo")
        wait_until(lambda: list_runs() == [("raven-demo", "Processing")], "the demo's run")
        assert demo.end(signal.SIGINT) < 30
        assert demo.popen.returncode == 130
        assert list_runs() == [("raven-demo", "Waiting")]
        assert demo.out == ""
        return demo.err

    assert "Drawing" in begin_and_interrupt()
    assert "already" in begin_and_interrupt()
