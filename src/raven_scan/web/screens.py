"""The screens as an ASGI application: pages for who is signed in, the sign-in for who is not."""

import hashlib
from functools import cache, partial
from html import escape
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo, available_timezones

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader
from nicegui import ui
from nicegui.language import Language
from starlette.requests import HTTPConnection
from starlette.staticfiles import StaticFiles

from raven_scan.access.cookies import find_cookie
from raven_scan.access.passwords import SHORTEST_PASSWORD
from raven_scan.access.types import Actor
from raven_scan.kernel.errors import RavenError, Unavailable
from raven_scan.training_runs.events_wakeups import RunWaker
from raven_scan.web.live import Liveness
from raven_scan.web.pages import build_page
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts, choose_language, choose_territory
from raven_scan.web.viewer import Viewer, ask_in_thread

_FOLDER = Path(__file__).parent
_STATIC = _FOLDER / "static"
_ZONE_COOKIE = "raven_zone"
_LIGHT_COOKIE = "raven_light"
_IS_DARK = {"light": False, "dark": True}
"""What the user chose; else it is as the system has it."""


def build_screens(services: Services, waker: RunWaker, *, oidc_path: str | None) -> FastAPI:
    """The screens; once a process, since NiceGUI knows one application.

    Args:
        services: that they ask.
        waker: tells that runs have changed.
        oidc_path: where signing in elsewhere begins; None where there is no such way.
    """
    app = FastAPI(openapi_url=None)
    stamp = _make_stamp()
    liveness = Liveness(waker, services.run_events)
    templates = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True)

    @app.get("/sign-in")
    def show_sign_in(request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        texts = _choose_texts(request)
        contact = services.contact.find()
        shown = templates.get_template("sign_in.html").render(
            texts=texts, stamp=stamp, oidc=oidc_path, contact=contact, shortest=SHORTEST_PASSWORD
        )
        return HTMLResponse(shown, headers={"Cache-Control": "no-store"})

    # The address changes with the content, so that a browser may keep it for good.
    app.mount(f"/static/{stamp}", _KeptFiles(directory=_STATIC))

    async def show_page(request: Request) -> Response | None:
        recognise = partial(_recognise, services, request)
        try:
            actor = await ask_in_thread(recognise)
            actor.require_lasting_password()
        except Unavailable as error:
            return HTMLResponse(escape(error.message), status_code=503, headers={"Retry-After": "5"})
        except RavenError:
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/sign-in?next={quote(here)}", status_code=303)
        ui.add_head_html(
            f'<link rel="stylesheet" href="/static/{stamp}/theme.css">'
            f'<script src="/static/{stamp}/screens.js"></script>'
            f'<script src="/static/{stamp}/model_pictures.js"></script>'
            f'<script src="/static/{stamp}/uploads.js"></script>'
            f'<script src="/static/{stamp}/gallery.js"></script>'
            f'<script src="/static/{stamp}/runs.js"></script>'
            f'<script src="/static/{stamp}/run_form.js"></script>'
        )
        ui.context.client.page.dark = _IS_DARK.get(request.cookies.get(_LIGHT_COOKIE, ""))
        texts = _choose_texts(request)
        # A screen reader speaks it; NiceGUI knows English as America's.
        ui.context.client.page.language = cast(
            "Language", {"en": "en-US"}.get(texts.language, texts.language.replace("_", "-"))
        )
        viewer = Viewer(actor, recognise, texts, contact=services.contact)
        build_page(viewer, services, liveness, request.url.path)
        return None

    ui.run_with(  # pyright: ignore[reportUnknownMemberType] - NiceGUI's types are partly unknown
        app,
        root=show_page,
        title="Raven Scan",
        favicon=_STATIC / "raven.svg",
        dark=None,
        tailwind=False,
        reconnect_timeout=30,
        show_welcome_message=False,
        binding_refresh_interval=None,
    )
    return app


class _KeptFiles(StaticFiles):
    def file_response(self, *arguments: Any, **named: Any) -> Response:
        response = super().file_response(*arguments, **named)
        response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return response


def _recognise(services: Services, connection: HTTPConnection) -> Actor:
    services.contact.find()  # a refusal names it
    address = "" if connection.client is None else connection.client.host
    return services.authentication.authenticate_cookie(find_cookie(connection) or "", address=address)


def _choose_texts(request: Request) -> Texts:
    codes = (part.partition(";")[0].strip() for part in request.headers.get("accept-language", "").split(","))
    accepted = [code for code in codes if code]
    return Texts(choose_language(accepted), _get_zone(request), choose_territory(accepted))


def _get_zone(request: Request) -> ZoneInfo:
    """As the browser told it; what is no zone is UTC."""
    name = unquote(request.cookies.get(_ZONE_COOKIE, ""))
    return ZoneInfo(name if name in _list_zones() else "UTC")


@cache
def _list_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def _make_stamp() -> str:
    digest = hashlib.sha256()
    for path in sorted(_STATIC.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
