"""Hints of errors name commands; on screens, the screen that shows the same is named instead."""

import re

from raven_scan.web.texts import Texts

_SCREENS = {
    "datasets": "Datasets",
    "runs": "Training runs",
    "models": "Trained models",
    "tokens": "API tokens",
    "subscriptions": "Subscriptions",
    "users": "Users",
    "roles": "Roles",
    "trash": "Trash",
    "policy": "Publishing policy",
    "queue": "Queue",
    "doctor": "System health",
}
_LOOKING = re.compile(
    r"`raven (?:"
    r"(datasets|runs|models|tokens|subscriptions|users|roles|trash|policy) (?:list|show|published|evaluations)"
    r"|(queue|doctor))\b[^`]*`"
)
"""Commands that show something, and change nothing."""


def name_screens(hint: str, texts: Texts) -> str:
    """The hint with screens in place of commands, as far as a screen does what the command does."""

    def name(found: re.Match[str]) -> str:
        screen = _SCREENS[found[1] or found[2]]
        sentence = (
            "The screen \u201c{screen}\u201d" if not found.start() else "the screen \u201c{screen}\u201d"
        )
        return texts(sentence, screen=texts(screen))

    return _LOOKING.sub(name, hint)
