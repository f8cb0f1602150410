"""What must be true of settings beyond their types; what is wrong is told without quoting a value.

A check that needs another setting finds it only where that one comes before it.
"""

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationInfo
from pydantic_core import PydanticCustomError

from raven_scan.kernel import contacts
from raven_scan.kernel.addresses import (
    check_web_address,
    is_loopback,
    read_email_address,
    read_signing_key,
    split_list,
)

_COUNTRY_LETTERS = 3


def split(given: Any) -> Any:
    """The items of a list with commas between."""
    return split_list(given) if isinstance(given, str) else given


def read_country(given: Any) -> Any:
    """Three letters, in capitals; which ones there are is not known here."""
    if not isinstance(given, str):
        return given
    code = given.strip().upper()
    if len(code) != _COUNTRY_LETTERS or not code.isascii() or not code.isalpha():
        raise _refuse("it must be the three letters of a country in ISO 3166, as ITA")
    return code


def check_public_url(given: str | None) -> str | None:
    if given is not None:
        _refuse_where(check_web_address, given, "it")
    return given


def check_contact(given: str | None) -> str | None:
    if given is not None:
        _refuse_where(contacts.check_contact, given, "it")
    return given


def check_proxies(given: tuple[str, ...]) -> tuple[str, ...]:
    for network in given:
        try:
            ip_network(network)
        except ValueError:
            raise _refuse("one is no address or network, as 127.0.0.1 or 10.0.0.0/8") from None
    return given


def check_mail_sign_in(given: str | None, info: ValidationInfo) -> str | None:
    if given is not None:
        _check_sign_in(given, info)
    return given


def check_mail_password(given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    if given is not None:
        _check_sign_in(given.get_secret_value(), info)
        if _lacks("smtp_user", info):
            raise _refuse("RAVEN_SMTP_USER is missing")
    return given


def _check_sign_in(plain: str, info: ValidationInfo) -> None:
    if not plain.isascii() or not plain.isprintable():
        raise _refuse("it has a character that is not in ASCII, which the sign-in at mail servers wants")
    if info.data.get("smtp_security") == "none":
        raise _refuse(
            "nobody signs in without encryption; set RAVEN_SMTP_SECURITY to starttls or tls, or unset this"
        )


def check_sender(given: str | None) -> str | None:
    if given is not None:
        _refuse_where(read_email_address, given, "it")
    return given


def check_emails(given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    for number, address in enumerate(given, start=1):
        _refuse_where(read_email_address, address, f"address {number}")
    for needed in ("smtp_host", "smtp_sender"):
        if given and _lacks(needed, info):
            raise _refuse(f"RAVEN_{needed.upper()} is missing, without which no e-mail can be sent")
    return given


def check_webhook_secret(given: SecretStr | None) -> SecretStr | None:
    if given is not None:
        _refuse_where(read_signing_key, given.get_secret_value(), "it")
    return given


def check_webhooks(given: tuple[SecretStr, ...], info: ValidationInfo) -> tuple[SecretStr, ...]:
    for number, address in enumerate(given, start=1):
        _refuse_where(check_web_address, address.get_secret_value(), f"address {number}")
    if given and _lacks("webhook_secret", info):
        raise _refuse('RAVEN_WEBHOOK_SECRET is missing; make one: echo "whsec_$(openssl rand -base64 32)"')
    return given


def check_issuer(given: str | None) -> str | None:
    if given is not None:
        _refuse_where(check_web_address, given, "it")
        parts = urlsplit(given)
        if parts.query or parts.username is not None:
            raise _refuse("it has more than a host and a path")
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise _refuse("it must begin with https://, or be of this machine")
    return given


def check_client_id(given: str | None, info: ValidationInfo) -> str | None:
    if given is None:
        if info.data.get("oidc_issuer") is not None:
            raise _refuse("it is missing; RAVEN_OIDC_ISSUER alone lets nobody in")
    elif _lacks("oidc_issuer", info):
        raise _refuse("RAVEN_OIDC_ISSUER is missing")
    return given


def check_client_secret(given: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
    if given is not None and _lacks("oidc_issuer", info):
        raise _refuse("RAVEN_OIDC_ISSUER is missing")
    return given


def read_roles(given: Any) -> Any:
    """Roles by group, of `group=Role, group=Role`."""
    if not isinstance(given, str):
        return given
    pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
    if not all(group.strip() and equals and role.strip() for group, equals, role in pairs):
        raise _refuse("it is not like group=Role, group=Role")
    return {group.strip(): role.strip() for group, _, role in pairs}


def _lacks(name: str, info: ValidationInfo) -> bool:
    """Whether another setting is not there. One that was itself refused is told already."""
    return info.data.get(name, "") is None


def _refuse(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("setting", "{sentence}", {"sentence": sentence})


def _refuse_where(check: Callable[[str], object], given: str, subject: str) -> None:
    try:
        check(given)
    except ValueError as error:
        raise _refuse(f"{subject} {error}") from None
