"""A run's log: its last lines, the lines with a word, and the file, whole or by ranges."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL
from tests.conftest import make_database
from tests.training_runs.conftest import TINY, write_coco
from tests.training_runs.test_events import make_client
from tests.training_runs.test_execution import hold, record

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_services
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.database import Database
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import TrainingRunView

LINES = [f"line {number:05d} of the tr\u00e4iner\n" for number in range(2000)]
WHOLE = "".join(LINES).encode()
PATH = "/api/v1/training-runs/first/logs"


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "middle dropped"])
def is_cut(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def http(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory, *, is_cut: bool
) -> Iterator[httpx.Client]:
    """Of a run whose log is there; no test here changes anything."""
    folder = tmp_path_factory.mktemp("log")
    (folder / "home").mkdir(mode=0o700)
    largest = {"largest_log_bytes": 20_000} if is_cut else {}
    settings = Settings(home=folder / "home").model_copy(update=largest)
    with ExitStack() as stack:
        database = Database(stack.enter_context(make_database(server_url, template_database)))
        stack.callback(database.close)
        platform = build_services(settings, database, None)
        run = create_run(platform, write_coco(folder / "coco"))
        platform.training_runs.schedule(LOCAL_ADMINISTRATOR, str(run.id))
        attempt = hold(platform, run)
        for first in range(0, len(LINES), 20):
            record(platform, attempt, log="".join(LINES[first : first + 20]).encode())
        app = build_app(platform, token=None, allow_server_paths=True)
        yield stack.enter_context(make_client(app))


def create_run(platform: Platform, coco_folder: Path) -> TrainingRunView:
    dataset = platform.datasets.import_version(
        LOCAL_ADMINISTRATOR, coco_folder, ImportOptions(name="squares"), ignore_progress
    )
    return platform.training_runs.create(
        LOCAL_ADMINISTRATOR, name="first", dataset=dataset.full_name, base_model="yolox-nano", parameters=TINY
    )


def test_the_last_lines(http: httpx.Client):
    answer = http.get(PATH, params={"tail_lines": 3}).json()
    assert answer["text"] == "".join(LINES[-3:])
    assert answer["next_offset"] == answer["size_bytes"] == len(WHOLE)
    assert answer["offset"] == len(WHOLE) - len(answer["text"].encode())
    assert http.get(PATH, params={"tail_lines": 10_000}).json()["text"].endswith(LINES[-1])


@pytest.mark.parametrize("accept", ["text/plain", "text/plain;q=0.9, application/json;q=0.5", "text/*"])
def test_the_text_alone_has_the_same_parts_as_the_json(http: httpx.Client, accept: str):
    parameters: dict[str, int] = {"limit": 9000}
    text = ""
    for _ in range(20):
        told = http.get(PATH, params=parameters).json()
        plain = http.get(PATH, params=parameters, headers={"Accept": accept})
        assert plain.headers["content-type"] == "text/plain; charset=utf-8"
        assert plain.headers["vary"] == "Accept"
        assert plain.text == told["text"]
        places = {
            name: int(plain.headers[f"Log-{name.replace('_', '-')}"])
            for name in ("offset", "next_offset", "size_bytes", "missing_bytes")
        }
        assert places == {name: told[name] for name in places}
        text += plain.text
        # The next part, and at the end the place where more will be.
        assert plain.links["next"]["url"] == f"{PATH}?offset={told['next_offset']}&limit=9000"
        if told["next_offset"] == told["size_bytes"]:
            break
        parameters = {"offset": told["next_offset"], "limit": 9000}
    assert text == http.get(f"{PATH}/raw").text
    last = http.get(PATH, params={"tail_lines": 3}, headers={"Accept": accept})
    assert last.text == "".join(LINES[-3:])
    assert last.headers["Log-Next-Offset"] == str(len(WHOLE))


@pytest.mark.parametrize(
    "accept", ["*/*", "application/json", "application/json, text/plain", "nonsense", ""]
)
def test_json_is_answered_where_text_is_not_asked_for(http: httpx.Client, accept: str):
    answer = http.get(PATH, headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"text", "offset", "next_offset", "size_bytes", "missing_bytes"}


def test_the_file_whole_and_in_ranges(http: httpx.Client, *, is_cut: bool):
    whole = http.get(f"{PATH}/raw")
    assert whole.status_code == 200
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    assert int(whole.headers["content-length"]) == len(whole.content)
    if is_cut:
        head, marker, tail = whole.content.partition("[…".encode())
        missing = len(WHOLE) - len(head) - len(tail.split(b"\n", 1)[1])
        assert marker
        assert str(missing).encode() in tail.split(b"\n", 1)[0]
        assert WHOLE.startswith(head)
        assert WHOLE.endswith(tail.split(b"\n", 1)[1])
        assert len(whole.content) < 22_000
    else:
        assert whole.content == WHOLE
    size = len(whole.content)
    middle = size // 4
    for given, first, behind in (
        ("bytes=0-9", 0, 10),
        ("bytes=100-", 100, size),
        ("bytes=-50", size - 50, size),
        (f"bytes={middle - 40}-{middle + 400}", middle - 40, middle + 401),
        (f"bytes=10-{size * 2}", 10, size),
    ):
        part = http.get(f"{PATH}/raw", headers={"Range": given})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes {first}-{behind - 1}/{size}"
        assert part.content == whole.content[first:behind]
    for given in ("lines=1-2", "bytes=5-2", "bytes=-", "bytes=0-1,5-6", "nonsense"):
        assert http.get(f"{PATH}/raw", headers={"Range": given}).content == whole.content
    beyond = http.get(f"{PATH}/raw", headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    fresh = {"Range": "bytes=5-9", "If-Range": whole.headers["etag"]}
    assert http.get(f"{PATH}/raw", headers=fresh).status_code == 206
    stale = {"Range": "bytes=5-9", "If-Range": '"other"'}
    assert http.get(f"{PATH}/raw", headers=stale).content == whole.content


def test_lines_are_found_by_number(http: httpx.Client):
    lines = http.get(f"{PATH}/raw").content.decode().splitlines()
    parameters: dict[str, Any] = {"q": "LINE 0199", "limit": 4}
    found: list[dict[str, Any]] = []
    while True:
        answer = http.get(f"{PATH}/search", params=parameters).json()
        found += answer["matches"]
        if answer["next_offset"] is None:
            break
        parameters |= {"offset": answer["next_offset"], "line": answer["next_line"]}
    assert [each["text"] for each in found] == [line.rstrip("\n") for line in LINES[1990:]]
    for each in found:
        assert lines[each["line"] - 1] == each["text"]
        assert WHOLE[each["offset"] :].startswith(each["text"].encode())
    assert http.get(f"{PATH}/search", params={"q": "nothing"}).json() == {
        "matches": [],
        "next_offset": None,
        "next_line": None,
    }
