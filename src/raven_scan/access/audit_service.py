"""The use cases of the audit trail: look, and prove that it is what it was."""

from collections.abc import Iterator

from raven_scan.access import audit_repository
from raven_scan.access.audit_entry import FIRST_PREVIOUS_HASH
from raven_scan.access.audit_repository import StoredEntry
from raven_scan.access.audit_types import (
    AuditEntry,
    AuditFault,
    AuditProblem,
    AuditVerification,
    EntryFilter,
    Head,
)
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.progress import Progress, ignore_progress

_BATCH_SIZE = 2000
_LARGEST_NUMBER = 2**63 - 1


class AuditService:
    """The audit trail, as users look at it. `audit.record` is what writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_entries(
        self, actor: Actor, page: PageRequest, chosen: EntryFilter | None = None
    ) -> Page[AuditEntry]:
        """The newest first.

        Args:
            actor: needs `audit:view`.
            page: which; its cursor is the number of the last entry that was shown.
            chosen: which entries.

        Raises:
            Invalid: the cursor is none, or the search is too long.
        """
        actor.require(Claim.AUDIT_VIEW)
        chosen = chosen or EntryFilter()
        before = None if page.cursor is None else _read_cursor(page.cursor)
        with self._database.reading() as session:
            found = audit_repository.list_entries(session, chosen, before=before, limit=page.limit + 1)
        shown = found[: page.limit]
        return Page(shown, str(shown[-1].number) if len(found) > len(shown) else None)

    def verify(
        self,
        actor: Actor,
        *,
        known_head: Head | None = None,
        last: int | None = None,
        progress: Progress = ignore_progress,
    ) -> AuditVerification:
        """Reads every entry, and computes its hash anew. It goes on while others append.

        Args:
            actor: needs `audit:view`.
            known_head: what an earlier verification told, and was kept where the database's owner cannot change it.
            last: reads only so many, the newest; what is before them is taken for good.
            progress: told how many entries were read, of those that there were at the beginning.
        """
        actor.require(Claim.AUDIT_VIEW)
        with self._database.transaction() as session:
            head = audit_repository.find_head(session)
        total = head.number if head else 0
        after = 0 if last is None else max(0, total - last)
        # From before the first number that we give: somebody may have put one there.
        entries = self._read_chain(after or -_LARGEST_NUMBER)
        fitting: Head | None = None
        checked_count = 0
        for entry in entries:
            if fitting is None and after:
                previous, expected = entry.previous_hash, after + 1
            else:
                previous = fitting.hash if fitting else FIRST_PREVIOUS_HASH
                expected = fitting.number + 1 if fitting else 1
            problem = _find_problem(entry, expected, previous) or _compare(entry, known_head)
            if problem is not None:
                return AuditVerification(checked_count, fitting, problem)
            fitting = Head(entry.number, entry.hash)
            checked_count += 1
            if checked_count % _BATCH_SIZE == 0:
                progress("entries", checked_count, max(total - after, checked_count))
        progress("entries", checked_count, checked_count)
        return AuditVerification(checked_count, fitting, self._find_cut(fitting, known_head, after))

    def is_guarded(self, actor: Actor) -> bool:
        """Whether the database refuses to change and to delete entries. Needs `audit:view`."""
        actor.require(Claim.AUDIT_VIEW)
        with self._database.transaction() as session:
            return audit_repository.is_guarded(session)

    def _read_chain(self, after: int) -> Iterator[StoredEntry]:
        """In short transactions: a long one would keep PostgreSQL from tidying up, and may be cut off."""
        batch: list[StoredEntry] = []
        while True:
            with self._database.transaction() as session:
                batch = list(audit_repository.read_chain(session, after=after, limit=_BATCH_SIZE))
            if not batch:
                return
            yield from batch
            after = batch[-1].number

    def _find_cut(self, head: Head | None, known_head: Head | None, after: int) -> AuditProblem | None:
        if known_head is None:
            return None
        end = head.number if head else 0
        if known_head.number > end:
            return AuditProblem(
                end + 1,
                AuditFault.CUT_OFF,
                f"Entries {end + 1} to {known_head.number} are gone: the trail ends with entry {end}.",
            )
        if known_head.number > after:
            return None  # it was compared as it was read
        with self._database.transaction() as session:
            hash_ = audit_repository.find_hash(session, known_head.number)
        return None if hash_ == known_head.hash else _make_replaced(known_head.number)


def _find_problem(entry: StoredEntry, expected_number: int, previous_hash: str) -> AuditProblem | None:
    number = entry.number
    if number < expected_number:
        return AuditProblem(number, AuditFault.UNLINKED, f"There is an entry {number}, before the first.")
    if number > expected_number:
        gone = (
            f"Entry {expected_number} is"
            if number == expected_number + 1
            else (f"Entries {expected_number} to {number - 1} are")
        )
        return AuditProblem(expected_number, AuditFault.MISSING, f"{gone} missing.")
    if entry.computed_hash != entry.hash:
        return AuditProblem(
            number, AuditFault.CHANGED, f"Entry {number} was changed: its content has not its hash."
        )
    if entry.previous_hash != previous_hash:
        return AuditProblem(
            number,
            AuditFault.UNLINKED,
            f"Entry {number} does not follow the one before: that was changed, with its hash, or this one.",
        )
    return None


def _compare(entry: StoredEntry, known_head: Head | None) -> AuditProblem | None:
    if known_head is None or entry.number != known_head.number or entry.hash == known_head.hash:
        return None
    return _make_replaced(entry.number)


def _make_replaced(number: int) -> AuditProblem:
    return AuditProblem(
        number,
        AuditFault.REPLACED,
        f"Entry {number} has not the hash that is known: it, or one before it, was written anew.",
    )


def _read_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal()) or len(cursor) > 19 or int(cursor) > _LARGEST_NUMBER:
        raise Invalid(
            "paging.bad_cursor",
            f"{cursor[:100]!r} is not a cursor.",
            hint="Use the value of 'next' from the page before.",
        )
    return int(cursor)
