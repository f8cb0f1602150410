# Made from asynchronous/published_models.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Published names, from outside: what detection asks for."""

from collections.abc import Iterator

from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
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


class PublishedModelsClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def check(
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
            self._connection.post(path, {"name": name, "dataset": dataset})
        )

    def publish(
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
        return PublishedVersionOut.model_validate(self._connection.post(_PATH, body))

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, sort: str | None = None
    ) -> PublishedNamePage:
        """By name."""
        parameters = {"limit": limit, "cursor": cursor, "sort": sort}
        return PublishedNamePage.model_validate(self._connection.get(_PATH, parameters))

    def iterate(self) -> Iterator[PublishedNameSummaryOut]:
        """All names; a page is asked for when the one before is used up."""
        return self._connection.iterate(_PATH, PublishedNameSummaryOut.model_validate, {})

    def get(self, ref: str) -> PublishedNameOut:
        """A name with its version in use."""
        return PublishedNameOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def list_versions(
        self, ref: str, *, limit: int | None = None, cursor: str | None = None
    ) -> PublishedVersionPage:
        """Newest first."""
        answer = self._connection.get(
            f"{_PATH}/{quote_ref(ref)}/versions", {"limit": limit, "cursor": cursor}
        )
        return PublishedVersionPage.model_validate(answer)

    def list_history(self, ref: str, *, limit: int | None = None, cursor: str | None = None) -> HistoryPage:
        """What became of a name, newest first."""
        answer = self._connection.get(f"{_PATH}/{quote_ref(ref)}/history", {"limit": limit, "cursor": cursor})
        return HistoryPage.model_validate(answer)

    def withdraw(self, ref: str, *, reason: str) -> PublishedNameOut:
        """Withdraws NAME@N for good, or by NAME the version in use."""
        return PublishedNameOut.model_validate(
            self._connection.post(f"{_PATH}/{quote_ref(ref)}/withdraw", {"reason": reason})
        )

    def roll_back(
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
            self._connection.post(f"{_PATH}/{quote_ref(ref)}/rollback", body)
        )
