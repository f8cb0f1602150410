"""A run's log as its readers want it: the last lines, the lines with a word, the whole as a file."""

from collections.abc import Generator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access.types import Actor
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Unavailable
from raven_scan.training_runs.log_ranges import LARGEST_LOG_RANGE_BYTES, format_missing, read_log_range
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.repository import logs
from raven_scan.training_runs.service import get_run
from raven_scan.training_runs.types import LogRange

_LARGEST_PIECE_BYTES = 1 << 18
_LARGEST_SEARCH_BYTES = 16 << 20
_LONGEST_SHOWN = 400


@dataclass(frozen=True, slots=True)
class LogMatch:
    """A line that was found. `line`: its number, from 1. `offset`: of its first byte."""

    line: int
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class LogSearch:
    """What a search has found.

    Attributes:
        next_offset, next_line: where to go on; None where the whole log was looked through.
    """

    matches: list[LogMatch]
    next_offset: int | None
    next_line: int | None


@dataclass(frozen=True, slots=True)
class LogFile:
    """A run's log as a file: where its middle was dropped, one line says so.

    Attributes:
        run_name: for the file's name.
        size_bytes: of the file.
        kept_from: counting from the log's beginning: what lies from `missing_from` to here was dropped.
    """

    run_id: UUID
    run_name: str
    size_bytes: int
    missing_from: int
    marker: bytes
    kept_from: int

    @property
    def etag(self) -> str:
        """Another one as soon as the file is."""
        return f'"{self.size_bytes}-{self.kept_from}"'


class TrainingRunLogs:
    """Reads the logs of runs. Every method needs `training_run:view` and raises NotFound."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read_last_lines(self, actor: Actor, ref: str, lines: int) -> LogRange:
        """The last lines, as far as they are in the log's last mebibyte."""
        with self._database.reading() as session:
            run = get_run(session, actor, ref)
            start = max(run.log_size_bytes - LARGEST_LOG_RANGE_BYTES, run.log_missing_to or 0)
            content = logs.read(session, run, start, LARGEST_LOG_RANGE_BYTES).content
            end = len(content) - content.endswith(b"\n")
            for _ in range(lines):
                end = content.rfind(b"\n", 0, max(0, end))
                if end < 0:
                    break
            return LogRange(
                text=content[end + 1 :].decode(errors="replace"),
                offset=start + end + 1,
                next_offset=start + len(content),
                size_bytes=run.log_size_bytes,
            )

    def search(
        self, actor: Actor, ref: str, words: str, *, offset: int = 0, line: int = 1, most: int = 100
    ) -> LogSearch:
        """Lines that have the words in them, whatever their case.

        Args:
            actor: needs `training_run:view`.
            ref: name or id.
            words: looked for as they are.
            offset: where to begin; 0, or the `next_offset` of the search before.
            line: the number of the line there.
            most: so many lines are found at once.
        """
        sought, matches, begun_at = words.casefold(), list[LogMatch](), offset
        while offset - begun_at < _LARGEST_SEARCH_BYTES:
            with self._database.transaction() as session:
                part = read_log_range(session, get_run(session, actor, ref), offset, LARGEST_LOG_RANGE_BYTES)
            if part.next_offset == offset:
                return LogSearch(matches, None, None)
            at = offset + part.missing_bytes
            # The line that tells of what is missing is counted, as in the file.
            for index, text in enumerate(part.text.splitlines(keepends=True)):
                if sought in text.casefold():
                    if len(matches) == most:
                        return LogSearch(matches, at, line)
                    matches.append(LogMatch(line, at, text.rstrip("\r\n")[:_LONGEST_SHOWN]))
                is_marker = index == 0 and part.missing_bytes > 0
                at += 0 if is_marker else len(text.encode())
                line += text.endswith("\n")
            offset = part.next_offset
        return LogSearch(matches, offset, line)

    def open_file(self, actor: Actor, ref: str) -> LogFile:
        """The log as a file, as it is now."""
        with self._database.reading() as session:
            run = get_run(session, actor, ref)
            missing_from, kept_from, marker = run.log_size_bytes, run.log_size_bytes, b""
            if run.log_missing_from is not None and run.log_missing_to is not None:
                missing_from, kept_from = run.log_missing_from, run.log_missing_to
                marker = format_missing(kept_from - missing_from).encode()
            return LogFile(
                run_id=run.id,
                run_name=run.name,
                size_bytes=missing_from + len(marker) + run.log_size_bytes - kept_from,
                missing_from=missing_from,
                marker=marker,
                kept_from=kept_from,
            )

    def read_file(self, actor: Actor, file: LogFile, first: int, behind: int) -> Generator[bytes]:
        """Bytes of the file from `first` to before `behind`, in pieces.

        Raises:
            Unavailable: what is to come was dropped meanwhile.
        """
        at = first
        marker_end = file.missing_from + len(file.marker)
        while at < behind:
            if file.missing_from <= at < marker_end:
                piece = file.marker[at - file.missing_from : behind - file.missing_from]
            else:
                is_before = at < file.missing_from
                offset = at if is_before else at - marker_end + file.kept_from
                end = min(behind, file.missing_from) if is_before else behind
                # A transaction each: whoever downloads slowly holds none.
                with self._database.reading() as session:
                    run = get_run(session, actor, str(file.run_id))
                    piece = _read_exactly(session, run, offset, min(_LARGEST_PIECE_BYTES, end - at))
            yield piece
            at += len(piece)


def _read_exactly(session: Session, run: TrainingRun, offset: int, size_bytes: int) -> bytes:
    found = logs.read(session, run, offset, size_bytes)
    if found.missing_bytes or not found.content:
        raise Unavailable(
            "training_run.log_dropped",
            "The log grew too long meanwhile, and this part of it was dropped.",
            hint="Begin again.",
        )
    return found.content
