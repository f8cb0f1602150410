"""Settings of notifications are checked at the start, and told without their values."""

import os
from typing import Any

import pytest
from tests.notifications.steps import SECRET

from raven_scan.app.cli.session import read_settings
from raven_scan.kernel.errors import Invalid
from raven_scan.notifications.recipients import list_recipients
from raven_scan.notifications.types import Channel

MAIL = {"RAVEN_SMTP_HOST": "mail.example.org", "RAVEN_SMTP_SENDER": "raven@example.org"}
WEBHOOK = {"RAVEN_WEBHOOK_SECRET": SECRET}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RAVEN_")]:
        monkeypatch.delenv(name)


def read(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Any:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings()


def test_lists_are_parted_by_commas_or_spaces(monkeypatch: pytest.MonkeyPatch):
    settings = read(
        monkeypatch,
        MAIL
        | WEBHOOK
        | {
            "RAVEN_NOTIFY_EMAILS": " a@example.org, o@bücher.example ,a@example.org ",
            "RAVEN_NOTIFY_WEBHOOKS": "https://user:p4ss@hooks.example.org:8443/T0KEN?key=K3Y http://[::1]/",
        },
    )
    recipients = list_recipients(settings)
    assert [recipient.name for recipient in recipients[:2]] == ["a@example.org", "o@bücher.example"]
    assert [recipient.channel for recipient in recipients] == [Channel.EMAIL] * 2 + [Channel.WEBHOOK] * 2
    assert recipients[2].name == f"https://hooks.example.org:8443 ({recipients[2].key[:6]})"
    assert len({recipient.key for recipient in recipients}) == 4
    for secret in ("T0KEN", "K3Y", "p4ss"):
        assert secret not in repr(recipients)
        assert secret not in repr(settings)


def test_nobody_is_notified_by_default(monkeypatch: pytest.MonkeyPatch):
    assert (
        list_recipients(read(monkeypatch, {"RAVEN_NOTIFY_EMAILS": "", "RAVEN_NOTIFY_WEBHOOKS": " , "})) == []
    )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RAVEN_NOTIFY_EMAILS": "a@example.org"}, "RAVEN_NOTIFY_EMAILS: RAVEN_SMTP_HOST is missing"),
        (
            {"RAVEN_NOTIFY_EMAILS": "a@example.org", "RAVEN_SMTP_HOST": "mail"},
            "RAVEN_NOTIFY_EMAILS: RAVEN_SMTP_SENDER is missing",
        ),
        (
            MAIL | {"RAVEN_NOTIFY_EMAILS": "a@example.org,HIDDEN"},
            "RAVEN_NOTIFY_EMAILS: address 2 is not like",
        ),
        (MAIL | {"RAVEN_NOTIFY_EMAILS": "a@b@c"}, "RAVEN_NOTIFY_EMAILS: address 1 is not like"),
        (MAIL | {"RAVEN_NOTIFY_EMAILS": "HIDDEN@exa..mple"}, "RAVEN_NOTIFY_EMAILS: address 1 is not like"),
        (MAIL | {"RAVEN_NOTIFY_EMAILS": "HIDDENö@a.b"}, "RAVEN_NOTIFY_EMAILS: address 1 is not in ASCII"),
        (MAIL | {"RAVEN_SMTP_SENDER": "HIDDEN"}, "RAVEN_SMTP_SENDER: it is not like name@example.org."),
        (
            MAIL | {"RAVEN_SMTP_SENDER": "X\r\nBcc: y@example.org <HIDDEN@example.org>"},
            "RAVEN_SMTP_SENDER: it has a character that cannot be printed.",
        ),
        (MAIL | {"RAVEN_SMTP_PORT": "70000"}, "RAVEN_SMTP_PORT: "),
        (MAIL | {"RAVEN_SMTP_SECURITY": "HIDDEN"}, "RAVEN_SMTP_SECURITY: "),
        (MAIL | {"RAVEN_SMTP_PASSWORD": "HIDDEN"}, "RAVEN_SMTP_PASSWORD: RAVEN_SMTP_USER is missing."),
        (
            MAIL | {"RAVEN_SMTP_USER": "raven", "RAVEN_SMTP_SECURITY": "none"},
            "RAVEN_SMTP_USER: nobody signs in without encryption",
        ),
        (
            MAIL | {"RAVEN_SMTP_USER": "raven", "RAVEN_SMTP_PASSWORD": "HIDDENö"},
            "RAVEN_SMTP_PASSWORD: it has a character that is not in ASCII",
        ),
        (
            {"RAVEN_NOTIFY_WEBHOOKS": "https://h/HIDDEN"},
            "RAVEN_NOTIFY_WEBHOOKS: RAVEN_WEBHOOK_SECRET is missing",
        ),
        (
            WEBHOOK | {"RAVEN_NOTIFY_WEBHOOKS": "ftp://h/HIDDEN"},
            "RAVEN_NOTIFY_WEBHOOKS: address 1 is not like",
        ),
        (WEBHOOK | {"RAVEN_NOTIFY_WEBHOOKS": "https:///HIDDEN"}, "RAVEN_NOTIFY_WEBHOOKS: address 1 is not"),
        (
            WEBHOOK | {"RAVEN_NOTIFY_WEBHOOKS": "https://h:99999/HIDDEN"},
            "RAVEN_NOTIFY_WEBHOOKS: address 1 is",
        ),
        (
            WEBHOOK | {"RAVEN_NOTIFY_WEBHOOKS": "https://h/HIDDENö"},
            "RAVEN_NOTIFY_WEBHOOKS: address 1 has a ch",
        ),
        (
            WEBHOOK | {"RAVEN_NOTIFY_WEBHOOKS": "https://h/HIDDEN#x"},
            "RAVEN_NOTIFY_WEBHOOKS: address 1 has a '#'",
        ),
        ({"RAVEN_WEBHOOK_SECRET": "whsec_HIDDEN!"}, "RAVEN_WEBHOOK_SECRET: it is not base64"),
        ({"RAVEN_WEBHOOK_SECRET": "whsec_SElEREVO"}, "RAVEN_WEBHOOK_SECRET: it is not 'whsec_' and 24 to 64"),
        ({"RAVEN_WEBHOOK_SECRET": SECRET.removeprefix("whsec_")}, "RAVEN_WEBHOOK_SECRET: it is not 'whsec_'"),
        ({"RAVEN_PUBLIC_URL": "raven.example.org"}, "RAVEN_PUBLIC_URL: it is not like https://host/path."),
    ],
)
def test_what_is_wrong_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
):
    with pytest.raises(Invalid) as refusal:
        read(monkeypatch, variables)
    assert refusal.value.code == "settings.invalid"
    assert refusal.value.message.startswith(said)
    assert "HIDDEN" not in str(refusal.value.describe())
    assert "HIDDEN" not in repr(refusal.value.__context__)


def test_a_setting_that_is_refused_brings_no_second_error(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(Invalid) as refusal:
        read(
            monkeypatch,
            {"RAVEN_SMTP_HOST": "mail", "RAVEN_SMTP_SENDER": "x", "RAVEN_NOTIFY_EMAILS": "a@example.org"},
        )
    assert len(refusal.value.parameters["problems"]) == 1


def test_secrets_are_known_to_the_log(monkeypatch: pytest.MonkeyPatch):
    settings = read(
        monkeypatch,
        MAIL
        | WEBHOOK
        | {
            "RAVEN_SMTP_USER": "raven",
            "RAVEN_SMTP_PASSWORD": "p4ssword",
            "RAVEN_NOTIFY_WEBHOOKS": "https://Hooks.Example.org:443/T0KEN/x?key=K3Y,https://h/,https://h",
        },
    )
    secrets = [secret.get_secret_value() for secret in settings.list_secrets()]
    for expected in ("p4ssword", SECRET, "/T0KEN/x?key=K3Y", "https://Hooks.Example.org:443/T0KEN/x?key=K3Y"):
        assert expected in secrets
    assert "/" not in secrets
