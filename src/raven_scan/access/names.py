"""What users, roles and tokens may be called."""

import re
import unicodedata

from raven_scan.kernel.addresses import read_email_address
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.names import check_name

LONGEST_USER_NAME = 64
LONGEST_EMAIL = 254

_USER_NAME = re.compile(r"[^\W_](?:[\w.@+-]*\w)?")
_RESERVED = frozenset({"worker"})
"""Who acts in the audit trail without an account."""


def make_name_key(name: str) -> str:
    """The name as it is compared: without regard to case, or to how its letters are written."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def make_searchable(text: str) -> str:
    """What of a text that is looked for a name may hold at all; PostgreSQL takes no NUL."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def check_user_name(name: str) -> None:
    """1 to 64 letters, digits, and `. _ - + @` between them; an e-mail address will do. Raises Invalid."""
    problems = (
        (not name, "it is empty"),
        (len(name) > LONGEST_USER_NAME, f"it has {len(name)} characters"),
        (name != unicodedata.normalize("NFKC", name), "it has characters that look like others"),
        (_USER_NAME.fullmatch(name) is None, "it has other characters than letters, digits and . _ - + @"),
        (parse_id(name) is not None, "it looks like an id"),
        (make_name_key(name) in _RESERVED, "the platform itself goes by it"),
    )
    problem = next((problem for is_there, problem in problems if is_there), None)
    if problem is not None:
        raise Invalid(
            "user.bad_name",
            f"{name[:LONGEST_USER_NAME]!r} cannot be the name of a user: {problem}.",
            hint=f"Choose 1 to {LONGEST_USER_NAME} letters or digits, with . _ - + @ between them.",
            parameters={"name": ascii(name[:LONGEST_USER_NAME])},
        )


def check_role_name(name: str) -> None:
    check_name("role", name)


def check_email(email: str) -> None:
    try:
        if len(email) > LONGEST_EMAIL:
            raise ValueError("is too long")  # noqa: TRY301 - told as the others are
        read_email_address(email)
    except ValueError as error:
        raise Invalid(
            "user.bad_email",
            f"The e-mail address {error}.",
            hint="Write it as name@example.org.",
        ) from None
