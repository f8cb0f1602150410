"""Whom subscriptions add to those that the settings name."""

from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.orm import Session

from raven_scan.access.directory import Account, AccountDirectory
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.settings import Settings
from raven_scan.notifications import subscription_repository as repository
from raven_scan.notifications.models import Subscription
from raven_scan.notifications.recipients import Recipient
from raven_scan.notifications.sealing import derive_signing_secret, open_address
from raven_scan.notifications.types import Channel, RunEnded, SubscribedEnds


class Subscribers:
    """Looks up who is to be told, as things stand at that moment.

    An account that is disabled, or may not see runs any more, is told nothing.
    """

    def __init__(self, accounts: AccountDirectory, settings: Settings) -> None:
        self._accounts = accounts
        self._settings = settings

    def list_for(self, actor: Actor, session: Session, run: RunEnded) -> list[Recipient]:
        """Whom to tell of the end of a run; several may reach the same address.

        Args:
            actor: needs `notification:send`.
            session: the transaction in which it ends.
            run: that has ended.
        """
        ends = SubscribedEnds.SUCCESS if run.status == "Success" else SubscribedEnds.ERROR
        found = repository.list_matching(session, run_id=run.id, created_by_id=run.created_by_id, ends=ends)
        accounts = self._accounts.list_able(actor, {each.user_id for each in found}, Claim.TRAINING_RUN_VIEW)
        recipients = [
            self.make_recipient(each, accounts[each.user_id]) for each in found if each.user_id in accounts
        ]
        return [each for each in recipients if each is not None]

    def find(self, actor: Actor, session: Session, subscription_id: UUID) -> Recipient | None:
        """Whom the subscription reaches now; None where it, its user or their claim is gone."""
        subscription = repository.find_subscription(session, subscription_id)
        if subscription is None or not subscription.is_active:
            return None
        accounts = self._accounts.list_able(actor, [subscription.user_id], Claim.TRAINING_RUN_VIEW)
        account = accounts.get(subscription.user_id)
        return None if account is None else self.make_recipient(subscription, account)

    def make_recipient(self, subscription: Subscription, account: Account) -> Recipient | None:
        """None where its address is not there any more, or cannot be read."""
        if subscription.channel == Channel.EMAIL:
            email = subscription.email or account.email
            if email is None:
                return None
            return Recipient(Channel.EMAIL, SecretStr(email), email, subscription.id)
        server_secret = self._settings.webhook_secret
        if server_secret is None or subscription.sealed_address is None:
            return None
        address = open_address(server_secret, subscription.sealed_address)
        if address is None:
            return None
        return Recipient(
            Channel.WEBHOOK,
            address,
            subscription.webhook_name or "",
            subscription.id,
            derive_signing_secret(server_secret, subscription.id),
        )
