"""Screenshots of every screen, in light and dark, at the sizes of a laptop and a tablet: `make screenshots`.

They show what `raven demo` leaves in a data folder, in Debian's Chromium. docs/screens.md is written with them.
"""

import argparse
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright
from pydantic import SecretStr

from raven_scan.access.sessions import Visitor
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.settings import Settings

_RAVEN = str(Path(sys.executable).with_name("raven"))
_DOCS = Path(__file__).parent.parent / "docs"
_FOLDER = _DOCS / "images" / "screens"
_NAME, _PASSWORD = "vera", "of the screenshots alone 1"
_MODEL = "raven-demo"
_PUBLISHED = "waste-detector"
_SHORT, _FAILED = "raven-demo-short", "raven-demo-too-fast"
_RUNS = {
    _SHORT: ("--epochs", "3", "--fraction", "0.5", "--wait"),
    _FAILED: ("--learning-rate", "0.9", "--wait"),
    "raven-demo-twice-as-long": ("--epochs", "18"),
    "raven-demo-full-augmentation": ("--augmentation", "full", "--priority", "5"),
}
_SIZES = {"laptop": (1366, 850), "tablet": (820, 1180)}
_SCHEMES = ("light", "dark")
_QUALITY = 78
_LOAD_MS = 30_000

_SCREENS = {
    "sign-in": ("Signing in", "/sign-in"),
    "overview": ("Overview", "/"),
    "datasets": ("Datasets", "/datasets"),
    "dataset-import": ("Importing a dataset", "/datasets/import"),
    "dataset": ("A version of a dataset", "/datasets/{dataset}"),
    "dataset-statistics": ("Its statistics", "/datasets/{dataset}"),
    "training-runs": ("Training runs", "/training-runs"),
    "new-training-run": ("Creating a training run", "/training-runs/new?clone={run}"),
    "training-run": ("A training run", "/training-runs/{run}"),
    "failed-run": ("One that failed", "/training-runs/{failed}"),
    "run-comparison": ("Two compared", "/training-runs/compare?run={run}&run={short}"),
    "queue": ("The queue", "/queue"),
    "trained-models": ("Trained models", "/trained-models"),
    "trained-model": ("A trained model", "/trained-models/{model}"),
    "model-review": ("Its review", "/trained-models/{model}/review"),
    "model-gallery": ("Its worst misses", "/trained-models/{model}/review"),
    "model-lineage": ("Its lineage", "/trained-models/{model}/lineage"),
    "model-configuration": ("Its configuration", "/trained-models/{model}/configuration"),
    "model-package": ("Its package", "/trained-models/{model}/package"),
    "model-publishing": ("Publishing it", "/trained-models/{model}/publishing"),
    "model-trial": ("Trying it", "/trained-models/{model}/try"),
    "model-comparison": ("Two compared", "/trained-models/compare?model={model}&model={short_model}"),
    "model-import": ("Importing a model", "/trained-models/import"),
    "policy": ("The publishing policy", "/administration/policy"),
    "users": ("Users", "/administration/users"),
    "user": ("A user", "/administration/users/{user}"),
    "roles": ("Roles", "/administration/roles"),
    "audit": ("The audit trail", "/administration/audit"),
    "settings": ("Settings", "/administration/settings"),
    "health": ("System health", "/administration/health"),
    "trash": ("Trash", "/trash"),
    "account": ("An account", "/account"),
    "tokens": ("Its tokens", "/account/tokens"),
    "subscriptions": ("Its subscriptions", "/account/subscriptions"),
    "guide": ("The guide", "/guide"),
}


_SCROLLED_TO = {"dataset-statistics": "Boxes by class", "model-gallery": "Where it goes wrong"}
"""Headings that are in the middle of a long screen."""


class _Named(msgspec.Struct):
    name: str


class _Listed(msgspec.Struct):
    items: list[_Named]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("home", type=Path, help="the data folder of a demo that has ended")
    home = parser.parse_args().home.absolute()
    for name in [name for name in os.environ if name.startswith("RAVEN_")]:
        del os.environ[name]
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is missing: on Debian, apt-get install chromium fonts-dejavu-core")
    _FOLDER.mkdir(parents=True, exist_ok=True)
    _add_runs(home)
    with build_platform(Settings(home=home)) as platform:
        names = _find_names(platform)
        _add_user(platform)
        with _serve(home) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            for size in _SIZES:
                for scheme in _SCHEMES:
                    _take_all(browser, url, names, size, scheme)
            browser.close()
    _write_page()


def _add_runs(home: Path) -> None:
    """What a platform in use has beside the demo: a model in use, a shorter run, one that fails, some that wait."""
    existing = _list_names(home, "runs", "list")
    if _MODEL not in existing:
        raise SystemExit("The data folder holds no demo: run `raven demo` with it first.")
    if _PUBLISHED not in _list_names(home, "models", "published"):
        reason = "A demonstration, whose test part is small"
        _tell(home, "models", "publish", _MODEL, "--as", _PUBLISHED, "--yes", "--override", reason)
    for name, parameters in _RUNS.items():
        if name not in existing:
            print(f"{name}: {' '.join(parameters)}", flush=True)
            _tell(home, "runs", "clone", _MODEL, "--name", name, "--schedule", *parameters)


