"""The use cases of ending a subscription by the link in its mails, without signing in."""

from dataclasses import replace
from uuid import UUID

from raven_scan.access.audit import Target, record
from raven_scan.access.directory import AccountDirectory
from raven_scan.access.types import STRANGER
from raven_scan.kernel.database import Database
from raven_scan.notifications import errors
from raven_scan.notifications import subscription_repository as repository
from raven_scan.notifications.models import Subscription
from raven_scan.notifications.types import LinkedSubscription, SubscribedEnds, SubscribedRuns
from raven_scan.notifications.unsubscribe_links import UnsubscribeLinks

_VIA = "unsubscribe link"


class Unsubscribing:
    """Whoever shows a link may see which subscription it ends, and end it. Nobody is asked who they are."""

    def __init__(self, database: Database, links: UnsubscribeLinks) -> None:
        self._database = database
        self._links = links
        self._accounts = AccountDirectory(database)

    def find_subscription(self, token: str) -> LinkedSubscription | None:
        """What the link would end; None where that has ended already.

        Raises:
            NotFound: the link is not ours.
        """
        id_ = self._read(token)
        with self._database.reading() as session:
            subscription = repository.find_subscription(session, id_)
            return None if subscription is None else _describe(subscription)

    def unsubscribe(self, token: str, *, address: str) -> LinkedSubscription | None:
        """Ends it: nothing more is sent by it, not even what waits already.

        Args:
            token: of the link.
            address: the network address that asks for it.

        Returns:
            What was ended; None where it had ended already.

        Raises:
            NotFound: the link is not ours.
        """
        id_ = self._read(token)
        with self._database.transaction() as session:
            subscription = repository.find_subscription(session, id_, lock=True)
            if subscription is None:
                return None
            ended = _describe(subscription)
            user_name = self._accounts.get_name(session, subscription.user_id)
            record(
                session,
                replace(STRANGER, via=_VIA, address=address),
                "subscription.removed",
                Target("subscription", subscription.id, user_name),
                runs=ended.runs,
                run=ended.run,
                ends=ended.ends,
                channel=subscription.channel,
                is_active=subscription.is_active,
                recipient=ended.recipient,
            )
            session.delete(subscription)
            return ended

    def _read(self, token: str) -> UUID:
        id_ = self._links.find_subscription_id(token)
        if id_ is None:
            raise errors.bad_unsubscribe_link()
        return id_


def _describe(subscription: Subscription) -> LinkedSubscription:
    return LinkedSubscription(
        runs=SubscribedRuns(subscription.runs),
        run=subscription.run_name,
        ends=SubscribedEnds(subscription.ends),
        recipient=subscription.webhook_name or subscription.email,
    )
