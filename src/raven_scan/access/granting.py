"""Nobody comes by claims that they do not have through others: not by giving them away, not by another's account."""

from collections.abc import Collection
from uuid import UUID

from raven_scan.access.errors import claims_beyond_own, limited_credential, no_account
from raven_scan.access.types import (
    LOCAL_ADMINISTRATOR,
    STRANGER,
    WORKER,
    Actor,
    Claim,
    Credential,
    CredentialKind,
)

_WITHOUT_ACCOUNT = frozenset({LOCAL_ADMINISTRATOR.id, WORKER.id, STRANGER.id})


def require_claims(actor: Actor, claims: Collection[Claim]) -> None:
    """Refuses to hand out, or to decide about who has, what the actor has not. Raises Forbidden."""
    beyond = set(claims) - actor.claims
    if beyond:
        raise claims_beyond_own(beyond)


def has_account(actor: Actor) -> bool:
    return actor.id not in _WITHOUT_ACCOUNT


def require_account(actor: Actor) -> UUID:
    """The id of the actor's user. Raises Forbidden for actors without an account."""
    if not has_account(actor):
        raise no_account(actor.name)
    return actor.id


def require_whole_account(actor: Actor) -> UUID:
    """As `require_account`; refuses a token with claims of its own too, which is for a machine, not its owner."""
    user_id = require_account(actor)
    if actor.credential is not None and actor.credential.is_limited:
        raise limited_credential()
    return user_id


def find_token_of(actor: Actor) -> Credential | None:
    """The API token that the actor came with."""
    credential = actor.credential
    return credential if credential is not None and credential.kind is CredentialKind.TOKEN else None
