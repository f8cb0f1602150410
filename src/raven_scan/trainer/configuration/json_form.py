"""Configurations as JSON that MMEngine reads back as they are."""

import json
from typing import Any


def make_plain(value: Any) -> Any:
    """Copy configuration data into what JSON has: tuples become lists.

    Raises:
        TypeError: something is no data (a class, a function), or a key is no text.
    """
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"A configuration cannot have the key {key!r}.")
        return {key: make_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"A configuration cannot hold {value!r}.")


def encode_configuration(configuration: dict[str, Any]) -> bytes:
    """JSON for `mmengine.Config.fromfile`.

    MMEngine replaces `{{ name }}` and `{{$VARIABLE:default}}` in the text of a file before it parses it. Two opening
    braces in a row occur in JSON only inside a string, where they are written as escapes here: a class name stays
    a class name.
    """
    text = json.dumps(configuration, ensure_ascii=True, allow_nan=False, indent=1)
    return text.replace("{{", "\\u007b\\u007b").encode("ascii")
