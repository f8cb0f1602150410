"""A real server with the screens, a browser, and people who look at them."""

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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


_NO_FAULTS = frozenset(
    {
        # uvicorn says so of a browser that leaves while its connection is accepted.
        "ASGI callable returned without completing handshake.",
    }
)


@dataclass
class Site:
    """A server that runs, and the platform that it serves, in this process too.

    Attributes:
        folder: for what the server prints.
        command: how it is started; its port is that of `url` once it is known.
        process: the last one.
    """

    platform: Platform
    folder: Path
    command: Sequence[str | Path]
    environment: Mapping[str, str]
    url: str = ""
    processes: list[Process] = field(default_factory=list[Process])

    @property
    def process(self) -> Process:
        return self.processes[-1]

    def start(self) -> None:
        """At the address that it had before, if it had one."""
        number, port = len(self.processes), self.url.rpartition(":")[2] or "0"
        out_path, err_path = self.folder / f"server-{number}.out", self.folder / f"server-{number}.err"
        with out_path.open("wb") as out, err_path.open("wb") as err:
            popen = subprocess.Popen(
                [*self.command, "--port", port, "--json"], stdout=out, stderr=err, env=self.environment
            )
        self.processes.append(Process(popen, out_path, err_path))
        document = self.process.wait_for_document()
        assert "server" in document, f"{document}\n{self.process.err}"
        self.url = document["server"]

    def list_errors(self) -> list[str]:
        """What the servers logged as errors, or said without that translators know it."""
        lines = [line for process in self.processes for line in process.err.splitlines()]
        told = [(line, msgspec.json.decode(line)) for line in lines]
        return [
            line
            for line, entry in told
            if entry["event"] == "texts.not_gathered"
            or (entry["level"] == "error" and entry["event"] not in _NO_FAULTS)
        ]

    def add_user(self, name: str, *roles: str) -> None:
        """With a password that lasts."""
        made = self.platform.users.create(LOCAL_ADMINISTRATOR, name=name, roles=list(roles))
        assert made.one_time_password is not None
        visitor = Visitor(address="", user_agent="")
        opened = self.platform.sessions.sign_in(name, made.one_time_password, visitor)
        self.platform.sessions.change_password(
            opened.actor, current=made.one_time_password, new=SecretStr(PASSWORD)
        )


@contextmanager
def open_site(
    server_url: URL, template_database: str, folder: Path, *command: str | Path, **environment: str
) -> Generator[Site]:
    """With the user `vera` who may do everything. `command`: `raven serve` without a worker, where none is given."""
    with make_database(server_url, template_database) as database_url:
        settings = Settings(home=folder / "home", database_url=SecretStr(database_url))
        of_server = {name: value for name, value in os.environ.items() if not name.startswith("RAVEN_")}
        of_server |= {"RAVEN_HOME": str(settings.home), "RAVEN_DATABASE_URL": database_url}
        of_server |= {"RAVEN_CONTACT": CONTACT, "RAVEN_WEBHOOK_SECRET": WEBHOOK_SECRET} | environment
        with build_platform(settings) as platform:
            site = Site(platform, folder, command or (RAVEN, "serve", "--no-worker"), of_server)
            try:
                site.start()
                site.add_user("vera", "Admin")
                yield site
            finally:
                site.process.end()
        assert site.list_errors() == []


@pytest.fixture(scope="module")
def site(
    server_url: URL,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    sample_folder: Path,  # noqa: F811
) -> Generator[Site]:
    """With the dataset `tiny`."""
    with open_site(server_url, template_database, tmp_path_factory.mktemp("site")) as site:
        options = ImportOptions(name="tiny")
        site.platform.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, options, ignore_progress)
        yield site


# Not of the whole session: as long as it is open, its event loop runs in this thread, and no other test may run one.
@pytest.fixture(scope="module")
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
