"""Who looks at a page, and how a page asks for something."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from html import escape
from typing import Any, Concatenate, ParamSpec, TypeVar

import anyio
import structlog
from anyio import to_thread
from nicegui import ui
from sqlalchemy.exc import InterfaceError, OperationalError

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.database import describe_database_loss
from raven_scan.kernel.errors import ErrorKind, RavenError, Unauthenticated
from raven_scan.kernel.long_work import describe_unexpected
from raven_scan.platform_settings.contact import CurrentContact
from raven_scan.web.hints import name_screens
from raven_scan.web.texts import Texts

P = ParamSpec("P")
T = TypeVar("T")

_QUESTIONS_AT_ONCE = 6
"""However many pages are open: of the threads and the database's connections, most are for the API."""

_BEYOND_USERS = frozenset({ErrorKind.FORBIDDEN, ErrorKind.UNAVAILABLE, ErrorKind.DAMAGED})
"""Kinds of errors that an administrator has to mend."""

_log = structlog.get_logger(__name__)
_places = anyio.CapacityLimiter(_QUESTIONS_AT_ONCE)


class Viewer:
    """The signed-in user of one open page.

    Args:
        actor: as the page's request was recognised.
        recognise: who the page's session belongs to now, with the claims they have now.
        texts: in the user's language.
        contact: whom users turn to who cannot help themselves; `recognise` reads it anew where that is due.
    """

    def __init__(
        self,
        actor: Actor,
        recognise: Callable[[], Actor],
        texts: Texts,
        *,
        contact: CurrentContact | None = None,
    ) -> None:
        self.actor = actor
        self.texts = texts
        self._contact = contact
        self._recognise = recognise

    def may(self, claim: Claim) -> bool:
        """Whether to show what needs the claim. The service checks it all the same."""
        return self.actor.may(claim)

    async def ask(
        self, use_case: Callable[Concatenate[Actor, P], T], *arguments: P.args, **named: P.kwargs
    ) -> T:
        """What a service answers to this user, who is recognised anew: a session that has ended ends its pages.

        Raises:
            RavenError: the service's refusal, `Unauthenticated` where the session has ended.
        """

        def ask() -> T:
            self.actor = self._recognise()
            return use_case(self.actor, *arguments, **named)

        return await ask_in_thread(ask)

    async def recognise(self) -> Actor:
        """Who looks, with the claims they have now. Raises Unauthenticated: the session has ended."""
        return await self.ask(lambda actor: actor)

    @asynccontextmanager
    async def telling_errors(self) -> AsyncGenerator[None]:
        """What is refused within is told in the page's corner; an ended session leads to the sign-in."""
        try:
            yield
        except RavenError as error:
            self.tell(error)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - a page must not go silent
            _log.exception("screen.failed")
            described = describe_unexpected(error)
            self.notify(str(described["message"]), self._add_contact(str(described["hint"])), kind="negative")

    def tell(self, error: RavenError) -> None:
        if isinstance(error, Unauthenticated):
            ui.run_javascript("ravenSignIn()")
            return
        self.notify(error.message, self.describe_hint(error), kind="negative")

    def describe_hint(self, error: RavenError) -> str:
        """What to do about an error, on screens; with whom to ask where the user cannot mend it."""
        hint = name_screens(error.hint, self.texts)
        return self._add_contact(hint) if error.kind in _BEYOND_USERS else hint

    def draw_error(self, error: RavenError, *, kind: str = "warn") -> str:
        """As HTML, where it stays; `kind`: `bad` for what was to be done and was not."""
        return (
            f'<div class="notice {kind}"{" role=alert" if kind == "bad" else ""}><b>{escape(error.message)}</b><br>'
            f"{escape(self.describe_hint(error))}</div>"
        )

    def _add_contact(self, hint: str) -> str:
        contact = self._find_contact()
        return f"{hint} {self.texts('Ask {contact}.', contact=contact)}".strip() if contact else hint

    def offer_contact(self, hint: str) -> str:
        """A hint, and whom to ask if it does not help."""
        contact = self._find_contact()
        if contact is None:
            return hint
        said = self.texts("If that does not help, ask {contact}.", contact=contact)
        return f"{hint} {said}".strip()

    def _find_contact(self) -> str | None:
        return None if self._contact is None else self._contact.known

    def close_refusals(self) -> None:
        """Takes away what was told of refusals."""
        ui.run_javascript("ravenCloseRefusals()")

    def notify(self, message: str, hint: str = "", *, kind: str = "positive") -> None:
        """Says something in the page's corner; a screen reader reads it aloud."""
        ui.notify(
            message,
            caption=hint or None,
            type=kind,  # pyright: ignore[reportArgumentType]
            multi_line=bool(hint),
            close_button=self.texts("Close"),
            timeout=0 if kind == "negative" else 5000,
        )


async def ask_in_thread(question: Callable[[], T]) -> T:
    """What services answer, when one of the screens' turns is free. Raises Unavailable: the database is away."""
    try:
        return await to_thread.run_sync(question, limiter=_places)
    except (OperationalError, InterfaceError) as error:
        _log.error("database.unavailable", cause=str(error.orig))
        raise describe_database_loss() from error


def as_handler(viewer: Viewer, act: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[None]]:
    """A button's action whose refusals are told."""

    async def handle(*arguments: Any) -> None:
        # Not inside what was pressed: that may be built anew, or left, before the action is through.
        with ui.context.client.content:
            viewer.close_refusals()
            async with viewer.telling_errors():
                await act(*arguments)

    return handle


def as_refresh(viewer: Viewer, refresh: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[None]]:
    """What a timer calls: a refusal is told once, and taken away when it is mended."""
    told: str | None = None

    async def handle() -> None:
        nonlocal told
        async with viewer.telling_errors():
            try:
                await refresh()
            except RavenError as error:
                is_known, told = error.code == told, error.code
                if not is_known:
                    raise
            else:
                if told is not None:
                    viewer.close_refusals()
                told = None

    return handle
