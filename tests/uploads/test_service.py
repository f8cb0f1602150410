"""Uploads without HTTP."""

import hashlib
import os
import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.uploads.conftest import LARGEST_BYTES, Clock, Told

from raven_scan.access.types import WORKER, Actor, Claim
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Busy, Conflict, Forbidden, Invalid, NotFound, Unavailable
from raven_scan.uploads.service import LIFETIME, MOST_UPLOADS, UploadService
from raven_scan.uploads.types import UploadPurpose, UploadView

DATASET, CHECKPOINT = UploadPurpose.DATASET, UploadPurpose.CHECKPOINT


def make_actor(*claims: Claim) -> Actor:
    return Actor(id=uuid4(), name="ann", claims=frozenset(claims))


@pytest.fixture
def ann() -> Actor:
    return make_actor(Claim.DATASET_IMPORT, Claim.TRAINED_MODEL_IMPORT)


def begin(service: UploadService, actor: Actor, size_bytes: int | None = None) -> UploadView:
    return service.begin(actor, DATASET, file_name="a.zip", size_bytes=size_bytes)


def send(service: UploadService, actor: Actor, upload: UploadView, content: bytes, offset: int = 0) -> None:
    with service.append(actor, str(upload.id), offset_bytes=offset) as appending:
        appending.write(content)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_arrives_in_parts_is_verified_and_used_up(service: UploadService, ann: Actor, folder: Path) -> None:
    upload = begin(service, ann, size_bytes=6)
    ref = str(upload.id)
    send(service, ann, upload, b"abc")
    assert service.get_upload(ann, ref).offset_bytes == 3
    with pytest.raises(Conflict, match=r"3 of 6 bytes came") as caught:
        service.complete(ann, ref, sha256=digest(b"abc"))
    assert caught.value.code == "upload.not_whole"
    with pytest.raises(Conflict, match="not finished"), service.use(ann, ref, DATASET):
        pass
    send(service, ann, upload, b"def", 3)
    told = Told()
    whole = service.complete(
        ann,
        ref,
        sha256=digest(b"abcdef").upper(),
        progress=told,
    )
    assert whole.sha256 == digest(b"abcdef")
    assert told[-1] == ("verifying the upload", 6, 6)
    assert service.complete(ann, ref, sha256=digest(b"abcdef")) == whole
    with pytest.raises(Conflict, match="complete"):
        send(service, ann, upload, b"g", 6)

    # An import that fails leaves it, one that succeeds does not.
    with pytest.raises(RuntimeError), service.use(ann, ref, DATASET):
        raise RuntimeError
    with pytest.raises(Invalid, match="for a dataset"), service.use(ann, ref, CHECKPOINT):
        pass
    with service.use(ann, ref, DATASET) as used:
        assert (used.path.read_bytes(), used.file_name) == (b"abcdef", "a.zip")
        used.is_used_up = True
    assert list(folder.iterdir()) == []
    with pytest.raises(NotFound):
        service.get_upload(ann, ref)


def test_what_is_not_what_was_sent_is_refused(service: UploadService, ann: Actor) -> None:
    upload = begin(service, ann)
    send(service, ann, upload, b"abc")
    with pytest.raises(Conflict) as caught:
        service.complete(ann, str(upload.id), sha256=digest(b"abd"))
    assert caught.value.code == "upload.checksum_wrong"
    assert service.get_upload(ann, str(upload.id)).sha256 is None


def test_only_its_owner_sees_it(service: UploadService, ann: Actor) -> None:
    ref = str(begin(service, ann).id)
    others = [
        make_actor(*Claim),
        Actor(id=ann.id, name="ann", claims=frozenset({Claim.TRAINED_MODEL_IMPORT})),
    ]
    for other in others:
        assert service.list_uploads(other) == []
        for attempt in (
            lambda other=other: service.get_upload(other, ref),
            lambda other=other: service.delete(other, ref),
            lambda other=other: service.complete(other, ref, sha256=digest(b"")),
            lambda other=other: service.append(other, ref, offset_bytes=0).__enter__(),
        ):
            with pytest.raises(NotFound) as caught:
                attempt()
            assert caught.value.code == "upload.unknown"
    for ref_of_none in ("nothing", str(uuid4())):
        with pytest.raises(NotFound):
            service.get_upload(ann, ref_of_none)
    assert [str(upload.id) for upload in service.list_uploads(ann)] == [ref]


def test_who_may_import_nothing_uploads_nothing(service: UploadService) -> None:
    nobody = make_actor(Claim.DATASET_VIEW)
    with pytest.raises(Forbidden):
        begin(service, nobody)
    with pytest.raises(Forbidden):
        service.list_uploads(nobody)
    with pytest.raises(Forbidden):
        service.keep_house(make_actor(Claim.DATASET_IMPORT))


def test_goes_on_only_where_it_is(service: UploadService, ann: Actor) -> None:
    upload = begin(service, ann)
    send(service, ann, upload, b"abc")
    for offset in (0, 2, 4):
        with pytest.raises(Conflict) as caught:
            send(service, ann, upload, b"x", offset)
        assert (caught.value.code, caught.value.parameters) == ("upload.wrong_offset", {"offset_bytes": 3})


