"""Looks at the newest entries of the audit trail, and whether the database refuses to change it."""

from collections.abc import Iterator

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.housekeeping.checks import Check, make_error, make_ok, make_warning
from raven_scan.app.wiring import Platform

_LAST = 1000
"""Read in a tenth of a second; `raven audit verify` reads all."""


def check_audit_trail(platform: Platform) -> Iterator[Check]:
    """Whether the newest entries are what they were."""
    found = platform.audit.verify(LOCAL_ADMINISTRATOR, last=_LAST)
    if found.problem is not None:
        yield make_error(
            "audit",
            f"The audit trail was changed. {found.problem.message}",
            "See who may change the database. A backup has the trail as it was: `raven backup restore` brings it "
            "back into another database.",
        )
    else:
        yield make_ok(
            "audit", f"The newest {found.checked_count} entries of the audit trail are what they were."
        )
    if not platform.audit.is_guarded(LOCAL_ADMINISTRATOR):
        yield make_warning(
            "audit",
            "The trigger is disabled that keeps the audit trail from being changed.",
            "Run `raven audit verify`, then: ALTER TABLE audit_entries ENABLE TRIGGER ALL.",
        )
