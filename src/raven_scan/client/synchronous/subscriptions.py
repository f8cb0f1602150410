# Made from asynchronous/subscriptions.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Subscriptions, from outside: which runs' ends a user wants to hear of, and how."""

from typing import Any

from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
from raven_scan.notifications.schemas import (
    NewSubscriptionOut,
    SubscriptionOut,
    SubscriptionPage,
    TestResultOut,
    UnsubscriptionOut,
)

_PATH = "/api/v1/subscriptions"
_UNSUBSCRIBE_PATH = "/api/v1/unsubscribe"


class SubscriptionsClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        user: str | None = None,
        of_all: bool = False,
    ) -> SubscriptionPage:
        """Your own, newest first; `user` and `of_all` are for who may edit users."""
        parameters = {
            "limit": limit,
            "cursor": cursor,
            "user": user,
            "of_all": "true" if of_all else None,
        }
        return SubscriptionPage.model_validate(self._connection.get(_PATH, parameters))

    def create(
        self,
        *,
        runs: str = "mine",
        run: str | None = None,
        ends: str = "both",
        email: str | None = None,
        webhook: str | None = None,
        user: str | None = None,
    ) -> NewSubscriptionOut:
        """Subscribes to the ends of runs.

        Args:
            runs: all, mine, or one.
            run: name or id of the one.
            ends: success, error or both.
            email: where to; None for the account's own address.
            webhook: an address that gets a signed POST instead.
            user: somebody else, for who may edit users.
        """
        content: dict[str, Any] = {
            "runs": runs,
            "run": run,
            "ends": ends,
            "email": email,
            "webhook": webhook,
            "user": user,
        }
        return NewSubscriptionOut.model_validate(self._connection.post(_PATH, content))

    def get(self, subscription_id: str) -> SubscriptionOut:
        return SubscriptionOut.model_validate(self._connection.get(_make_path(subscription_id)))

    def edit(
        self,
        subscription_id: str,
        *,
        is_active: bool | None = None,
        ends: str | None = None,
        revision: int | None = None,
    ) -> SubscriptionOut:
        """Lets it rest or wakes it up, or changes of which ends it tells.

        Args:
            subscription_id: of it.
            is_active: False lets it rest.
            ends: success, error or both.
            revision: that was read; what was changed since is refused.
        """
        changes = {"is_active": is_active, "ends": ends}
        return SubscriptionOut.model_validate(
            self._connection.edit(_make_path(subscription_id), changes, revision=revision)
        )

    def delete(self, subscription_id: str) -> None:
        """Nothing more is sent by it."""
        self._connection.delete(_make_path(subscription_id))

    def send_test(self, subscription_id: str) -> TestResultOut:
        """Sends a test message; tells how it fared."""
        return TestResultOut.model_validate(self._connection.post(f"{_make_path(subscription_id)}/test"))

    def find_linked(self, token: str) -> UnsubscriptionOut:
        """What the link in a mail would end; `token`: the link's. Needs no sign-in."""
        return UnsubscriptionOut.model_validate(self._connection.get(_UNSUBSCRIBE_PATH, {"token": token}))

    def unsubscribe(self, token: str) -> UnsubscriptionOut:
        """Ends the subscription of the link in a mail; once more changes nothing. Needs no sign-in."""
        return UnsubscriptionOut.model_validate(
            self._connection.post(_UNSUBSCRIBE_PATH, parameters={"token": token})
        )


def _make_path(subscription_id: str) -> str:
    return f"{_PATH}/{quote_ref(subscription_id)}"