def _list_names(home: Path, *command: str) -> set[str]:
    listed = msgspec.json.decode(_tell(home, *command, "--json"), type=_Listed)
    return {item.name for item in listed.items}


def _tell(home: Path, *command: str) -> str:
    ended = subprocess.run(
        [_RAVEN, *command],
        env={**os.environ, "RAVEN_HOME": str(home)},
        check=False,
        capture_output=True,
        text=True,
    )
    # One of the runs is there to fail.
    if ended.returncode != 0 and "diverged" not in ended.stdout + ended.stderr:
        raise SystemExit(f"raven {' '.join(command)}: {ended.stdout}{ended.stderr}")
    return ended.stdout


def _find_names(platform: Platform) -> dict[str, str]:
    runs = {
        name: platform.training_runs.get_run(LOCAL_ADMINISTRATOR, name) for name in (_MODEL, _SHORT, _FAILED)
    }
    models = [platform.trained_models.get_model(LOCAL_ADMINISTRATOR, name) for name in (_MODEL, _SHORT)]
    return {
        "run": str(runs[_MODEL].id),
        "short": str(runs[_SHORT].id),
        "failed": str(runs[_FAILED].id),
        "dataset": str(runs[_MODEL].dataset_version.id),
        "model": str(models[0].id),
        "short_model": str(models[1].id),
        "user": _NAME,
    }


def _add_user(platform: Platform) -> None:
    try:
        platform.users.get_user(LOCAL_ADMINISTRATOR, _NAME)
    except NotFound:
        platform.users.create(LOCAL_ADMINISTRATOR, name=_NAME, roles=["Admin"])
    platform.users.enable(LOCAL_ADMINISTRATOR, _NAME)
    password = platform.users.reset_password(LOCAL_ADMINISTRATOR, _NAME).one_time_password
    assert password is not None
    opened = platform.sessions.sign_in(_NAME, password, Visitor(address="", user_agent=""))
    platform.sessions.change_password(opened.actor, current=password, new=SecretStr(_PASSWORD))


@contextmanager
def _serve(home: Path) -> Generator[str]:
    with subprocess.Popen(
        [_RAVEN, "serve", "--no-worker", "--port", "0", "--json"],
        env={**os.environ, "RAVEN_HOME": str(home), "RAVEN_LOG_LEVEL": "ERROR"},
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdout is not None
        told = b""
        try:
            for line in server.stdout:
                told += line
                if line.rstrip() == b"}":
                    break
            yield msgspec.json.decode(told)["server"]
        finally:
            server.terminate()


def _take_all(browser: Browser, url: str, names: dict[str, str], size: str, scheme: str) -> None:
    width, height = _SIZES[size]
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
        timezone_id="Europe/Rome",
    )
    context.set_default_timeout(_LOAD_MS)
    page = context.new_page()
    for name, (_, path) in _SCREENS.items():
        if name == "overview":
            answer = context.request.post("/api/v1/session", data={"name": _NAME, "password": _PASSWORD})
            assert answer.ok, answer.text()
        target = _FOLDER / f"{name}-{size}-{scheme}.webp"
        _take(page, path.format(**names), target, scrolled_to=_SCROLLED_TO.get(name))
    context.close()


def _take(page: Page, path: str, target: Path, *, scrolled_to: str | None) -> None:
    page.goto(path, wait_until="networkidle" if path == "/sign-in" else "load")
    if path != "/sign-in":
        page.locator("#screen h1").wait_for()
        # Until nothing has changed for a while: charts and pictures come after their screens.
        page.wait_for_function(_IS_AT_REST)
    if scrolled_to is not None:
        page.get_by_role("heading", name=scrolled_to).evaluate("(at) => at.scrollIntoView()")
        # Pictures come when they are in sight.
        page.wait_for_function(_IS_AT_REST)
    picture = Image.open(io.BytesIO(page.screenshot()))
    picture.convert("RGB").save(target, quality=_QUALITY, method=6)
    print(target.name, flush=True)


_IS_AT_REST = """() => {
  const now = performance.now();
  const text = document.body.innerHTML.length + [...document.images].filter((image) => image.complete).length;
  if (window.ravenSeen?.text !== text) window.ravenSeen = { text, since: now };
  return now - window.ravenSeen.since > 900;
}"""


def _write_page() -> None:
    lines = [
        "# The screens",
        "",
        "What `raven serve` shows in a browser, of what `raven demo` leaves; `make screenshots` takes them anew.",
        "",
    ]
    for name, (title, _) in _SCREENS.items():
        lines += [f"## {title}", "| light | dark |", "|---|---|"]
        for size in _SIZES:
            cells = [
                f"![{title}, {size}, {scheme}](images/screens/{name}-{size}-{scheme}.webp)"
                for scheme in _SCHEMES
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    (_DOCS / "screens.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
