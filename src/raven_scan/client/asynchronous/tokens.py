"""API tokens, from outside."""

from collections.abc import Sequence
from datetime import timedelta

from raven_scan.access.schemas import MintedTokenOut, TokenOut, TokenPage
from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection

_PATH = "/api/v1/tokens"


class AsyncTokensClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def create(
        self,
        *,
        name: str,
        user: str | None = None,
        claims: Sequence[str] | None = None,
        expires_in: timedelta | None = None,
    ) -> MintedTokenOut:
        """Makes a token; it is told this once.

        Args:
            name: tells it from others.
            user: whose it is; None: one's own.
            claims: that it has at most; None: all of its user's.
            expires_in: how long it is valid; None: until it is revoked.
        """
        body = {
            "name": name,
            "user": user,
            "claims": None if claims is None else list(claims),
            "expires_in_s": None if expires_in is None else max(1, round(expires_in.total_seconds())),
        }
        # No key: what is kept for repeating an answer must not hold a token.
        return MintedTokenOut.model_validate(await self._connection.post(_PATH, body, has_key=False))

    async def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        sort: str | None = None,
        user: str | None = None,
        ended: bool = False,
    ) -> TokenPage:
        """Newest first; `ended`: those too that open nothing any more."""
        parameters = {
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "user": user,
            "ended": str(ended).lower(),
        }
        return TokenPage.model_validate(await self._connection.get(_PATH, parameters))

    async def get(self, token_id: str) -> TokenOut:
        return TokenOut.model_validate(await self._connection.get(f"{_PATH}/{quote_ref(token_id)}"))

    async def revoke(self, token_id: str) -> None:
        """Ends it at once and for good."""
        await self._connection.delete(f"{_PATH}/{quote_ref(token_id)}")
