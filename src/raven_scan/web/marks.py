"""Small pieces of HTML that lists and pages share. All that comes from users is escaped here."""

import json
from html import escape

from raven_scan.training_runs.types import RunStatus
from raven_scan.web.texts import Texts, later

_STATUSES = {
    RunStatus.DRAFT: (later("Draft"), ""),
    RunStatus.WAITING: (later("Waiting"), "warn"),
    RunStatus.PROCESSING: (later("Processing"), "busy"),
    RunStatus.PAUSED: (later("Paused"), "warn"),
    RunStatus.SUCCESS: (later("Success"), "good"),
    RunStatus.ERROR: (later("Error"), "bad"),
    RunStatus.CANCELLED: (later("Cancelled"), ""),
}
"""What each is called, and the kind of its chip."""


def mark(text: str, kind: str) -> str:
    """A chip; `kind`: good, bad, warn, busy or nothing."""
    return f'<span class="chip {kind}">{escape(text)}</span>'


def mark_status(status: RunStatus, texts: Texts) -> str:
    return mark(name_status(status, texts), _STATUSES[status][1])


def name_status(status: RunStatus, texts: Texts) -> str:
    return texts(_STATUSES[status][0])


def embed(value: object) -> str:
    """JSON in an attribute."""
    return escape(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def as_prop(text: str) -> str:
    """A text as the value of one of NiceGUI's props, which are no HTML."""
    return json.dumps(text, ensure_ascii=False)


def draw_bar(share: float, label: str) -> str:
    """How far something is, in 0-1."""
    percent = round(100 * min(max(share, 0.0), 1.0), 1)
    return (
        f'<div class="bar" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent:.0f}" '
        f'aria-label="{escape(label)}"><div style="width:{percent}%"></div></div>'
    )


def list_facts(facts: list[tuple[str, str]]) -> str:
    """Names with values, which are HTML already."""
    return (
        '<dl class="facts">'
        + "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts)
        + "</dl>"
    )


def link(text: str, path: str) -> str:
    return f'<a href="{escape(path)}">{escape(text)}</a>'


def list_places(places: list[tuple[str, str]], here: str, label: str) -> str:
    """Links to the parts of something, of which one is here."""
    links = "".join(
        f'<a href="{escape(path)}"{" aria-current=page" if path == here else ""}>{escape(name)}</a>'
        for path, name in places
    )
    return f'<nav class="places" aria-label="{escape(label)}">{links}</nav>'
