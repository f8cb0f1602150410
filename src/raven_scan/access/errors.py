"""What can go wrong with accounts, said once."""

from collections.abc import Collection
from uuid import UUID

from raven_scan.access.types import Claim
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Throttled, Unauthenticated


def user_not_found(ref: str) -> NotFound:
    return NotFound(
        "user.not_found",
        f"There is no user {ref!r}.",
        hint="`raven users list` shows them.",
        parameters={"ref": ref},
    )


def role_not_found(ref: str) -> NotFound:
    return NotFound(
        "role.not_found",
        f"There is no role {ref!r}.",
        hint="`raven roles list` shows them.",
        parameters={"ref": ref},
    )


def token_not_found(ref: UUID | str) -> NotFound:
    return NotFound(
        "token.not_found",
        f"There is no token {str(ref)!r}.",
        hint="`raven tokens list` shows them.",
        parameters={"ref": str(ref)},
    )


def session_not_found(id_: UUID) -> NotFound:
    return NotFound(
        "session.not_found",
        f"There is no session {id_}.",
        hint="It has ended already; GET /api/v1/sessions lists those that go on.",
        parameters={"ref": str(id_)},
    )


def name_taken(noun: str, name: str) -> Conflict:
    return Conflict(
        f"{noun}.name_taken",
        f"There is a {noun} named {name!r} already; upper and lower case are the same here.",
        hint="Choose another name.",
        parameters={"name": name},
    )


def identity_taken() -> Conflict:
    return Conflict(
        "user.identity_taken",
        "Another account belongs to this identity.",
        hint="Delete the other account first, or sign in to it.",
    )


def claims_beyond_own(claims: Collection[Claim]) -> Forbidden:
    """Nobody gives, takes or uses through others what they do not have."""
    named = ", ".join(sorted(claims))
    return Forbidden(
        "access.claims_beyond_own",
        f"This takes claims that you do not have: {named}.",
        hint="Ask an administrator, or somebody who has these claims.",
        parameters={"claims": sorted(claims)},
    )


def no_account(name: str) -> Forbidden:
    return Forbidden(
        "access.no_account",
        f"The {name} has no account, and so no password, tokens or sessions of its own.",
        hint="Name a user, as in `raven tokens create --user NAME`.",
    )


def limited_credential() -> Forbidden:
    return Forbidden(
        "access.limited_token",
        "A token with claims of its own does not manage its account.",
        hint="Sign in with your password, or use a token with all your claims.",
    )


def outlives_token() -> Forbidden:
    return Forbidden(
        "access.outlives_token",
        "A token cannot make one that lasts longer than itself.",
        hint="Ask for an earlier end, or sign in with your password.",
    )


def bad_password(problem: str) -> Invalid:
    return Invalid(
        "user.bad_password",
        f"This cannot be the password: {problem}.",
        hint="Take several words that do not belong together; a password manager makes good ones.",
    )


def wrong_password() -> Invalid:
    return Invalid(
        "user.wrong_password",
        "The current password is another one.",
        hint="An administrator can reset it: `raven users reset-password NAME`.",
    )


def no_password(name: str) -> Conflict:
    return Conflict(
        "user.no_password",
        f"{name} signs in without a password.",
        hint="An administrator can give the account one: `raven users reset-password NAME`.",
        parameters={"name": name},
    )


def last_administrator(name: str) -> Conflict:
    return Conflict(
        "user.last_administrator",
        f"{name} is the last administrator.",
        hint="Give another active user the role Admin first.",
        parameters={"name": name},
    )


def own_account(verb: str) -> Conflict:
    return Conflict(
        "user.own_account",
        f"Nobody can {verb} the account that they are signed in with.",
        hint="Ask another administrator.",
    )


def builtin_role(name: str) -> Conflict:
    return Conflict(
        "role.builtin",
        f"The role {name!r} is built in.",
        hint="Create a role of your own with the claims that you need: raven roles create --help",
        parameters={"name": name},
    )


def role_in_use(name: str, users: list[str], count: int) -> Conflict:
    shown = ", ".join(users) + (f" and {count - len(users)} more" if count > len(users) else "")
    return Conflict(
        "role.in_use",
        f"Users have the role {name!r}: {shown}.",
        hint="Take it from them first, or say --force: then they lose it.",
        parameters={"name": name, "users": users, "count": count},
    )


def sign_in_failed() -> Unauthenticated:
    return Unauthenticated(
        "access.sign_in_failed",
        "The name or the password is wrong.",
        hint="Check both. An administrator can reset the password: `raven users reset-password NAME`.",
    )


def account_disabled() -> Unauthenticated:
    return Unauthenticated(
        "access.account_disabled",
        "This account is disabled.",
        hint="Ask an administrator to enable it.",
    )


def too_many_failures(wait_s: int) -> Throttled:
    return Throttled(
        "access.sign_in_throttled",
        f"Too many sign-ins have failed; the next try is possible in {wait_s} s.",
        hint="Wait; every further failure makes the wait longer. An administrator can reset the password.",
        parameters={"retry_after_s": wait_s},
    )


def token_wrong() -> Unauthenticated:
    return Unauthenticated(
        "access.token_wrong",
        "The token is not this server's.",
        hint="Sign in with `raven login`, or set RAVEN_TOKEN to a token of this server.",
    )


def token_ended(why: str) -> Unauthenticated:
    """`why`: `expired` or `revoked`."""
    return Unauthenticated(
        f"access.token_{why}",
        f"The token is {why}.",
        hint="Make another: `raven login`, or `raven tokens create`.",
    )


def session_ended() -> Unauthenticated:
    return Unauthenticated(
        "access.session_ended",
        "The session has ended.",
        hint="Sign in again.",
    )
