"""How quick the screens are with two years of work in the database, in a real browser, and what open pages cost.

The database is the one of `benchmarks/api.py` (100,000 runs, 10,000 models, 20 million metric points), kept in --home.
A real `raven serve` answers. Debian's Chromium opens screens and follows links, on the same cores. The pages that stay
open are clients without a browser, which keep the same connections: fifty browsers would measure themselves.

Log on standard error; on standard output a table, or one JSON object with --json.
"""

import argparse
import asyncio
import json
import os
import re
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import platformdirs
import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from pydantic import SecretStr

from api import run_server
from api_content import Amounts
from api_filling import fill
from overhead import describe_machine
from raven_scan.access.sessions import Visitor
from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.types import MetricPoint, RunFilter, RunProgress, RunStatus

_USER, _PASSWORD = "benchmark-viewer", "correct horse battery staple 9"
_CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_REPEATS = 7
_PAGES = 50
_OPEN_S = 20.0
_FIRST_STEP = 100_000
_GOALS = {
    "first view, s": 1.5,
    "change of screen, s": 0.3,
    "event until shown, s": 0.5,
    "fifty pages, cores": 0.5,
    "fifty overviews, cores": 0.5,
    "memory a page, MB": 5.0,
}
_SCREENS = {
    "Overview": "main table.list tbody tr",
    "Training runs": "table.list tbody tr",
    "Trained models": "table.list tbody tr",
    "Datasets": "main a[href^='/datasets/']",
    "Queue": "main table.list tbody tr",
}
_DETAILS = {
    "a model": ("/trained-models?origin=trained", "table.list a[href^='/trained-models/']", "dl.facts"),
    "a dataset": ("/datasets", "table.list a[href^='/datasets/']", "dl.facts"),
    "a new run's form": ("/", "a[href='/training-runs/new']", "main input"),
}
"""Where a screen is come from, the link that leads to it, and what it shows then."""
_CLIENT_ID = re.compile(r"client_id['\"&quot;: ]+([0-9a-f-]{36})")


