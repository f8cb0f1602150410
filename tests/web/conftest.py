"""A real server with the screens, a browser, and people who look at them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from pydantic import SecretStr
from sqlalchemy import URL
from tests.app.conftest import RAVEN, Process, sample_folder  # noqa: F401  # pyright: ignore[reportUnusedImport]
from tests.conftest import make_database

from raven_scan.access.sessions import Visitor
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings

PASSWORD = "correct horse battery staple 9"
CONTACT = "it@waste.example"
WEBHOOK_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LOAD_MS = 30_000
_CHROMIUM = shutil.which("chromium") or ""
_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
_QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@dataclass(frozen=True)
class Site:
    """A server that runs, and the platform that it serves, in this process too."""

    url: str
    platform: Platform
    process: Process

    def add_user(self, name: str, *roles: str) -> None:
        """With a password that lasts."""
        made = self.platform.users.create(LOCAL_ADMINISTRATOR, name=name, roles=list(roles))
        assert made.one_time_password is not None
        visitor = Visitor(address="", user_agent="")
        opened = self.platform.sessions.sign_in(name, made.one_time_password, visitor)
        self.platform.sessions.change_password(
            opened.actor, current=made.one_time_password, new=SecretStr(PASSWORD)
        )


@pytest.fixture(scope="module")
def site(
    server_url: URL,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    sample_folder: Path,  # noqa: F811
) -> Generator[Site]:
    """With the dataset `tiny`, and the user `vera` who may do everything."""
    folder = tmp_path_factory.mktemp("site")
    with make_database(server_url, template_database) as database_url:
        settings = Settings(home=folder / "home", database_url=SecretStr(database_url))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAVEN_")}
        environment |= {"RAVEN_HOME": str(settings.home), "RAVEN_DATABASE_URL": database_url}
        environment |= {"RAVEN_CONTACT": CONTACT, "RAVEN_WEBHOOK_SECRET": WEBHOOK_SECRET}
        out_path, err_path = folder / "server.out", folder / "server.err"
        with (
            build_platform(settings) as platform,
            out_path.open("wb") as out,
            err_path.open("wb") as err,
            subprocess.Popen(
                [RAVEN, "serve", "--no-worker", "--port", "0", "--json"],
                stdout=out,
                stderr=err,
                env=environment,
            ) as server,
        ):
            process = Process(server, out_path, err_path)
            try:
                url = process.wait_for_document()["server"]
                site = Site(url, platform, process)
                site.add_user("vera", "Admin")
                options = ImportOptions(name="tiny")
                platform.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, options, ignore_progress)
                yield site
            finally:
                server.terminate()
        failed = [line for line in process.err.splitlines() if msgspec.json.decode(line)["level"] == "error"]
        assert failed == []


@pytest.fixture(scope="session")
def browser() -> Generator[Browser]:
    """Debian's Chromium; CI has to have it."""
    if not _CHROMIUM:
        assert not os.environ.get("CI"), "CI has no Chromium"
        pytest.skip("Chromium is not installed: on Debian, apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=[*_OPTIONS, *_QUIET])
        yield browser
        browser.close()


@pytest.fixture
def open_context(browser: Browser, site: Site) -> Generator[Callable[..., BrowserContext]]:
    """A browser window of a user who is signed in, or with None of nobody; page errors fail the test."""
    contexts: list[BrowserContext] = []
    errors: list[str] = []

    def open_context(user: str | None = "vera", **options: object) -> BrowserContext:
        context = browser.new_context(base_url=site.url, timezone_id="Europe/Rome", locale="en-GB", **options)  # pyright: ignore[reportArgumentType]
        context.set_default_timeout(LOAD_MS)
        context.on("weberror", lambda error: errors.append(str(error.error)))
        contexts.append(context)
        if user is not None:
            answer = context.request.post("/api/v1/session", data={"name": user, "password": PASSWORD})
            assert answer.ok, answer.text()
        return context

    yield open_context
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def page(open_context: Callable[..., BrowserContext]) -> Page:
    """Of vera, who is signed in."""
    return open_context().new_page()
