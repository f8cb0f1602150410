"""Downloads that break off, against a local server."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.trained_models.file_server import FileServer, serve_file

from raven_scan.kernel.errors import Busy, Invalid, NotFound, RavenError, Unavailable
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.trained_models.checkpoint_download import download_file

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serve_file(CONTENT) as served:
        yield served


def download(
    server: FileServer,
    folder: Path,
    *,
    digest_prefix: str | None = DIGEST,
    progress: Progress = ignore_progress,
    tries: int = 3,
) -> bytes:
    with download_file(
        f"{server.url}/a/x.pth",
        folder,
        file_name="x.pth",
        digest_prefix=digest_prefix,
        progress=progress,
        pauses_s=[0.0] * (tries - 1),
    ) as path:
        assert path.name == "x.pth"
        return path.read_bytes()


def list_left(folder: Path) -> set[str]:
    """What is kept of a download."""
    return {path.name for path in folder.iterdir()} - {"x.pth.lock"}


def test_whole(server: FileServer, tmp_path: Path):
    told: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))

    assert download(server, tmp_path, progress=note) == CONTENT
    assert server.ranges() == [None]
    assert told[0] == ("download", 0, len(CONTENT))
    assert told[-1] == ("download", len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert list_left(tmp_path) == set()


def test_goes_on_where_it_broke_off(server: FileServer, tmp_path: Path):
    server.break_after = [300_000, 400_000]
    assert download(server, tmp_path) == CONTENT
    assert server.ranges() == [None, "bytes=300000-", "bytes=700000-"]
    assert server.requests[1][1]["if-range"] == '"one"'


def test_goes_on_at_the_next_call(server: FileServer, tmp_path: Path):
    server.break_after = [300_000, 0]
    with pytest.raises(Unavailable) as caught:
        download(server, tmp_path, tries=2)
    assert caught.value.code == "trained_model.download_failed"
    assert "could not be downloaded" in caught.value.message
    assert caught.value.parameters["arrived_bytes"] == 300_000
    assert list_left(tmp_path) == {"x.pth.part", "x.pth.mark"}
    assert download(server, tmp_path) == CONTENT
    assert server.ranges()[-1] == "bytes=300000-"
    assert list_left(tmp_path) == set()


def test_a_server_that_knows_no_range_sends_it_all_again(server: FileServer, tmp_path: Path):
    server.knows_range = False
    server.break_after = [300_000]
    assert download(server, tmp_path) == CONTENT
    assert len(server.requests) == 2


def test_another_file_by_now_is_taken_from_its_start(server: FileServer, tmp_path: Path):
    server.break_after = [300_000, 0]
    with pytest.raises(Unavailable):
        download(server, tmp_path, tries=2)
    server.content = CONTENT[::-1]
    server.etag = '"two"'
    digest = hashlib.sha256(server.content).hexdigest()[:8]
    assert download(server, tmp_path, digest_prefix=digest) == server.content


def test_a_weak_mark_is_no_promise_a_date_is(server: FileServer, tmp_path: Path):
    server.etag = 'W/"one"'
    server.last_modified = "Fri, 02 Sep 2022 11:24:14 GMT"
    server.break_after = [300_000]
    assert download(server, tmp_path) == CONTENT
    assert server.requests[1][1]["if-range"] == server.last_modified


def test_without_any_mark_the_digest_guards(server: FileServer, tmp_path: Path):
    server.etag = None
    server.break_after = [300_000]
    assert download(server, tmp_path) == CONTENT
    assert server.ranges()[1] == "bytes=300000-"
    assert "if-range" not in server.requests[1][1]


def test_all_had_arrived_already(server: FileServer, tmp_path: Path):
    (tmp_path / "x.pth.part").write_bytes(CONTENT)
    assert download(server, tmp_path) == CONTENT
    assert server.ranges() == [f"bytes={len(CONTENT)}-"]


def test_more_had_arrived_than_there_is(server: FileServer, tmp_path: Path):
    (tmp_path / "x.pth.part").write_bytes(CONTENT + b"more")
    assert download(server, tmp_path) == CONTENT


def test_wrong_digest_is_refused_and_nothing_kept(server: FileServer, tmp_path: Path):
    with pytest.raises(Invalid) as caught:
        download(server, tmp_path, digest_prefix="00000000")
    assert caught.value.code == "trained_model.wrong_digest"
    assert "00000000" in caught.value.message
    assert list_left(tmp_path) == set()


def test_not_there(server: FileServer, tmp_path: Path):
    server.statuses = [404]
    with pytest.raises(NotFound) as caught:
        download(server, tmp_path)
    assert caught.value.parameters["status"] == 404
    assert len(server.requests) == 1


def test_a_server_that_recovers(server: FileServer, tmp_path: Path):
    server.statuses = [503, 429]
    assert download(server, tmp_path) == CONTENT


def test_a_server_that_does_not(server: FileServer, tmp_path: Path):
    server.statuses = [500, 500, 500]
    with pytest.raises(Unavailable, match="HTTP 500"):
        download(server, tmp_path)
    assert len(server.requests) == 3


def test_nobody_listens(tmp_path: Path):
    with serve_file(b"") as served:
        pass
    with pytest.raises(Unavailable) as caught:
        download(served, tmp_path)
    assert "raven models import" in caught.value.hint


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "not an address", "http://", "http://[::1", "file:///etc"]
)
def test_no_address(tmp_path: Path, url: str):
    with pytest.raises(RavenError) as caught:
        download(FileServer(b"", url=url), tmp_path)
    assert caught.value.code in {"trained_model.bad_address", "trained_model.download_failed"}


def test_one_at_a_time(server: FileServer, tmp_path: Path):
    def use() -> None:
        with download_file(
            server.url, tmp_path, file_name="x.pth", digest_prefix=None, progress=ignore_progress
        ):
            download(server, tmp_path)

    with pytest.raises(Busy):
        use()


def use_badly(server: FileServer, folder: Path, error: Exception) -> None:
    with download_file(server.url, folder, file_name="x.pth", digest_prefix=DIGEST, progress=ignore_progress):
        raise error


def test_what_could_not_be_used_is_kept_for_the_next_call(server: FileServer, tmp_path: Path):
    with pytest.raises(Unavailable):
        use_badly(server, tmp_path, Unavailable("a.b", "The disk is full."))
    assert list_left(tmp_path) == {"x.pth"}
    assert download(server, tmp_path) == CONTENT
    assert len(server.requests) == 1


def test_what_was_refused_is_not_kept(server: FileServer, tmp_path: Path):
    with pytest.raises(Invalid):
        use_badly(server, tmp_path, Invalid("a.b", "It is no checkpoint."))
    assert list_left(tmp_path) == set()


def test_a_folder_that_cannot_be_written(server: FileServer, tmp_path: Path):
    (tmp_path / "x.pth.part").mkdir()
    with pytest.raises(Unavailable) as caught:
        download(server, tmp_path)
    assert caught.value.code == "trained_model.disk_full"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    breaks=st.lists(st.integers(0, len(CONTENT)), max_size=6),
    knows_range=st.booleans(),
    etag=st.sampled_from(['"one"', 'W/"one"', None]),
)
def test_however_it_breaks_the_file_is_whole_or_none(
    tmp_path_factory: pytest.TempPathFactory, *, breaks: list[int], knows_range: bool, etag: str | None
):
    folder = tmp_path_factory.mktemp("download")
    with serve_file(CONTENT) as server:
        server.break_after = list(breaks)
        server.knows_range = knows_range
        server.etag = etag
        while True:
            try:
                assert download(server, folder, tries=2) == CONTENT
                break
            except Unavailable:
                assert len(server.requests) <= 2 * len(breaks) + 2
    assert list_left(folder) == set()