def main() -> None:
    arguments = _parse_arguments()
    for name in [name for name in os.environ if name.startswith("RAVEN_")]:
        del os.environ[name]
    home = arguments.home / "full"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = Settings(home=home)
    fill(settings, Amounts())
    with build_platform(settings) as platform:
        _add_user(platform)
        attempts = _take_runs(platform)
        with run_server(settings) as (base_url, server):
            measured = _measure_browser(base_url, platform, attempts[0])
            measured |= asyncio.run(_measure_pages(base_url, server, platform, attempts))
    result = {
        "benchmark": "web",
        "machine": describe_machine(),
        "measured": measured,
        "goals": {name: measured[name] < goal for name, goal in _GOALS.items()},
    }
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in measured.items():
        goal = f"  (goal: below {_GOALS[name]})" if name in _GOALS else ""
        print(f"{name:40} {value if isinstance(value, dict) else round(value, 3)}{goal}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--home",
        type=Path,
        default=Path(platformdirs.user_cache_dir("raven-scan")) / "benchmark-api",
        help="where the content is kept; the same as of benchmarks/api.py",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser.parse_args()


def _add_user(platform: Platform) -> None:
    try:
        made = platform.users.create(LOCAL_ADMINISTRATOR, name=_USER, roles=["Admin"])
    except Conflict:
        return  # of an earlier time
    assert made.one_time_password is not None
    opened = platform.sessions.sign_in(_USER, made.one_time_password, Visitor(address="", user_agent=""))
    platform.sessions.change_password(opened.actor, current=made.one_time_password, new=SecretStr(_PASSWORD))


def _take_runs(platform: Platform) -> list[Attempt]:
    """Runs that are executed, as their worker would know them."""
    wanted = RunFilter(statuses=(RunStatus.PROCESSING,))
    found = platform.training_runs.list_runs(WORKER, PageRequest(limit=_PAGES), wanted).items
    return [
        Attempt(
            run_id=run.id,
            run_name=run.name,
            fence=run.attempt_count,
            devices=["cpu"],
            is_dry_run=False,
            dataset_version_id=run.dataset_version.id,
            base_model_id=run.base_model.id,
            architecture=run.architecture,
            parameters=TrainingParameters(),
            checkpoints=[],
            warnings=[],
            time_limit_s=None,
            spent_s=0.0,
            log_size_bytes=0,
        )
        for run in found
    ]


class _Teller:
    """Tells of steps as a worker does, each after the one before."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._steps: dict[UUID, int] = {}

    def tell(self, attempt: Attempt) -> int:
        step = self._steps.get(attempt.run_id, _FIRST_STEP) + 1
        self._steps[attempt.run_id] = step
        progress = RunProgress(
            phase="training", epoch=2, epochs=20, step=step, steps=200_000, loss=0.5, memory_mb=2210.0
        )
        line = f"epoch 3 step {step:6} loss 0.5000 lr 0.000400\n".encode()
        names = ("loss", "loss/loss_cls", "loss/loss_bbox", "learning_rate", "step_time_s", "memory_mb")
        self._platform.execution.record(
            WORKER,
            attempt,
            progress=progress,
            points=[MetricPoint(name, step, 2, 0.5) for name in names],
            warnings=[],
            best=None,
            checkpoint=None,
            log=line,
            log_position=(step - _FIRST_STEP - 1) * len(line),
        )
        return step


def _measure_browser(base_url: str, platform: Platform, attempt: Attempt) -> dict[str, Any]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_CHROMIUM)
        first = [_time_first_view(browser, base_url) for _ in range(_REPEATS)]
        with _open_page(browser, base_url) as page:
            changes = _time_changes(page)
            changes["a run"] = _time_run(page, attempt)
            changes |= {name: _time_detail(page, *detail) for name, detail in _DETAILS.items()}
            shown = _time_events(page, platform, attempt)
        browser.close()
    medians = {name: statistics.median(values) for name, values in changes.items()}
    return {
        "first view, s": statistics.median(first),
        "change of screen, s": max(medians.values()),
        "changes of screens, s": medians,
        "event until shown, s": max(shown),
        "event until shown, median, s": statistics.median(shown),
    }


@contextmanager
def _open_page(browser: Browser, base_url: str) -> Generator[Page]:
    """Of somebody who is signed in, in a browser that has never been here."""
    context = browser.new_context(base_url=base_url, viewport={"width": 1366, "height": 850})
    try:
        answer = context.request.post("/api/v1/session", data={"name": _USER, "password": _PASSWORD})
        assert answer.ok, answer.text()
        yield context.new_page()
    finally:
        context.close()


def _time_first_view(browser: Browser, base_url: str) -> float:
    with _open_page(browser, base_url) as page:
        begun = time.perf_counter()
        page.goto("/training-runs", wait_until="commit")
        page.wait_for_selector("table.list tbody tr")
        return time.perf_counter() - begun


def _time_changes(page: Page) -> dict[str, list[float]]:
    page.goto("/")
    page.wait_for_selector("table.list tbody tr")
    taken: dict[str, list[float]] = {name: [] for name in _SCREENS}
    for _ in range(_REPEATS):
        for name in [*list(_SCREENS)[1:], next(iter(_SCREENS))]:
            heading = f"main:has(h1:text-is('{name}'))"
            begun = time.perf_counter()
            page.get_by_role("link", name=name, exact=True).first.click()
            page.wait_for_selector(f"{heading} {_SCREENS[name].removeprefix('main ')}")
            taken[name].append(time.perf_counter() - begun)
    return taken


def _time_run(page: Page, attempt: Attempt) -> list[float]:
    link = f"table.list a[href='/training-runs/{attempt.run_id}']"
    return _time_detail(page, f"/training-runs?q={attempt.run_name.replace(' ', '+')}", link, "dl.facts")


def _time_detail(page: Page, path: str, link: str, shown: str) -> list[float]:
    taken: list[float] = []
    for _ in range(_REPEATS):
        page.goto(path)
        found = page.locator(link).first
        found.wait_for()
        begun = time.perf_counter()
        found.click()
        page.wait_for_selector(shown)
        taken.append(time.perf_counter() - begun)
    return taken


def _time_events(page: Page, platform: Platform, attempt: Attempt) -> list[float]:
    page.goto(f"/training-runs/{attempt.run_id}")
    page.wait_for_selector("dl.facts")
    teller = _Teller(platform)
    taken: list[float] = []
    for _ in range(3 * _REPEATS):
        step = teller.tell(attempt)
        begun = time.perf_counter()
        page.wait_for_function(f"document.querySelector('main').innerText.includes('{step:,}')")
        taken.append(time.perf_counter() - begun)
        page.wait_for_timeout(700)
    return taken


async def _measure_pages(
    base_url: str, server: psutil.Process, platform: Platform, attempts: list[Attempt]
) -> dict[str, Any]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(base_url, cookie_jar=jar) as http:
        async with http.post("/api/v1/session", json={"name": _USER, "password": _PASSWORD}) as answer:
            answer.raise_for_status()
        runs = [f"/training-runs/{attempt.run_id}" for attempt in attempts]
        for page in await _open_all(http, [*runs[:1], "/"], 4):  # what is made once is not of a page
            await page.close()
        teller = _Teller(platform)
        before = server.memory_info().rss
        pages = await _open_all(http, runs, _PAGES)
        after = server.memory_info().rss
        of_runs, messages = await _measure_open(server, teller, attempts, pages)
        of_overviews, _ = await _measure_open(server, teller, attempts, await _open_all(http, ["/"], _PAGES))
    return {
        "fifty pages, cores": of_runs,
        "fifty overviews, cores": of_overviews,
        "memory a page, MB": (after - before) / _PAGES / 1e6,
        "messages a page and second": messages,
    }


class _OpenPage:
    """A page without a browser: it holds the connection that NiceGUI's page holds, and answers as that does."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.received = 0
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            if message.data == "2":
                await self._socket.send_str("3")
            elif message.data.startswith("0"):
                await self._socket.send_str("40")
            else:
                self.received += 1

    async def close(self) -> None:
        await self._socket.close()
        await self._reading


async def _measure_open(
    server: psutil.Process, teller: _Teller, attempts: list[Attempt], pages: list[_OpenPage]
) -> tuple[float, float]:
    """Cores that the server takes while pages are open on runs that go on, and messages a page and second."""
    cpu = server.cpu_times()
    begun = time.perf_counter()
    told = 0
    # A trainer tells what it did about once a second.
    while time.perf_counter() - begun < _OPEN_S:
        due = begun + told + 1
        for attempt in attempts:
            await asyncio.to_thread(teller.tell, attempt)
        told += 1
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    spent = time.perf_counter() - begun
    end = server.cpu_times()
    messages = statistics.median(page.received for page in pages) / spent
    for page in pages:
        await page.close()
    return (end.user + end.system - cpu.user - cpu.system) / spent, messages


async def _open_all(http: aiohttp.ClientSession, paths: Sequence[str], count: int) -> list[_OpenPage]:
    pages: list[_OpenPage] = []
    for number in range(count):
        async with http.get(paths[number % len(paths)]) as answer:
            found = _CLIENT_ID.search(await answer.text())
        assert found is not None, "NiceGUI's page says nothing of its client"
        query = {
            "EIO": "4",
            "transport": "websocket",
            "client_id": found[1],
            "next_message_id": "0",
            "implicit_handshake": "true",
            "tab_id": str(uuid4()),
            "document_id": str(uuid4()),
        }
        pages.append(_OpenPage(await http.ws_connect("/_nicegui_ws/socket.io/", params=query)))
    await _wait_until(lambda: all(page.received for page in pages))
    return pages


async def _wait_until(is_so: Callable[[], bool], longest_s: float = 60.0) -> None:
    deadline = time.monotonic() + longest_s
    while not is_so():
        assert time.monotonic() < deadline, "pages were told nothing"
        await asyncio.sleep(0.1)
    await asyncio.sleep(2.0)


if __name__ == "__main__":
    main()
