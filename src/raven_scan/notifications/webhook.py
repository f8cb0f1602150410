"""Posts a message to a webhook, signed as Standard Webhooks has it.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hmac
import json
from contextlib import suppress
from datetime import datetime

import httpx
from pydantic import SecretStr

import raven_scan
from raven_scan.kernel.addresses import read_signing_key
from raven_scan.notifications.plain_text import hide_secrets, make_line
from raven_scan.notifications.types import SENT, Message, Outcome

_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
"""For each step; the whole has the limit of `sending.py`."""

_GONE = 410
_LONGEST_ANSWER = 200
"""Characters of an answer's body that are told."""
_LONGEST_START_BYTES = 4 * _LONGEST_ANSWER


def make_signature(secret: SecretStr, *, id_: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: HMAC-SHA256 over `id.timestamp.body`, in base64, as version 1."""
    signed = b".".join((id_.encode(), str(timestamp).encode(), body))
    digest = hmac.digest(read_signing_key(secret.get_secret_value()), signed, "sha256")
    return f"v1,{base64.b64encode(digest).decode()}"


def make_body(message: Message) -> bytes:
    """The JSON that is posted; the same each time that the message is sent."""
    content = {"type": message.event, "timestamp": message.created_at.isoformat(), "data": message.data}
    return json.dumps(content, allow_nan=False).encode()


def post_webhook(
    address: SecretStr, secret: SecretStr, message: Message, *, now: datetime, only_public: bool = False
) -> Outcome:
    """Posts the message once; only an answer of 2xx counts, and no redirect is followed.

    Args:
        address: whom to.
        secret: it is signed with this.
        message: what is told.
        now: goes into the signature, so that a receiver can refuse what is old.
        only_public: no machine is reached that is not of the internet.
    """
    body = make_body(message)
    timestamp = int(now.timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"raven-scan/{raven_scan.__version__}",
        "Accept-Encoding": "identity",
        "webhook-id": str(message.id),
        "webhook-timestamp": str(timestamp),
        "webhook-signature": make_signature(secret, id_=str(message.id), timestamp=timestamp, body=body),
    }
    url = address.get_secret_value()
    try:
        with (
            _open_client(only_public=only_public) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            return SENT if answer.is_success else _refuse(answer, address)
    except httpx.HTTPError as error:
        reason = str(error) or type(error).__name__
        return Outcome(is_sent=False, reason=_hide(f"The webhook did not answer: {reason}", address))


def _open_client(*, only_public: bool) -> httpx.Client:
    if not only_public:
        return httpx.Client(follow_redirects=False, timeout=_TIMEOUT)
    from raven_scan.notifications.public_network import PublicTransport  # noqa: PLC0415

    return httpx.Client(follow_redirects=False, timeout=_TIMEOUT, transport=PublicTransport())


def _refuse(answer: httpx.Response, address: SecretStr) -> Outcome:
    said = make_line(_hide(_read_start(answer), address), _LONGEST_ANSWER)
    reason = f"The webhook answered {answer.status_code}"
    if answer.is_redirect:
        reason += ", and redirects are not followed"
    return Outcome(
        is_sent=False,
        reason=f"{reason}: {said}" if said else f"{reason}.",
        is_final=answer.status_code == _GONE,
    )


def _read_start(answer: httpx.Response) -> str:
    start = b""
    with suppress(httpx.HTTPError):  # the status is known; of the rest, what came
        for chunk in answer.iter_raw(_LONGEST_ANSWER):
            start += chunk
            if len(start) >= _LONGEST_START_BYTES:
                break
    return start[:_LONGEST_START_BYTES].decode("utf-8", "replace")


def _hide(text: str, address: SecretStr) -> str:
    """A receiver may quote its address, which may hold a token."""
    path = httpx.URL(address.get_secret_value()).raw_path.decode()
    return hide_secrets(text, [address, *([SecretStr(path)] if path != "/" else [])])
