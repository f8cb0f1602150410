"""Who may talk to the screens."""

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from raven_scan.app.front_door import ScreenGuard

_TALK = "/_nicegui_ws/socket.io/"


@pytest.fixture
def client() -> TestClient:
    guard = ScreenGuard(
        PlainTextResponse("talk"), public_url="https://raven.example", host_names=["here", "raven.example"]
    )
    return TestClient(guard, base_url="http://here:8000")


@pytest.mark.parametrize("origin", [None, "http://here:8000", "https://raven.example"])
def test_our_pages_and_programs_talk(client: TestClient, origin: str | None) -> None:
    assert client.get(_TALK, headers={} if origin is None else {"Origin": origin}).text == "talk"


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "http://here:8001", "null"])
def test_foreign_pages_do_not(client: TestClient, origin: str) -> None:
    """Nor by requests that ask again and again, which Socket.IO falls back to."""
    assert client.get(_TALK, headers={"Origin": origin}).status_code == 403
    assert client.post(_TALK, headers={"Origin": origin}).status_code == 403
    assert client.get("/", headers={"Origin": origin}).text == "talk"


def test_names_that_are_not_ours_are_refused(client: TestClient) -> None:
    assert client.get(_TALK, headers={"Host": "rebound.example"}).status_code == 403


def test_screens_are_shown_in_no_other_page(client: TestClient) -> None:
    assert client.get("/").headers["X-Frame-Options"] == "DENY"
