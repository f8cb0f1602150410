"""The contact: set on the platform, else by the environment variable."""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from raven_scan.access.audit_types import EntryFilter
from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.kernel.contacts import check_contact
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Forbidden, Invalid, NotFound, Stale
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.platform_settings.contact import CurrentContact

ME = LOCAL_ADMINISTRATOR
OF_VARIABLE = "it@waste.example"
NEW = "Ana, ext. 42"
PATH = "/api/v1/system/settings/contact"


@pytest.fixture
def platform(tmp_path: Path, database_url: str) -> Generator[Platform]:
    """Started with RAVEN_CONTACT."""
    settings = Settings(home=tmp_path / "home", database_url=SecretStr(database_url), contact=OF_VARIABLE)
    with build_platform(settings) as platform:
        yield platform


@pytest.fixture
def client(platform: Platform) -> Generator[TestClient]:
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        yield client


def test_what_is_set_counts_before_the_variable(platform: Platform):
    service, contact = platform.platform_settings, platform.contact
    before = service.get_setting(ME, "contact")
    assert (before.value, before.source, before.revision, before.changed_at) == (
        OF_VARIABLE,
        "environment",
        0,
        None,
    )
    assert contact.find() == OF_VARIABLE
    changed = service.change(ME, "contact", f"  {NEW} ", expected=0)
    assert contact.find() == NEW, "at once"
    assert (changed.value, changed.source, changed.variable_value) == (NEW, "platform", OF_VARIABLE)
    assert (changed.revision, changed.changed_by) == (1, ME.name)
    assert service.change(ME, "contact", NEW) == changed, "nothing is changed"
    listed = {each.name: each for each in platform.settings_listing.list_settings(ME)}["RAVEN_CONTACT"]
    assert (listed.value, listed.source, listed.is_default) == (NEW, "platform", False)
    unset = service.change(ME, "contact", None, expected=1)
    assert (unset.value, unset.source, unset.revision) == (OF_VARIABLE, "environment", 2)
    assert contact.find() == OF_VARIABLE
    entries = platform.audit.list_entries(ME, PageRequest(5), EntryFilter(action="setting.")).items
    assert [(each.action, each.target.name, each.details) for each in entries] == [
        ("setting.changed", "contact", {"old": NEW, "new": None}),
        ("setting.changed", "contact", {"old": None, "new": NEW}),
    ]


def test_who_read_an_earlier_revision_changes_nothing(platform: Platform):
    service = platform.platform_settings
    service.change(ME, "contact", NEW, expected=0)
    service.change(ME, "contact", None, expected=1)
    with pytest.raises(Stale) as caught:
        service.change(ME, "contact", "somebody else", expected=0)
    assert caught.value.code == "setting.changed_meanwhile"
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda n: service.change(ME, "contact", f"ext. {n}").revision, range(6)))
    assert sorted(done) == [3, 4, 5, 6, 7, 8]


def test_who_may_not_changes_nothing(platform: Platform):
    service = platform.platform_settings
    for claims in ([], [Claim.SETTINGS_VIEW], [Claim.SETTINGS_EDIT]):
        with pytest.raises(Forbidden):
            service.change(Actor(make_id(), "somebody", frozenset(claims)), "contact", NEW)
    with pytest.raises(NotFound) as caught:
        service.change(ME, "trash_days", "3")
    assert "contact" in caught.value.hint
    assert service.get_setting(ME, "contact").revision == 0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("x" * 201, "has 201 characters"),
        ("it@example.org\next. 42", "cannot be printed"),
        ("a\0b", "cannot be printed"),
        ("moc\N{RIGHT-TO-LEFT OVERRIDE}x", "cannot be printed"),
        ("\ud800", "cannot be printed"),
    ],
)
def test_what_cannot_be_shown_in_a_line_is_refused_once(platform: Platform, value: str, words: str):
    with pytest.raises(Invalid) as caught:
        platform.platform_settings.change(ME, "contact", value)
    assert caught.value.code == "setting.bad_value"
    assert words in caught.value.message
    assert "1 to 200" in caught.value.hint
    if value.strip():
        with pytest.raises(ValidationError, match=words):
            Settings(contact=value)


@given(st.text(max_size=250))
def test_whatever_is_taken_can_be_shown(text: str):
    try:
        check_contact(text)
    except ValueError:
        return
    assert 0 < len(text.strip()) <= len(text) <= 200
    assert text.isprintable()


def test_it_is_read_anew_after_seconds_and_not_for_each_page(database: Database):
    hands = [0.0]
    queries: list[str] = []
    look_up: Callable[..., object] = database.look_up

    def count(query: str, parameters: dict[str, str]) -> object:
        queries.append(query)
        return look_up(query, parameters)

    database.look_up = count  # pyright: ignore[reportAttributeAccessIssue]
    contact = CurrentContact(database, OF_VARIABLE, now_s=lambda: hands[0])
    assert [contact.find() for _ in range(5)] == [OF_VARIABLE] * 5
    assert len(queries) == 1
    with database.transaction() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO platform_settings (name, value, revision, changed_by, changed_by_id, changed_at)"
            " VALUES ('contact', %s, 1, 'ann', gen_random_uuid(), now())",
            (NEW,),
        )
    assert contact.find() == OF_VARIABLE
    hands[0] = 2.0
    assert [contact.find() for _ in range(3)] == [NEW] * 3
    assert len(queries) == 2


def test_while_the_database_is_away_it_is_what_it_was(platform: Platform):
    platform.platform_settings.change(ME, "contact", NEW)
    hands = [0.0]
    away = Database("postgresql+psycopg://nobody@127.0.0.1:1/none", connect_args={"connect_timeout": 1})
    assert CurrentContact(away, OF_VARIABLE).find() == OF_VARIABLE
    contact = CurrentContact(platform.database, OF_VARIABLE, now_s=lambda: hands[0])
    assert contact.find() == NEW
    contact._database = away
    hands[0] = 9.0
    assert contact.find() == NEW
    away.close()


def test_over_rest_with_the_tag_that_was_read(client: TestClient):
    read = client.get(PATH)
    assert (read.json()["value"], read.json()["source"], read.headers["ETag"]) == (
        OF_VARIABLE,
        "environment",
        '"0"',
    )
    changed = client.patch(PATH, json={"value": NEW}, headers={"If-Match": '"0"'})
    assert (changed.json()["value"], changed.headers["ETag"]) == (NEW, '"1"')
    stale = client.patch(PATH, json={"value": None}, headers={"If-Match": '"0"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "setting.changed_meanwhile")
    items = {each["name"]: each for each in client.get("/api/v1/system/settings").json()["items"]}
    assert (items["RAVEN_CONTACT"]["value"], items["RAVEN_CONTACT"]["source"]) == (NEW, "platform")
    assert items["RAVEN_TRASH_DAYS"]["source"] == "default"
    assert client.patch(PATH, json={"value": None}).json()["source"] == "environment"
    assert client.patch(PATH, json={}).status_code == 422
    refused = client.patch(PATH, json={"value": "a\nb"})
    assert (refused.status_code, refused.json()["code"]) == (422, "setting.bad_value")
    assert client.get(PATH.replace("contact", "home")).status_code == 404


def test_what_is_no_text_is_refused(client: TestClient):
    for content in (b'{"value": "\\ud800"}', b'{"value": 3}', b'{"value": ["x"]}', b"no"):
        answer = client.patch(PATH, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code in {400, 422}, content
        assert answer.headers["Content-Type"] == "application/problem+json"
