"""How published names and their versions are spelled: NAME for the version in use, NAME@N for that one."""

from sqlalchemy.orm import Session

from raven_scan.access.types import Actor, Claim
from raven_scan.publishing import repository
from raven_scan.publishing.errors import make_not_found, make_version_not_found
from raven_scan.publishing.models import PublishedName, PublishedVersion

_LARGEST_NUMBER = (1 << 31) - 1
_MOST_DIGITS = 10


def parse_ref(ref: str) -> tuple[str, str | None]:
    """The name, and what comes behind its `@`; None where there is none. No name has an `@`."""
    name, at, number = ref.partition("@")
    return name, number if at else None


def read_name(
    session: Session, actor: Actor, ref: str, *, lock: bool = False
) -> tuple[PublishedName, int | None]:
    """The row of a name, and the number that was asked for; whether there is such a version is not looked at.

    Args:
        session: to ask.
        actor: needs `trained_model:view`, without which nothing is there.
        ref: name or id, with or without `@N`.
        lock: until the transaction ends.

    Raises:
        NotFound: there is no such name, or what is behind the `@` is no number.
    """
    if not actor.may(Claim.TRAINED_MODEL_VIEW):
        raise make_not_found(ref)
    return read_name_for_anybody(session, ref, lock=lock)


def read_name_for_anybody(
    session: Session, ref: str, *, lock: bool = False
) -> tuple[PublishedName, int | None]:
    """As `read_name`, for whoever asks."""
    name, number = parse_ref(ref)
    # No name has a NUL, and PostgreSQL takes none.
    row = None
    if name.isprintable():
        row = repository.lock_name(session, name) if lock else repository.find_name(session, name)
    if row is None or not row.last_number:
        raise make_not_found(ref)
    if number is None:
        return row, None
    # Python itself refuses to read a number of some thousand digits.
    if not (number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS):
        raise make_version_not_found(row.name, ref)
    if not 1 <= int(number) <= _LARGEST_NUMBER:
        raise make_version_not_found(row.name, ref)
    return row, int(number)


def read_version(session: Session, name: PublishedName, number: int) -> PublishedVersion:
    """Raises NotFound."""
    found = None
    if 1 <= number <= _LARGEST_NUMBER:
        found = repository.find_version(session, name, number)
    if found is None:
        raise make_version_not_found(name.name, f"{name.name}@{number}")
    return found
