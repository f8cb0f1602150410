import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from raven_scan.app.log_output import MASK, set_up_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def read_records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_records_of_both_kinds_are_json_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("INFO")
    structlog.get_logger("a.b").info("run.started", run="свалка", epoch=3)
    logging.getLogger("elsewhere").warning("it is %s", "late")
    logging.getLogger("elsewhere").debug("unsaid")
    ours, theirs = read_records(capsys)
    assert ours["event"] == "run.started"
    assert (ours["run"], ours["epoch"], ours["level"], ours["logger"]) == ("свалка", 3, "info", "a.b")
    assert (theirs["event"], theirs["level"]) == ("it is late", "warning")


def test_secrets_stay_out(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("INFO", secrets=[SecretStr("s3cr3t-value")])
    structlog.get_logger().info(
        "said s3cr3t-value",
        token="abcdefgh",
        url="postgresql://raven:hunter2@db/raven",
        headers={"Authorization": "Bearer abcdefgh", "accept": "x"},
        notes=["bearer abcdefgh", "fine"],
    )
    logging.getLogger("lib").warning("connecting to postgresql+psycopg://u:hunter2@/x failed")
    try:
        raise ValueError("postgresql://raven:hunter2@db/raven")  # noqa: TRY301
    except ValueError:
        structlog.get_logger().exception("failed")
    text = json.dumps(records := read_records(capsys))
    for secret in ("s3cr3t-value", "hunter2", "abcdefgh"):
        assert secret not in text
    assert records[0]["event"] == f"said {MASK}"
    assert records[0]["notes"] == [f"bearer {MASK}", "fine"]
    assert "ValueError" in str(records[2]["exception"])
