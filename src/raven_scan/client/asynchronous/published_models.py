"""Published names, from outside: what detection asks for."""

from collections.abc import AsyncIterator

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.publishing.schemas import (
    HistoryPage,
    PublicationCheckOut,
    PublishedNameOut,
    PublishedNamePage,
    PublishedNameSummaryOut,
    PublishedVersionOut,
    PublishedVersionPage,
)

_PATH = "/api/v1/published-models"


class AsyncPublishedModelsClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def check(
        self, model: str, *, name: str | None = None, dataset: str | None = None
    ) -> PublicationCheckOut:
        """What publishing a model would find; changes nothing.

        Args:
            model: name or id.
            name: that it would be published as; None: its own.
            dataset: name@version whose test part it is judged on; None: the one that is frozen for the version in use,
                else its own.
        """
        path = f"/api/v1/trained-models/{quote_ref(model)}/publication-check"
        return PublicationCheckOut.model_validate(
            await self._connection.post(path, {"name": name, "dataset": dataset})
        )

    async def publish(
        self,
        model: str,
        *,
        name: str | None = None,
        notes: str = "",
        dataset: str | None = None,
        override: str | None = None,
    ) -> PublishedVersionOut:
        """Publishes a model as the next version of a name.

        Args:
            model: name or id.
            name: None: the model's own.
            notes: what is to be known of this version.
            dataset: as in `check`.
            override: why, although it does not meet the policy; needs `trained_model:override`.

        Raises:
            Conflict: it does not meet the policy; the requirements are in the parameters.
        """
        body = {"model": model, "name": name, "notes": notes, "dataset": dataset, "override": override}
        return PublishedVersionOut.model_validate(await self._connection.post(_PATH, body))

    async def list(
        self, *, limit: int | None = None, cursor: str | None = None, sort: str | None = None
    ) -> PublishedNamePage:
        """By name."""
        parameters = {"limit": limit, "cursor": cursor, "sort": sort}
        return PublishedNamePage.model_validate(await self._connection.get(_PATH, parameters))

    def iterate(self) -> AsyncIterator[PublishedNameSummaryOut]:
        """All names; a page is asked for when the one before is used up."""
        return self._connection.iterate(_PATH, PublishedNameSummaryOut.model_validate, {})

    async def get(self, ref: str) -> PublishedNameOut:
        """A name with its version in use."""
        return PublishedNameOut.model_validate(await self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    async def list_versions(
        self, ref: str, *, limit: int | None = None, cursor: str | None = None
    ) -> PublishedVersionPage:
        """Newest first."""
        answer = await self._connection.get(
            f"{_PATH}/{quote_ref(ref)}/versions", {"limit": limit, "cursor": cursor}
        )
        return PublishedVersionPage.model_validate(answer)

    async def list_history(
        self, ref: str, *, limit: int | None = None, cursor: str | None = None
    ) -> HistoryPage:
        """What became of a name, newest first."""
        answer = await self._connection.get(
            f"{_PATH}/{quote_ref(ref)}/history", {"limit": limit, "cursor": cursor}
        )
        return HistoryPage.model_validate(answer)

    async def withdraw(self, ref: str, *, reason: str) -> PublishedNameOut:
        """Withdraws NAME@N for good, or by NAME the version in use."""
        return PublishedNameOut.model_validate(
            await self._connection.post(f"{_PATH}/{quote_ref(ref)}/withdraw", {"reason": reason})
        )

    async def roll_back(
        self, ref: str, *, to: int | None = None, reason: str = "", recheck: bool = False
    ) -> PublishedNameOut:
        """Takes an earlier version into use again.

        Args:
            ref: name or id.
            to: the version; None: the last one before the one in use.
            reason: for the history.
            recheck: refuse it where its model does not meet today's policy, `max_regression` left out.
        """
        body = {"to": to, "reason": reason, "recheck": recheck}
        return PublishedNameOut.model_validate(
            await self._connection.post(f"{_PATH}/{quote_ref(ref)}/rollback", body)
        )
