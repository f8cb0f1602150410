"""Why something about notifications is refused."""

from raven_scan.kernel.errors import Conflict


def no_recipients() -> Conflict:
    return Conflict(
        "notification.no_recipients",
        "Nobody is to be notified.",
        hint="Set RAVEN_NOTIFY_EMAILS or RAVEN_NOTIFY_WEBHOOKS; docs/operations.md shows how.",
    )
