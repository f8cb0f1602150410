"""What an import found, as HTML: all that is wrong with a source, or what it would make."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from raven_scan.datasets.types import Notice, PartCounts
from raven_scan.kernel.errors import RavenError
from raven_scan.web.marks import list_facts
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer


def draw_refusal(error: RavenError, viewer: Viewer) -> str:
    """The error, with a table of every problem where it is a report of several."""
    t = viewer.texts
    problems: list[dict[str, Any]] = error.parameters.get("problems") or []
    if not problems:
        return viewer.draw_error(error, kind="bad")
    count = int(error.parameters.get("problem_count", len(problems)))
    title = t("1 problem") if count == 1 else t("{count} problems", count=t.number(count))
    counts: Mapping[str, int] = error.parameters.get("counts") or {}
    kinds = "".join(
        f'<span class="chip bad">{escape(_name_kind(code))}: {t.number(number)}</span>'
        for code, number in sorted(counts.items(), key=lambda item: -item[1])
    )
    listed = (
        f'<p class="small muted">{escape(t("The first {count} are listed.", count=t.number(len(problems))))}</p>'
        if count > len(problems)
        else ""
    )
    rows = "".join(
        f'<tr><td class="mono">{escape(each["file"])}</td><td>{escape(each["record"])}</td>'
        f"<td>{escape(each['message'])}</td></tr>"
        for each in problems
    )
    lines = "\n".join(
        f"{each['file']}\t{each['record']}\t{each['message']}\t{each['code']}" for each in problems
    )
    head = "".join(f"<th>{escape(each)}</th>" for each in (t("File"), t("Record"), t("What is wrong")))
    return (
        f'<div class="notice bad" role="alert"><b>{escape(title)}. {escape(t("Nothing was stored."))}</b><br>'
        f"{escape(t('Correct what is listed, and upload again.'))}</div>"
        f'<div class="row-gap">{kinds}<a class="small" download="problems.txt" '
        f'href="data:text/plain;charset=utf-8,{quote(lines)}">{escape(t("Save the list"))}</a></div>{listed}'
        f'<div class="problems" tabindex="0" role="region" aria-label="{escape(title)}">'
        f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def draw_notices(notices: Sequence[Notice], t: Texts) -> str:
    """What should be known, though it kept nothing from being done."""
    items = "".join(
        f"<li>{escape(each.message)}"
        + (f" ({t.number(each.count)})" if each.count > 1 else "")
        + (f'<div class="small muted">{escape(", ".join(each.examples))}</div>' if each.examples else "")
        + "</li>"
        for each in notices
    )
    return f'<ul class="notices">{items}</ul>' if items else ""


def draw_parts(parts: Mapping[str, PartCounts], classes: Sequence[str], t: Texts) -> str:
    """How many images and boxes each part has, and the classes."""
    facts = [
        (
            t(name),
            escape(
                t(
                    "{images} images, {boxes} boxes",
                    images=t.number(part.image_count),
                    boxes=t.number(part.box_count),
                )
            ),
        )
        for name, part in parts.items()
    ]
    return list_facts([*facts, (t("Classes"), escape(", ".join(classes)))])


def _name_kind(code: str) -> str:
    return code.rpartition(".")[2].replace("_", " ")