def test_limits(service: UploadService, ann: Actor) -> None:
    with pytest.raises(Invalid, match=str(LARGEST_BYTES)):
        begin(service, ann, size_bytes=LARGEST_BYTES + 1)
    upload = begin(service, ann, size_bytes=2)
    with pytest.raises(Invalid) as caught:
        send(service, ann, upload, b"abc")
    assert caught.value.code == "upload.longer_than_told"
    unlimited = begin(service, ann)
    with pytest.raises(Invalid) as caught:
        send(service, ann, unlimited, bytes(LARGEST_BYTES + 1))
    assert caught.value.code == "upload.too_large"


def test_what_no_disk_of_the_server_holds_is_refused_at_once(
    database: Database, folder: Path, clock: Clock, ann: Actor
) -> None:
    service = UploadService(database, folder, {UploadPurpose.DATASET: 1 << 62}, clock)
    with pytest.raises(Conflict) as caught:
        service.begin(ann, UploadPurpose.DATASET, file_name="a.zip", size_bytes=1 << 61)
    assert caught.value.code == "upload.no_space"
    assert caught.value.parameters["size_bytes"] == 1 << 61
    assert service.list_uploads(ann) == []


def test_how_many_one_user_may_have(service: UploadService, ann: Actor) -> None:
    def try_to_begin(_: int) -> bool:
        try:
            begin(service, ann)
        except Conflict as error:
            assert error.code == "upload.too_many"  # noqa: PT017
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        begun = list(pool.map(try_to_begin, range(MOST_UPLOADS + 5)))
    assert begun.count(True) == MOST_UPLOADS
    service.delete(ann, str(service.list_uploads(ann)[0].id))
    begin(service, ann)
    begin(service, make_actor(Claim.DATASET_IMPORT))


def test_one_request_at_a_time(open_service: Callable[[], UploadService], ann: Actor) -> None:
    service, other = open_service(), open_service()
    upload = begin(service, ann)
    ref = str(upload.id)
    with service.append(ann, ref, offset_bytes=0) as appending:
        appending.write(b"abc")
        for attempt in (
            lambda: send(other, ann, upload, b"x"),
            lambda: other.delete(ann, ref),
            lambda: other.complete(ann, ref, sha256=digest(b"")),
        ):
            with pytest.raises(Busy) as caught:
                attempt()
            assert caught.value.code == "upload.in_use"
    send(other, ann, upload, b"def", 3)


def test_a_disk_that_is_full_costs_nothing_that_had_come(
    service: UploadService, ann: Actor, folder: Path
) -> None:
    upload = begin(service, ann)
    send(service, ann, upload, b"a" * 5000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, before[1]))
    try:
        with pytest.raises(Unavailable) as caught:
            send(service, ann, upload, b"b" * 5000, 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.code == "upload.not_stored"
    assert (folder / str(upload.id)).stat().st_size == 5000
    send(service, ann, upload, b"b" * 5000, 5000)
    content = b"a" * 5000 + b"b" * 5000
    assert service.complete(ann, str(upload.id), sha256=digest(content)).size_bytes == 10_000


def test_what_does_not_go_on_expires(service: UploadService, ann: Actor, clock: Clock, folder: Path) -> None:
    stale, fresh = begin(service, ann), begin(service, ann)
    send(service, ann, stale, b"abc")
    clock.turn(LIFETIME - timedelta(minutes=1))
    send(service, ann, fresh, b"abc")
    (folder / str(uuid4())).write_bytes(b"its row is gone")
    (folder / "something else").write_bytes(b"")
    clock.turn(timedelta(minutes=2))
    service.keep_house(WORKER)
    assert [upload.id for upload in service.list_uploads(ann)] == [fresh.id]
    assert sorted(path.name for path in folder.iterdir()) == sorted([str(fresh.id), "something else"])


def test_a_restored_database_begins_again(service: UploadService, ann: Actor, folder: Path) -> None:
    upload = begin(service, ann)
    send(service, ann, upload, b"abc")
    service.complete(ann, str(upload.id), sha256=digest(b"abc"))
    (folder / str(upload.id)).unlink()
    with pytest.raises(Conflict) as caught:
        send(service, ann, upload, b"def", 3)
    assert caught.value.parameters == {"offset_bytes": 0}
    send(service, ann, upload, b"abc")
    assert service.get_upload(ann, str(upload.id)).offset_bytes == 3


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.tuples(st.integers(0, 5000), st.booleans(), st.integers(0, 100)), max_size=8))
def test_after_whatever_kill_it_goes_on_from_what_was_kept(
    open_service: Callable[[], UploadService],
    ann: Actor,
    folder: Path,
    parts: list[tuple[int, bool, int]],
) -> None:
    """A process that is killed has written more to the file than the database knows, or has not."""
    service = open_service()
    for earlier in service.list_uploads(ann):
        service.delete(ann, str(earlier.id))
    upload = begin(service, ann)
    content = os.urandom(sum(length for length, _, _ in parts))
    sent = 0
    for length, is_killed, torn in parts:
        if is_killed:
            with (folder / str(upload.id)).open("ab") as file:
                file.write(b"?" * torn)
            service = open_service()
        assert service.get_upload(ann, str(upload.id)).offset_bytes == sent
        send(service, ann, upload, content[sent : sent + length], sent)
        sent += length
    whole = service.complete(ann, str(upload.id), sha256=digest(content))
    assert whole.size_bytes == len(content)
    assert (folder / str(upload.id)).read_bytes() == content
