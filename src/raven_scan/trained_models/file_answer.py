"""A file as an answer, whole or a part of it."""

import re

from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

_ONE_RANGE = re.compile(rb"bytes=(?:(?P<first>[0-9]{1,18})-(?P<last>[0-9]{0,18})|-[0-9]{1,18})")


class BlobAnswer(FileResponse):
    """A blob; its ETag is its sha256.

    One range of bytes is answered with that part. Several, and what is none, are answered with the whole file, as
    HTTP admits (RFC 9110, section 14.2).
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name != b"range" or _is_range(value)]
        await super().__call__({**scope, "headers": headers}, receive, send)


def _is_range(value: bytes) -> bool:
    found = _ONE_RANGE.fullmatch(value.replace(b" ", b""))
    if found is None:
        return False
    first, last = found["first"], found["last"]
    return not (first and last) or int(first) <= int(last)
