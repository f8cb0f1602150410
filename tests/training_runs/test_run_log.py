"""What comes into a run's log: whole lines, in order, each once, without secrets, and never too much."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from raven_scan.training_runs import run_log
from raven_scan.training_runs.run_log import RunLogCollector, format_line

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOLD = b"2026-01-02 03:04:05 - platform - Done.\n"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output.log"


def collect_from(
    output: Path, *, secrets: tuple[str, ...] = (), size_bytes: int = 0, largest_bytes: int = 10_000_000
) -> RunLogCollector:
    return RunLogCollector(
        output,
        secrets=[SecretStr(secret) for secret in secrets],
        size_bytes=size_bytes,
        largest_bytes=largest_bytes,
    )


def append(output: Path, content: bytes):
    with output.open("ab") as file:
        file.write(content)


def take(log: RunLogCollector) -> bytes:
    """What is pending is written down."""
    pending = log.pending
    log.forget(len(pending))
    return pending


def test_nothing_is_pending_before_there_is_any_output(output: Path):
    log = collect_from(output)
    log.collect(is_final=True)
    assert log.pending == b""
    assert log.list_last_lines(5) == []


def test_a_line_waits_for_its_end(output: Path):
    log = collect_from(output)
    append(output, b"one\ntw")
    log.collect()
    assert log.pending == b"one\n"
    append(output, b"o\nthr")
    log.collect()
    assert log.pending == b"one\ntwo\n"
    log.collect(is_final=True)
    assert log.pending == b"one\ntwo\nthr"


def test_what_was_not_written_stays_pending_and_what_comes_meanwhile_follows(output: Path):
    """As while the database is away."""
    log = collect_from(output)
    append(output, b"one\n")
    log.collect()
    size = len(log.pending)
    append(output, b"two\n")
    log.collect()
    log.forget(size)
    assert log.pending == b"two\n"


def test_a_line_of_the_platform_comes_after_what_the_trainer_has_said(output: Path):
    log = collect_from(output)
    append(output, b"before\n")
    log.tell(NOW, "Done.")
    append(output, b"after\n")
    log.collect()
    assert log.pending == b"before\n" + TOLD + b"after\n"
    assert format_line(NOW, "Done.") == TOLD


@pytest.mark.parametrize("cut", range(1, 20))
def test_a_secret_is_hidden_wherever_the_output_was_cut_when_it_was_looked_at(output: Path, cut: int):
    log = collect_from(output, secrets=("hush-hush",))
    line = b"key=hush-hush, again\n"
    append(output, line[:cut])
    log.collect()
    append(output, line[cut:])
    log.collect()
    log.tell(NOW, "It said hush-hush.")
    assert b"hush" not in log.pending
    assert log.pending.startswith(b"key=***, again\n")
    assert not any("hush" in line for line in log.list_last_lines(5))


def test_passwords_in_addresses_are_hidden_though_nobody_knows_them(output: Path):
    log = collect_from(output)
    append(output, b"connecting to postgresql://raven:s3same@db/raven\nAuthorization: Bearer abc.def\n")
    log.collect()
    assert b"s3same" not in log.pending
    assert b"abc.def" not in log.pending


def test_a_line_without_end_is_taken_before_it_fills_the_memory(
    output: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_log, "_LONGEST_LINE_BYTES", 100)
    log = collect_from(output)
    append(output, b"." * 90)
    log.collect()
    assert log.pending == b""
    append(output, b"." * 90)
    log.collect()
    assert log.pending == b"." * 180


def test_much_output_at_once_is_taken_in_pieces_whole(output: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_log, "_MOST_AT_ONCE_BYTES", 1000)
    log = collect_from(output)
    content = b"".join(b"line %04d\n" % number for number in range(1000))
    append(output, content + b"the last")
    log.collect()
    assert len(log.pending) <= 1000
    log.tell(NOW, "Done.")
    assert log.pending == content + b"the last" + TOLD


def test_what_is_beyond_the_limit_is_left_out_and_told_once(output: Path):
    log = collect_from(output, largest_bytes=25)
    for _ in range(10):
        append(output, b"ten bytes\n")
        log.collect()
    assert log.pending == b"ten bytes\n" * 3 + b"The log is longer than 25 bytes: the rest is left out.\n"
    assert log.list_last_lines(100) == ["ten bytes"] * 10, "an error still tells the end"


def test_how_a_run_ended_is_told_though_its_log_is_full(output: Path):
    log = collect_from(output, size_bytes=500, largest_bytes=25)
    append(output, b"too much\n")
    log.tell(NOW, "Done.")
    assert log.pending == TOLD


def test_bytes_that_are_no_text_do_not_stop_it(output: Path):
    log = collect_from(output)
    append(output, b"\xff\xfe\x00 strange\n\xc3\xbc\n")
    log.collect()
    assert "strange\n\u00fc\n" in log.pending.decode()


def test_the_last_lines_are_remembered_whether_written_or_not(output: Path):
    log = collect_from(output)
    append(output, b"".join(b"%d\n" % number for number in range(200)))
    log.collect()
    take(log)
    assert log.list_last_lines(3) == ["197", "198", "199"]
    assert len(log.list_last_lines(1000)) == 50


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lines=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12), max_size=12
    ),
    cuts=st.lists(st.integers(0, 200), max_size=6),
    written=st.lists(st.booleans(), max_size=6),
)
def test_every_line_comes_once_and_in_order_however_it_was_cut(
    output: Path, lines: list[str], cuts: list[int], written: list[bool]
):
    """Letters of several bytes are cut in the middle, too."""
    output.unlink(missing_ok=True)
    content = "".join(f"{line}\n" for line in lines).encode()
    log = collect_from(output)
    expected = run_log.TextMask()(content.decode()).encode()
    got = b""
    places = sorted({min(cut, len(content)) for cut in cuts} | {0, len(content)})
    for index, (start, end) in enumerate(pairwise(places)):
        append(output, content[start:end])
        log.collect()
        if index < len(written) and written[index]:
            got += take(log)
    log.collect(is_final=True)
    assert got + take(log) == expected
