"""Keys: one of one's own, made once; those of others, trusted and revoked, and who did so."""

import subprocess
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from tests.packages.conftest import ADMIN

from raven_scan.access.audit_types import EntryFilter
from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import Conflict, Invalid, NotFound
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.packages import repository
from raven_scan.packages.keys import PackageKeys
from raven_scan.packages.models import PackageKey
from raven_scan.packages.signing import find_public_key, is_signed, make_key_pair, write_public_key


def write_key(name: str = "") -> str:
    return write_public_key(make_key_pair().public_key, name)


def test_servers_of_one_database_have_one_key(there: Platform):
    servers = [PackageKeys(there.database, there.clock) for _ in range(4)]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda each=each: found.append(each.get_own(ADMIN).public_key))
        for each in servers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1
    key, signature = servers[0].sign(ADMIN, b"content")
    public_key = find_public_key(key.public_key)
    assert public_key is not None
    assert is_signed(public_key, b"content", signature)
    assert not is_signed(public_key, b"other", signature)
    assert servers[1].check_signature(ADMIN, b"content", public_key=public_key, signature=signature) == key


def test_a_revoked_key_of_ones_own_is_gone_and_the_next_is_another(there: Platform):
    keys = there.package_keys
    first = keys.get_own(ADMIN)
    keys.revoke(ADMIN, "this platform")
    with there.database.reading() as session:
        left = session.connection().exec_driver_sql("SELECT count(private_key) FROM package_keys").scalar()
    assert left == 0
    second = keys.get_own(ADMIN)
    assert second.fingerprint != first.fingerprint
    listed = keys.list_keys(ADMIN, PageRequest()).items
    assert [(key.fingerprint, key.revoked_at is None) for key in listed] == [
        (first.fingerprint, False),
        (second.fingerprint, True),
    ]


def test_no_error_of_the_database_tells_the_private_key(there: Platform):
    pair = make_key_pair()
    columns = {"id": make_id(), "name": "x", "public_key": b"short", "fingerprint": "x", "is_own": True}
    row = {**columns, "private_key": pair.private_key, "added_by": "x", "added_at": there.clock.now()}
    with pytest.raises(IntegrityError) as caught, there.database.transaction() as session:
        session.execute(insert(PackageKey).values(row))
    assert repr(pair.private_key)[2:-1] not in str(caught.value)
    assert repr(pair) == object.__repr__(pair)


def test_keys_of_others_are_trusted_and_revoked_and_it_is_known_by_whom(there: Platform):
    keys = there.package_keys
    line = write_key("whatever")
    key = keys.trust(ADMIN, line, name="field office")
    assert key.public_key.split()[:2] == line.split()[:2]
    assert key.public_key.endswith(" field office")
    for again, name, problem in (
        (line, "other", "as 'field office'"),
        (write_key(), "field office", "named 'field office'"),
        (write_key(), "this platform", "named 'this platform'"),
    ):
        with pytest.raises(Conflict, match=problem):
            keys.trust(ADMIN, again, name=name)
    keys.revoke(ADMIN, str(key.id))
    for ref in ("field office", "\0", str(key.id)):
        with pytest.raises(NotFound):
            keys.revoke(ADMIN, ref)
    assert keys.trust(ADMIN, line, name="field office").id != key.id
    entries = there.audit.list_entries(ADMIN, PageRequest(), EntryFilter(action="package_key.")).items
    assert [entry.action for entry in entries] == [
        "package_key.trusted",
        "package_key.revoked",
        "package_key.trusted",
    ]
    assert entries[0].details == {"fingerprint": key.fingerprint}


def test_who_signs_while_the_key_is_revoked_signs_with_one(there: Platform, monkeypatch: pytest.MonkeyPatch):
    """Nothing tells of one key and is signed with another."""
    keys, other = there.package_keys, PackageKeys(there.database, there.clock)
    keys.get_own(ADMIN)
    found = repository.find_own_key
    revoked: list[bool] = []

    def find_and_revoke(session: Session) -> PackageKey | None:
        own = found(session)
        if not revoked:
            revoked.append(True)
            thread = threading.Thread(target=other.revoke, args=(ADMIN, "this platform"))
            thread.start()
            thread.join()
        return own

    monkeypatch.setattr(repository, "find_own_key", find_and_revoke)
    key, signature = keys.sign(ADMIN, b"content")
    public_key = find_public_key(key.public_key)
    assert public_key is not None
    assert is_signed(public_key, b"content", signature)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 \u00e4",
        "ssh-rsa AAAAB3NzaC1yc2E=",
        "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nx",
    ],
)
def test_what_is_no_key_is_refused(there: Platform, text: str):
    with pytest.raises(Invalid) as caught:
        there.package_keys.trust(ADMIN, text, name="x")
    assert caught.value.code == "package_key.bad_key"


def test_others_tools_read_and_write_the_same_keys(there: Platform, tmp_path: Path):
    key = there.package_keys.get_own(ADMIN)
    openssl = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(tmp_path / "private.pem")]
    subprocess.run(openssl, check=True, capture_output=True)
    openssl = ["openssl", "pkey", "-in", str(tmp_path / "private.pem"), "-pubout"]
    pem = subprocess.run(openssl, check=True, capture_output=True, text=True).stdout
    trusted = there.package_keys.trust(ADMIN, pem, name="by openssl")
    assert trusted.fingerprint != key.fingerprint
    private = (tmp_path / "private.pem").read_text()
    assert find_public_key(private) is None
