"""The log on a run's page: it grows in the browser, is searched on the server, and can be downloaded."""

import re
from html import escape

from nicegui import ui

from raven_scan.training_runs.log_reading import LogMatch
from raven_scan.training_runs.types import LogRange
from raven_scan.web.frame import sheet
from raven_scan.web.marks import as_prop
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer

LINES = 400
_MOST_FOUND = 200


class RunLogPart:
    """The last lines, and what follows.

    Args:
        viewer: who looks.
        services: that are asked.
        run_id: whose log it is.
        log: its last lines.
    """

    def __init__(self, viewer: Viewer, services: Services, run_id: str, log: LogRange) -> None:
        self._viewer = viewer
        self._services = services
        self._run_id = run_id
        self._words = ""
        self._end = log.next_offset
        """Of what the browser was told, in bytes of the log."""
        self._build(log)

    def _build(self, log: LogRange) -> None:
        t = self._viewer.texts
        with sheet(classes="wide"):
            with ui.element("div").classes("head"):
                ui.html(f"<h2>{escape(t('Log'))}</h2>", sanitize=False)
                ui.element("div").classes("grow")
                ui.input(placeholder=t("Search the log"), on_change=self._take_words).props(
                    f"outlined dense clearable debounce=300 type=search aria-label={as_prop(t('Search the log'))}"
                )
                ui.html(
                    f'<label class="tick-label"><input type="checkbox" id="run-log-follow" checked> '
                    f"{escape(t('Follow'))}</label> "
                    f'<a href="/api/v1/training-runs/{self._run_id}/artifacts/log.txt" download>'
                    f"{escape(t('Download'))}</a>",
                    sanitize=False,
                ).classes("row-gap")
            self._found = ui.html("", sanitize=False).props('aria-live="polite"')
            is_empty = not log.text
            empty = t("Nothing is written yet. The log begins with the run's first attempt.")
            ui.html(
                f'<div id="run-log-empty" class="muted"{"" if is_empty else " hidden"}>{escape(empty)}</div>'
                f'<pre class="log" id="run-log" tabindex="0" role="log" aria-live="off" '
                f'aria-label="{escape(t("Log"))}"{" hidden" if is_empty else ""}>{escape(log.text)}</pre>',
                sanitize=False,
            )
        ui.run_javascript(
            "ravenWhenThere(() => document.getElementById('run-log'), (log) => { log.scrollTop = log.scrollHeight; })"
        )

    def take(self, logs: list[LogRange]) -> str:
        """What the browser does not have of these pieces."""
        fresh: list[str] = []
        for log in logs:
            if log.next_offset <= self._end:
                continue
            known = max(0, self._end - log.offset - log.missing_bytes)
            fresh.append(log.text.encode()[known:].decode(errors="replace") if known else log.text)
            self._end = log.next_offset
        return "".join(fresh)

    async def _take_words(self, event: object) -> None:
        async with self._viewer.telling_errors():
            await self._search(str(getattr(event, "value", None) or "").strip())

    async def _search(self, words: str) -> None:
        self._words = words
        if not words:
            self._found.set_content("")
            return
        matches: list[LogMatch] = []
        offset, line = 0, 1
        # A long log is searched piece by piece; what was found stands there while it goes on.
        while True:
            found = await self._viewer.ask(
                self._services.run_logs.search,
                self._run_id,
                words,
                offset=offset,
                line=line,
                most=_MOST_FOUND - len(matches),
            )
            if words != self._words:
                return  # others were typed meanwhile
            matches += found.matches
            goes_on = found.next_offset is not None and len(matches) < _MOST_FOUND
            self._found.set_content(
                self._draw_found(words, matches, goes_on=goes_on, has_more=found.next_offset is not None)
            )
            if not goes_on or self._found.is_deleted:
                return
            offset, line = found.next_offset or 0, found.next_line or 1

    def _draw_found(self, words: str, matches: list[LogMatch], *, goes_on: bool, has_more: bool) -> str:
        t, count = self._viewer.texts, len(matches)
        if goes_on:
            said = t("Searching: {count} lines with \u201c{words}\u201d so far.", count=count, words=words)
        elif not matches:
            said = t("No line has \u201c{words}\u201d in it.", words=words)
        elif has_more:
            said = t("The first {count} lines with \u201c{words}\u201d:", count=count, words=words)
        else:
            said = t("{count} lines with \u201c{words}\u201d:", count=count, words=words)
        lines = "".join(
            f'<span class="muted">{match.line:>6}</span>  {_mark(match.text, words)}\n' for match in matches
        )
        found = f'<pre class="log found" tabindex="0">{lines}</pre>' if lines else ""
        return f'<div class="small muted">{escape(said)}</div>{found}'


def _mark(text: str, words: str) -> str:
    found = re.search(re.escape(words), text, re.IGNORECASE)
    if found is None:
        return escape(text)
    before, after = text[: found.start()], text[found.end() :]
    return f"{escape(before)}<mark>{escape(found[0])}</mark>{escape(after)}"
