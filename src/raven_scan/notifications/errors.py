"""Why something about notifications is refused."""

from uuid import UUID

from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound


def no_recipients() -> Conflict:
    return Conflict(
        "notification.no_recipients",
        "Nobody is to be notified.",
        hint="Set RAVEN_NOTIFY_EMAILS or RAVEN_NOTIFY_WEBHOOKS; docs/operations.md shows how.",
    )


def subscription_not_found(id_: UUID | str) -> NotFound:
    return NotFound(
        "subscription.not_found",
        f"There is no subscription {str(id_)!r}.",
        hint="`raven subscriptions list` shows them.",
        parameters={"ref": str(id_)},
    )


def bad_unsubscribe_link() -> NotFound:
    return NotFound(
        "subscription.bad_link",
        "This link ends no subscription.",
        hint="Open it as it is in the mail, whole; or `raven subscriptions list` and `raven subscriptions remove`.",
    )


def no_account(name: str) -> Forbidden:
    return Forbidden(
        "subscription.no_account",
        f"{name} has no account that could be told.",
        hint="Name a user with --user, or sign in with an account of your own.",
    )


def others_account() -> Forbidden:
    return Forbidden(
        "subscription.others_account",
        "Only who may edit users subscribes somebody else.",
        hint="Leave the user out to subscribe yourself.",
    )


def bad_address(problem: str) -> Invalid:
    """`problem` does not quote the address."""
    return Invalid("subscription.bad_address", f"The address {problem}.", hint="Correct the address.")


def private_address() -> Invalid:
    return Invalid(
        "subscription.private_address",
        "The webhook's address is of this machine or its own networks.",
        hint="Name a server of the internet; an operator allows others with RAVEN_ALLOW_PRIVATE_WEBHOOKS.",
    )


def no_email(name: str) -> Conflict:
    return Conflict(
        "subscription.no_email",
        f"The account {name!r} has no e-mail address.",
        hint="Say which with --email, or have the account given one.",
    )


def channel_not_set_up(channel: str, needed: str) -> Conflict:
    return Conflict(
        "subscription.channel_not_set_up",
        f"This server sends no {channel}s.",
        hint=f"An operator sets {needed}; docs/operations.md shows how.",
        parameters={"channel": channel},
    )


def too_many(most: int) -> Conflict:
    return Conflict(
        "subscription.too_many",
        f"An account has at most {most} subscriptions.",
        hint="Remove some that are of no use any more.",
        parameters={"most": most},
    )
