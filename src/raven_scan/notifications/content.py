"""What is kept of an event until everybody has been told."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
from pydantic import SecretStr

from raven_scan.notifications.plain_text import hide_secrets, make_storable
from raven_scan.notifications.types import RunEnded

_MOST_LOG_LINES = 40
_LONGEST_LOG_LINE = 400
_LONGEST_TEXT = 4000


def pack_event(event: RunEnded, secrets: Sequence[SecretStr]) -> dict[str, Any]:
    """The event as JSON-able data of bounded size, without secrets.

    Nothing in it may keep PostgreSQL from taking it: the run's end hangs on the same transaction.
    """

    def clean(text: str) -> str:
        return make_storable(hide_secrets(text, secrets))[:_LONGEST_TEXT]

    def clean_optional(text: str | None) -> str | None:
        return None if text is None else clean(text)

    return msgspec.to_builtins(
        replace(
            event,
            name=make_storable(event.name),
            dataset=None if event.dataset is None else make_storable(event.dataset),
            base_model=None if event.base_model is None else make_storable(event.base_model),
            model=None if event.model is None else make_storable(event.model),
            figures={
                make_storable(name): value if value is not None and math.isfinite(value) else None
                for name, value in event.figures.items()
            },
            error_code=clean_optional(event.error_code),
            error_message=clean_optional(event.error_message),
            error_hint=clean_optional(event.error_hint),
            log_tail=[clean(line)[:_LONGEST_LOG_LINE] for line in event.log_tail[-_MOST_LOG_LINES:]],
        )
    )


def unpack_event(content: dict[str, Any]) -> RunEnded:
    return msgspec.convert(content, RunEnded)
