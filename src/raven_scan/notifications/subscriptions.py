"""The use cases of subscriptions: which runs' ends a user wants to hear of, and how."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.directory import Account
from raven_scan.access.granting import has_account
from raven_scan.access.signing import ServerSigner
from raven_scan.access.types import Actor, Claim
from raven_scan.access.users import UserService
from raven_scan.kernel.addresses import check_web_address, read_email_address
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.revisions import check_revision
from raven_scan.kernel.settings import Settings
from raven_scan.notifications import errors
from raven_scan.notifications import subscription_repository as repository
from raven_scan.notifications.models import Subscription
from raven_scan.notifications.recipients import Recipient, name_webhook
from raven_scan.notifications.sealing import derive_signing_secret, seal_address
from raven_scan.notifications.sending import Messenger, Try
from raven_scan.notifications.smtp import find_mail_server
from raven_scan.notifications.subscribers import Subscribers
from raven_scan.notifications.types import (
    Channel,
    NamedRun,
    NewSubscription,
    SubscribedEnds,
    SubscribedRuns,
    SubscriptionView,
    TestResult,
)
from raven_scan.notifications.unsubscribe_links import UnsubscribeLinks
from raven_scan.notifications.wording import describe_test

MOST_SUBSCRIPTIONS = 100
"""Of one account."""

_LONGEST_ADDRESS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody asks to hear of.

    Attributes:
        run: name or id; given alone where one run is meant.
        email: None for the account's own address.
        webhook: an address; given, it is no e-mail.
        user: name or id of somebody else.
    """

    runs: SubscribedRuns = SubscribedRuns.MINE
    run: str | None = None
    ends: SubscribedEnds = SubscribedEnds.BOTH
    email: str | None = None
    webhook: SecretStr | None = None
    user: str | None = None


