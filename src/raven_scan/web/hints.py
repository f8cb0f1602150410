"""Hints of errors name commands; on screens, the screen that shows the same is named instead."""

import re

from raven_scan.web.texts import Texts, later

_SCREENS = {
    "datasets": later("Datasets"),
    "runs": later("Training runs"),
    "presets": later("Presets"),
    "models": later("Trained models"),
    "tokens": later("API tokens"),
    "subscriptions": later("Subscriptions"),
    "users": later("Users"),
    "roles": later("Roles"),
    "trash": later("Trash"),
    "policy": later("Publishing policy"),
    "queue": later("Queue"),
    "doctor": later("System health"),
}
_BUTTONS = {
    "runs retry": later("Retry"),
    "runs clone": later("Clone"),
    "runs cancel": later("Cancel run"),
    "runs edit": later("Edit"),
    "runs compare": later("Compare"),
    "datasets edit": later("Edit"),
    "models edit": later("Edit"),
    "models pull": later("Download COCO weights"),
    "models import": later("Import a model"),
    "models withdraw": later("Withdraw"),
    "runs create": later("Create new training run"),
    "datasets delete": later("Delete the dataset"),
    "models evaluate": later("Evaluate"),
    "models publish": later("Publish model"),
    "models rollback": later("Roll back"),
    "users reset-password": later("Reset password"),
    "users enable": later("Enable"),
    "tokens create": later("New token"),
    "audit verify": later("Verify"),
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


def leave_out_marks(sentence: str) -> str:
    """Without the marks around what is typed in a terminal, which a screen shows as they are."""
    return sentence.replace("`", "")
