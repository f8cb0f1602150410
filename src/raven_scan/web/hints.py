"""Hints of errors name commands; on screens, the screen that shows the same is named instead."""

import re

from raven_scan.web.texts import Texts

_SCREENS = {
    "datasets": "Datasets",
    "runs": "Training runs",
    "presets": "Presets",
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
_BUTTONS = {
    "runs retry": "Retry",
    "runs clone": "Clone",
    "runs cancel": "Cancel run",
    "runs edit": "Edit",
    "runs compare": "Compare",
    "datasets edit": "Edit",
    "models edit": "Edit",
    "models evaluate": "Evaluate",
    "models publish": "Publish model",
    "models rollback": "Roll back",
    "users reset-password": "Reset password",
    "users enable": "Enable",
    "tokens create": "New token",
    "audit verify": "Verify",
}
_LOOKING = " (?:list|show|published|evaluations?|artifacts|logs|watch)"
_KNOWN = re.compile(
    rf"`raven (?:({'|'.join(_SCREENS)})(?:{_LOOKING}|(?<=queue)|(?<=doctor))"
    rf"|({'|'.join(_BUTTONS)}))(?! --deep)\b[^`]*`"
)
"""Commands that show what a screen shows, or do what a button does."""


def name_screens(hint: str, texts: Texts) -> str:
    """The hint with screens and buttons in place of commands, as far as there are any that do what the command does."""

    def name(found: re.Match[str]) -> str:
        begins = found.start() == 0 or hint[: found.start()].endswith(". ")
        if found[1] is not None:
            screen = texts(_SCREENS[found[1]])
            return (
                texts("The screen \u201c{screen}\u201d", screen=screen)
                if begins
                else texts("the screen \u201c{screen}\u201d", screen=screen)
            )
        button = texts(_BUTTONS[found[2]])
        return (
            texts("The button \u201c{button}\u201d", button=button)
            if begins
            else texts("the button \u201c{button}\u201d", button=button)
        )

    return _KNOWN.sub(name, hint)
