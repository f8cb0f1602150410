"""Claims in words, in the groups that people think of them in."""

from collections.abc import Callable, Collection
from html import escape

from nicegui import ui

from raven_scan.access.types import GRANTABLE_CLAIMS, Claim
from raven_scan.web.texts import Texts

CLAIM_GROUPS: dict[str, dict[Claim, str]] = {
    "Datasets": {
        Claim.DATASET_VIEW: "See datasets",
        Claim.DATASET_IMPORT: "Import datasets",
        Claim.DATASET_EDIT: "Rename datasets, and write notes",
        Claim.DATASET_EXPORT: "Export datasets",
        Claim.DATASET_DELETE: "Delete and restore datasets",
    },
    "Training runs": {
        Claim.TRAINING_RUN_VIEW: "See training runs",
        Claim.TRAINING_RUN_CREATE: "Create training runs",
        Claim.TRAINING_RUN_SCHEDULE: "Schedule, resume and retry training runs, and order the queue",
        Claim.TRAINING_RUN_EDIT: "Rename training runs, and write notes",
        Claim.TRAINING_RUN_CANCEL: "Pause and cancel training runs",
        Claim.TRAINING_RUN_DELETE: "Delete and restore training runs",
    },
    "Trained models": {
        Claim.TRAINED_MODEL_VIEW: "See trained models",
        Claim.TRAINED_MODEL_IMPORT: "Import trained models",
        Claim.TRAINED_MODEL_EDIT: "Rename trained models, and write notes",
        Claim.TRAINED_MODEL_EXPORT: "Export trained models and checkpoints",
        Claim.TRAINED_MODEL_REVIEW: "Evaluate and review trained models",
        Claim.TRAINED_MODEL_PUBLISH: "Publish, withdraw and roll back trained models",
        Claim.TRAINED_MODEL_OVERRIDE: "Publish trained models that do not meet the policy",
        Claim.TRAINED_MODEL_DELETE: "Delete and restore trained models",
        Claim.DETECTION_CREATE: "Detect with published models",
        Claim.POLICY_EDIT: "Change the publishing policy",
    },
    "Administration": {
        Claim.USER_VIEW: "See users and roles",
        Claim.USER_EDIT: "Create, change and disable users",
        Claim.ROLE_EDIT: "Create and change roles",
        Claim.AUDIT_VIEW: "See the audit trail",
        Claim.SETTINGS_VIEW: "See settings and the system's health",
        Claim.SETTINGS_EDIT: "Change settings",
        Claim.SYSTEM_VIEW: "See workers and storage",
        Claim.NOTIFICATION_SEND: "Send test notifications to everybody",
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
