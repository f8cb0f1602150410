"""Claims in words, in the groups that people think of them in."""

from collections.abc import Callable, Collection
from html import escape

from nicegui import ui

from raven_scan.access.types import GRANTABLE_CLAIMS, Claim
from raven_scan.web.texts import Texts, later

CLAIM_GROUPS: dict[str, dict[Claim, str]] = {
    later("Datasets"): {
        Claim.DATASET_VIEW: later("See datasets"),
        Claim.DATASET_IMPORT: later("Import datasets"),
        Claim.DATASET_EDIT: later("Rename datasets, and write notes"),
        Claim.DATASET_EXPORT: later("Export datasets"),
        Claim.DATASET_DELETE: later("Delete and restore datasets"),
    },
    later("Training runs"): {
        Claim.TRAINING_RUN_VIEW: later("See training runs"),
        Claim.TRAINING_RUN_CREATE: later("Create training runs"),
        Claim.TRAINING_RUN_SCHEDULE: later("Schedule, resume and retry training runs, and order the queue"),
        Claim.TRAINING_RUN_EDIT: later("Rename training runs, and write notes"),
        Claim.TRAINING_RUN_CANCEL: later("Pause and cancel training runs"),
        Claim.TRAINING_RUN_DELETE: later("Delete and restore training runs"),
    },
    later("Trained models"): {
        Claim.TRAINED_MODEL_VIEW: later("See trained models"),
        Claim.TRAINED_MODEL_IMPORT: later("Import trained models"),
        Claim.TRAINED_MODEL_EDIT: later("Rename trained models, and write notes"),
        Claim.TRAINED_MODEL_EXPORT: later("Export trained models and checkpoints"),
        Claim.TRAINED_MODEL_REVIEW: later("Evaluate and review trained models"),
        Claim.TRAINED_MODEL_PUBLISH: later("Publish, withdraw and roll back trained models"),
        Claim.TRAINED_MODEL_OVERRIDE: later("Publish trained models that do not meet the policy"),
        Claim.TRAINED_MODEL_DELETE: later("Delete and restore trained models"),
        Claim.DETECTION_CREATE: later("Detect with published models"),
        Claim.POLICY_EDIT: later("Change the publishing policy"),
    },
    later("Administration"): {
        Claim.USER_VIEW: later("See users and roles"),
        Claim.USER_EDIT: later("Create, change and disable users"),
        Claim.ROLE_EDIT: later("Create and change roles"),
        Claim.AUDIT_VIEW: later("See the audit trail"),
        Claim.SETTINGS_VIEW: later("See settings and the system's health"),
        Claim.SETTINGS_EDIT: later("Change settings"),
        Claim.SYSTEM_VIEW: later("See workers and storage"),
        Claim.NOTIFICATION_SEND: later("Send test notifications to everybody"),
    },
}
"""Every claim that a role may hold, once."""

assert {claim for group in CLAIM_GROUPS.values() for claim in group} == GRANTABLE_CLAIMS  # noqa: S101 - at import


def name_claim(claim: Claim, texts: Texts) -> str:
    return texts(next(group[claim] for group in CLAIM_GROUPS.values() if claim in group))


def draw_claims(claims: Collection[Claim], texts: Texts) -> str:
    """What somebody may do, group by group."""
    parts: list[str] = []
    for name, group in CLAIM_GROUPS.items():
        held = [texts(words) for claim, words in group.items() if claim in claims]
        if held:
            items = "".join(f"<li>{escape(each)}</li>" for each in held)
            parts.append(f'<div><h3>{escape(texts(name))}</h3><ul class="plain">{items}</ul></div>')
    if not parts:
        return f'<p class="muted">{escape(texts("Nothing but look at this page."))}</p>'
    return f'<div class="claims">{"".join(parts)}</div>'


class ClaimChoice:
    """Boxes to tick, one for each claim that may be given.

    Args:
        texts: in the user's language.
        offered: claims that may be chosen.
        chosen: those that are ticked at first.
    """

    def __init__(self, texts: Texts, offered: Collection[Claim], chosen: Collection[Claim] = ()) -> None:
        self._boxes: dict[Claim, ui.checkbox] = {}
        with ui.element("div").classes("claims") as self.element:
            for name, group in CLAIM_GROUPS.items():
                shown = {claim: words for claim, words in group.items() if claim in offered}
                if not shown:
                    continue
                with ui.element("fieldset").classes("plain"):
                    ui.html(f"<legend>{escape(texts(name))}</legend>", sanitize=False)
                    for claim, words in shown.items():
                        self._boxes[claim] = ui.checkbox(texts(words), value=claim in chosen).props("dense")

    @property
    def chosen(self) -> list[Claim]:
        return [claim for claim, box in self._boxes.items() if box.value]

    def on_change(self, act: Callable[[], object]) -> None:
        for box in self._boxes.values():
            box.on_value_change(act)