class SubscriptionService:
    """Everybody looks after their own subscriptions; who may edit users, after everybody's.

    Args:
        find_run: answers the run of a name or id that the actor may see; raises NotFound.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        clock: Clock,
        *,
        users: UserService,
        subscribers: Subscribers,
        find_run: Callable[[Actor, str], NamedRun],
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._users = users
        self._subscribers = subscribers
        self._find_run = find_run
        links = UnsubscribeLinks(ServerSigner(database), settings.public_url)
        self._messenger = Messenger(settings, clock, links)

    def subscribe(self, actor: Actor, wish: Wish) -> NewSubscription:
        """Has a user told of the ends of runs from now on.

        Args:
            actor: needs `training_run:view`; for somebody else `user:edit` too.
            wish: of what, and how.

        Raises:
            Invalid: the address, or one of a private network.
            NotFound: the run, or the user.
            Forbidden: the actor has no account, or may not subscribe others.
            Conflict: the server sends nothing by that channel, or there are too many already.
        """
        actor.require(Claim.TRAINING_RUN_VIEW)
        account = self._find_account(actor, wish.user)
        run = None if wish.run is None else self._find_run(actor, wish.run)
        id_ = make_id()
        channel = Channel.EMAIL if wish.webhook is None else Channel.WEBHOOK
        sealed = secret = webhook_name = None
        if wish.webhook is not None:
            server_secret = self._settings.webhook_secret
            if server_secret is None:
                raise errors.channel_not_set_up("webhook", "RAVEN_WEBHOOK_SECRET")
            self._check_webhook(wish.webhook)
            sealed = seal_address(server_secret, wish.webhook)
            secret = derive_signing_secret(server_secret, id_)
            webhook_name = name_webhook(wish.webhook)
        else:
            self._check_email(wish.email, account)
        with self._database.transaction() as session:
            if repository.count_subscriptions(session, account.id) >= MOST_SUBSCRIPTIONS:
                raise errors.too_many(MOST_SUBSCRIPTIONS)
            subscription = repository.insert_subscription(
                session,
                {
                    "id": id_,
                    "user_id": account.id,
                    "runs": wish.runs if run is None else SubscribedRuns.ONE,
                    "run_id": None if run is None else run.id,
                    "run_name": None if run is None else run.name,
                    "ends": wish.ends,
                    "channel": channel,
                    "email": wish.email,
                    "webhook_name": webhook_name,
                    "sealed_address": sealed,
                },
            )
            self._record(session, actor, "created", subscription, account)
            return NewSubscription(_make_view(subscription, account), secret)

    def list_subscriptions(
        self, actor: Actor, page: PageRequest, *, user: str | None = None, of_all: bool = False
    ) -> Page[SubscriptionView]:
        """Newest first.

        Args:
            actor: needs `training_run:view`; for others' `user:edit`.
            page: which.
            user: name or id of somebody else.
            of_all: of every user.
        """
        actor.require(Claim.TRAINING_RUN_VIEW)
        user_id = None
        if of_all:
            actor.require(Claim.USER_EDIT)
        elif user is None and not has_account(actor):
            return Page([], None)
        else:
            user_id = self._find_account(actor, user).id
        with self._database.reading() as session:
            found = repository.list_subscriptions(session, page, user_id)
            items = [_make_view(each, self._get_owner(actor, each)) for each in found.items]
        return Page(items, found.next)

    def get_subscription(self, actor: Actor, id_: UUID) -> SubscriptionView:
        """Raises NotFound where it is not there, or somebody else's."""
        with self._database.reading() as session:
            subscription, account = self._get(actor, session, id_)
            return _make_view(subscription, account)

    def edit(
        self,
        actor: Actor,
        id_: UUID,
        *,
        is_active: bool | None = None,
        ends: SubscribedEnds | None = None,
        expected_revision: int | None = None,
    ) -> SubscriptionView:
        """Lets it rest or wakes it up, or changes of which ends it tells; what is None stays.

        Raises:
            Stale: it has not the expected revision.
        """
        with self._database.transaction() as session:
            subscription, account = self._get(actor, session, id_, lock=True)
            check_revision("subscription", "The subscription", subscription.revision, expected_revision)
            if is_active is not None:
                subscription.is_active = is_active
            if ends is not None:
                subscription.ends = ends
            subscription.revision += 1
            session.flush()
            self._record(session, actor, "edited", subscription, account)
            return _make_view(subscription, account)

    def unsubscribe(self, actor: Actor, id_: UUID) -> None:
        """Nothing more is sent by it, not even what waits already."""
        with self._database.transaction() as session:
            subscription, account = self._get(actor, session, id_, lock=True)
            self._record(session, actor, "removed", subscription, account)
            session.delete(subscription)

    def send_test(self, actor: Actor, id_: UUID) -> TestResult:
        """Sends a test message, and waits for the result."""
        with self._database.transaction() as session:
            subscription, account = self._get(actor, session, id_)
            recipient = self._subscribers.make_recipient(subscription, account)
            self._record(session, actor, "tested", subscription, account)
        if recipient is None:
            return TestResult(
                Channel(subscription.channel),
                subscription.webhook_name or "",
                is_sent=False,
                reason="Its address is not there any more, or was stored under another RAVEN_WEBHOOK_SECRET.",
            )
        return self._send_test(actor, recipient)

    def _send_test(self, actor: Actor, recipient: Recipient) -> TestResult:
        message = describe_test(make_id(), self._clock.now(), sender=actor.name)
        outcome = Try(lambda: self._messenger.send(recipient, message)).wait()
        assert outcome is not None  # noqa: S101 - nothing stops it
        return TestResult(recipient.channel, recipient.name, outcome.is_sent, outcome.reason)

    def _find_account(self, actor: Actor, user: str | None) -> Account:
        if user is None:
            if not has_account(actor):
                raise errors.no_account(actor.name)
            user = str(actor.id)
        view = self._users.get_user(actor, user)
        if view.id != actor.id and not actor.may(Claim.USER_EDIT):
            raise errors.others_account()
        return Account(view.id, view.name, view.email)

    def _get(
        self, actor: Actor, session: Session, id_: UUID, *, lock: bool = False
    ) -> tuple[Subscription, Account]:
        actor.require_lasting_password()
        subscription = repository.find_subscription(session, id_, lock=lock)
        is_own = subscription is not None and subscription.user_id == actor.id
        if subscription is None or not (is_own or actor.may(Claim.USER_EDIT)):
            raise errors.subscription_not_found(id_)
        actor.require(Claim.TRAINING_RUN_VIEW)
        return subscription, self._get_owner(actor, subscription)

    def _get_owner(self, actor: Actor, subscription: Subscription) -> Account:
        view = self._users.get_user(actor, str(subscription.user_id))
        return Account(view.id, view.name, view.email)

    def _check_email(self, email: str | None, account: Account) -> None:
        if find_mail_server(self._settings) is None:
            raise errors.channel_not_set_up("e-mail", "RAVEN_SMTP_HOST and RAVEN_SMTP_SENDER")
        if email is None:
            if account.email is None:
                raise errors.no_email(account.name)
            return
        try:
            read_email_address(email)
        except ValueError as error:
            raise errors.bad_address(str(error)) from None

    def _check_webhook(self, webhook: SecretStr) -> None:
        address = webhook.get_secret_value()
        try:
            check_web_address(address)
        except ValueError as error:
            raise errors.bad_address(str(error)) from None
        parts = urlsplit(address)
        if len(address) > _LONGEST_ADDRESS:
            raise errors.bad_address(f"has more than {_LONGEST_ADDRESS} characters")
        if "@" in parts.netloc:
            raise errors.bad_address("has a name and password before its host")
        if self._settings.allow_private_webhooks:
            return
        from raven_scan.notifications.public_network import (  # noqa: PLC0415 - it brings HTTP along
            PrivateAddressError,
            find_public_address,
        )

        try:
            find_public_address(parts.hostname or "", parts.port or 443)
        except PrivateAddressError:
            raise errors.private_address() from None
        except (OSError, UnicodeError):
            raise errors.bad_address("has a host name that leads nowhere") from None

    def _record(
        self, session: Session, actor: Actor, verb: str, subscription: Subscription, account: Account
    ) -> None:
        target = Target("subscription", subscription.id, account.name)
        record(
            session,
            actor,
            f"subscription.{verb}",
            target,
            runs=subscription.runs,
            run=subscription.run_name,
            ends=subscription.ends,
            channel=subscription.channel,
            is_active=subscription.is_active,
            recipient=subscription.webhook_name or subscription.email,
        )


def _make_view(subscription: Subscription, account: Account) -> SubscriptionView:
    run = None
    if subscription.run_id is not None and subscription.run_name is not None:
        run = NamedRun(subscription.run_id, subscription.run_name)
    is_own_email = subscription.channel == Channel.EMAIL and subscription.email is None
    return SubscriptionView(
        id=subscription.id,
        user=account.name,
        runs=SubscribedRuns(subscription.runs),
        run=run,
        ends=SubscribedEnds(subscription.ends),
        channel=Channel(subscription.channel),
        recipient=subscription.webhook_name or subscription.email or account.email or "",
        is_own_email=is_own_email,
        is_active=subscription.is_active,
        created_at=subscription.created_at,
        revision=subscription.revision,
    )
