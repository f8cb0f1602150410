"""How a server is set up, for who may see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.settings_listing import SettingsListing
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.settings import Settings
from raven_scan.platform_settings.contact import CurrentContact
from raven_scan.platform_settings.service import PlatformSettingService

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_no_secret_is_listed(tmp_path: Path, database: Database) -> None:
    settings = Settings(
        home=tmp_path,
        database_url=SecretStr("postgresql://raven:hunter2@db/raven"),
        token=SecretStr("the-api-token"),
        smtp_host="mail.example.org",
        smtp_user="raven",
        smtp_password=SecretStr("hunter3"),
        smtp_sender="raven@example.org",
        notify_emails=("ana@example.org",),
        webhook_secret=SecretStr(SECRET),
        notify_webhooks=(SecretStr("https://hooks.example.org/T0KEN-of-the-path"),),
        model_index="https://me:hunter4@mirror.example.org/",
        oidc_issuer="https://login.example.org",
        oidc_client_id="raven",
        oidc_client_secret=SecretStr("hunter5"),
        storage_access_key=SecretStr("hunter6"),
        storage_secret_key=SecretStr("hunter7"),
    )
    on_platform = PlatformSettingService(
        database, settings, SystemClock(), CurrentContact(database, settings.contact)
    )
    listing = SettingsListing(settings, on_platform)
    listed = {each.name: each for each in listing.list_settings(LOCAL_ADMINISTRATOR)}
    assert list(listed) == [f"RAVEN_{name.upper()}" for name in Settings.model_fields]
    for secret in ("hunter", "the-api-token", "T0KEN", SECRET):
        assert secret not in str(listed)
    assert listed["RAVEN_TOKEN"].value == "***"
    assert listed["RAVEN_NOTIFY_WEBHOOKS"].value == ["***"]
    assert listed["RAVEN_NOTIFY_EMAILS"].value == ["ana@example.org"]
    assert listed["RAVEN_HOME"].value == str(tmp_path)
    assert (listed["RAVEN_TRASH_DAYS"].value, listed["RAVEN_TRASH_DAYS"].is_default) == (30, True)
    assert (listed["RAVEN_SMTP_HOST"].value, listed["RAVEN_SMTP_HOST"].is_default) == (
        "mail.example.org",
        False,
    )


def test_the_command_lists_what_was_set(raven: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVEN_TRASH_DAYS", "7")
    items = {each["name"]: each["value"] for each in raven("settings", "--json").document["items"]}
    assert items["RAVEN_TRASH_DAYS"] == 7
    assert items["RAVEN_DATABASE_URL"] == "***"
    assert "RAVEN_OIDC_ISSUER" not in items
    assert "RAVEN_OIDC_ISSUER" in raven("settings", "--all").out


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAVEN_TOKEN", "")
    monkeypatch.setenv("RAVEN_PUBLIC_URL", "")
    settings = Settings()
    assert (settings.token, settings.public_url) == (None, None)


def test_the_contact_is_set_and_unset_by_command(
    raven: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "RAVEN_CONTACT is not set either" in raven("settings", "unset", "contact").out
    monkeypatch.setenv("RAVEN_CONTACT", "it@example.org")
    said = raven("settings", "set", "contact=ana@example.org, room=4", "--json").document
    assert (said["value"], said["source"], said["revision"]) == ("ana@example.org, room=4", "platform", 1)
    listed = raven("settings", "--json").document["items"]
    assert [(each["value"], each["source"]) for each in listed if each["name"] == "RAVEN_CONTACT"] == [
        ("ana@example.org, room=4", "platform")
    ]
    assert "the platform" in raven("settings").out
    assert raven("settings", "unset", "contact").out == "contact: it@example.org (of RAVEN_CONTACT)\n"
    refused = raven("settings", "set", "contact=")
    assert (refused.code, "is empty" in refused.err) == (2, True)
    assert raven("settings", "set", "contact").code == 2
    assert raven("settings", "set", "trash_days=3").code == 3
