"""What the API refuses of its fields, told of the options and arguments that were typed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def name_what_was_typed(
    description: Mapping[str, Any], command: Any, arguments: Sequence[str]
) -> dict[str, Any]:
    """An error of the API with the command's words in place of the request's.

    Args:
        description: what `RavenError.describe` says of a `request.invalid`.
        command: the whole program.
        arguments: what followed its name.
    """
    path = ["raven"]
    for argument in arguments:
        below = getattr(command, "commands", {})
        if argument not in below:
            break
        command = below[argument]
        path.append(argument)
    typed = {name: words for parameter in command.params for name, words in _list_names(parameter)}
    problems: list[dict[str, Any]] = [
        {**each, "message": each["message"].replace(field, _find(typed, field), 1)}
        for each in description["parameters"].get("problems", [])
        if (field := each.get("field")) is not None
    ]
    if not problems:
        return dict(description)
    return {
        **description,
        "message": " ".join(each["message"] for each in problems),
        "hint": f"Correct what was typed; `{' '.join(path)} --help` says what it takes.",
        "parameters": {**description["parameters"], "problems": problems},
    }


def _list_names(parameter: Any) -> Iterator[tuple[str, str]]:
    """Names that a field of the API may have, each with the words that users know it by."""
    if parameter.param_type_name == "argument":
        yield parameter.name, parameter.metavar or parameter.name.upper()
        return
    words = max(parameter.opts, key=len)
    yield parameter.name, words
    for option in parameter.opts:
        yield option.lstrip("-").replace("-", "_"), words


def _find(typed: Mapping[str, str], field: str) -> str:
    first = field.partition(".")[0]
    names = (first, first.removesuffix("s"), first.removesuffix("_id"))
    return next((typed[name] for name in names if name in typed), field)
