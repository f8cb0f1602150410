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


def collect_from(output: Path, *, secrets: tuple[str, ...] = ()) -> RunLogCollector:
    return RunLogCollector(output, secrets=[SecretStr(secret) for secret in secrets])


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


def test_what_comes_faster_than_it_is_kept_is_left_out_and_told(
    output: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_log, "_MOST_AT_ONCE_BYTES", 1000)
    monkeypatch.setattr(run_log, "_LARGEST_BACKLOG_BYTES", 5000)
    log = collect_from(output)
    lines = [b"line %04d\n" % number for number in range(1000)]
    append(output, b"".join(lines))
    log.collect(is_final=True)
    told, *kept = log.pending.splitlines(keepends=True)
    assert told.decode() == "[… 9000 bytes were left out here: they came faster than they are kept …]\n"
    assert kept == lines[-100:]


def test_how_much_was_told_before_is_counted(output: Path):
    log = collect_from(output)
    append(output, b"one\ntwo\n")
    log.collect()
    assert log.position == 0
    log.forget(4)
    assert (log.position, log.pending) == (4, b"two\n")


def test_while_it_cannot_be_written_it_does_not_fill_the_memory(
    output: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(run_log, "_MOST_PENDING_BYTES", 5)
    log = collect_from(output)
    for _ in range(10):
        append(output, b"four\n")
        log.collect()
    assert log.pending == b"four\nfour\n"
    take(log)
    log.collect()
    assert log.pending == b"four\n" * 8


def test_what_was_taken_in_takes_no_room_on_the_disk(output: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_log, "_KEPT_ON_DISK_BYTES", 10_000)
    monkeypatch.setattr(run_log, "_FREED_AT_ONCE_BYTES", 10_000)
    log = collect_from(output)
    line = b"." * 99 + b"\n"
    with output.open("ab") as child:  # it writes on, as a trainer does
        for _ in range(100):
            child.write(line * 100)
            child.flush()
            log.collect()
            take(log)
        child.write(b"the end\n")
    log.collect()
    assert log.pending == b"the end\n"
    assert output.stat().st_size == 1_000_008
    assert output.stat().st_blocks * 512 < 60_000
    assert output.read_bytes().endswith(line + b"the end\n")


def test_noise_of_the_frameworks_is_left_out(output: Path):
    log = collect_from(output)
    append(
        output,
        b"Could not import OneDL. Skipping OneDL datasets.\n"
        b"11/22 05:00:00 - mmengine - INFO - Epoch(train) [1][10/20]\n"
        b"11/22 05:00:01 - mmengine - WARNING - bbox_head.conv is duplicate. It is skipped since "
        b"bypass_duplicate=True\n"
        b"11/22 05:00:02 - mmengine - INFO - Epoch(train) [1][20/20]\n",
    )
    log.collect()
    assert [line.split(b" - ")[-1] for line in log.pending.splitlines()] == [
        b"Epoch(train) [1][10/20]",
        b"Epoch(train) [1][20/20]",
    ]


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
