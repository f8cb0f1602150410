"""Two people edit one thing: each says which revision they saw, and the later one is refused.

A revision is a number that grows with every edit; over REST it is the ETag (RFC 9110, section 8.8.3).
"""

import re

from raven_scan.kernel.errors import Invalid, Stale

_ETAG = re.compile(r'"([0-9]{1,9})"')


def format_etag(revision: int) -> str:
    return f'"{revision}"'


def parse_if_match(header: str | None) -> int | None:
    """The revision that an `If-Match` names; None where there is no such header, or it is `*`.

    Raises:
        Invalid: it is no ETag of ours.
    """
    if header is None or header.strip() == "*":
        return None
    found = _ETAG.fullmatch(header.strip())
    if found is None:
        raise Invalid(
            "request.bad_etag",
            f"{header!r} is not an ETag of this server.",
            hint="Send the ETag of the answer that you read, as it was.",
        )
    return int(found[1])


def check_revision(noun: str, name: str, revision: int, expected: int | None) -> None:
    """Refuses an edit of what somebody else has edited since.

    Args:
        noun: the thing's name in codes, such as `training_run`.
        name: of the thing.
        revision: that it has.
        expected: that the caller saw; None where they do not care.

    Raises:
        Stale: `<noun>.changed_meanwhile`.
    """
    if expected is not None and expected != revision:
        raise Stale(
            f"{noun}.changed_meanwhile",
            f"{name} was changed since you read it.",
            hint="Read it again, and repeat your change where it still fits.",
            parameters={"name": name, "revision": revision, "expected": expected},
        )
