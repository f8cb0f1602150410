"""Questions with fields, and secrets that are shown once."""

import json
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from html import escape
from zlib import crc32

from nicegui import ui

from raven_scan.kernel.errors import RavenError, Unauthenticated
from raven_scan.web.frame import button
from raven_scan.web.marks import as_prop
from raven_scan.web.viewer import Viewer

LASTING = "lasting"
"""The class of dialogs that stay where their user goes: what they show cannot be seen again."""


def close_questions() -> None:
    """To be called where another screen is shown: a question of the one before is not asked any more."""
    for each in list(ui.context.client.elements.values()):
        if isinstance(each, ui.dialog) and LASTING not in each.classes:
            each.close()


class Question:
    """A dialog with fields, which stays open while what was filled in is refused.

    Args:
        viewer: who is asked.
        title: of the dialog.
        action: what its button says.
    """

    def __init__(
        self,
        viewer: Viewer,
        title: str,
        *,
        action: str,
        kind: str = "primary",
    ) -> None:
        self._viewer = viewer
        self._title = title
        self._kept = ""
        # Not inside what asks: that may be built anew meanwhile.
        self._page = ui.context.client.content
        with (
            self._page,
            ui.dialog().props("no-backdrop-dismiss") as self._dialog,
            ui.card().classes("question"),
        ):
            ui.html(f"<h2>{escape(title)}</h2>", sanitize=False)
            self._fields = ui.element("div").classes("fields")
            self._said = ui.html("", sanitize=False).props('role="alert"')
            with ui.element("div").classes("row-gap question-end"):
                button(viewer.texts("Cancel"), self.close)
                button(action, self._try, kind=kind)
        self._dialog.on("hide", self._dialog.delete)
        self._dialog.on("escape-key", self.close)

    @contextmanager
    def fields(self) -> Generator[None]:
        """What is within is asked."""
        with self._fields:
            yield

    def open(self, act: Callable[[], Awaitable[object]]) -> None:
        """Asks; `act` is done with what was filled in, and what it raises is told in the dialog."""
        self._act = act
        self._dialog.open()
        self._keep()

    def close(self) -> None:
        ui.run_javascript(f"ravenForget({json.dumps(self._kept)})")
        self._dialog.close()

    def _keep(self) -> None:
        """What is typed outlasts a restart of the server: it is there when the same is asked again.

        Of the same thing as it was: what somebody changed meanwhile is not written over.
        """
        begun: list[str] = []
        for field in self._fields.descendants():
            if isinstance(field, ui.input | ui.textarea | ui.number):
                field.props["name"] = field.label
                begun.append(str(field.value))
        path = self._page.client.sub_pages_router.current_path.partition("?")[0]
        self._kept = f"{path} {self._title} {crc32(repr(begun).encode())}"
        self._fields.props(f"data-keep={as_prop(self._kept)}")
        ui.run_javascript(f"ravenWhenThere(() => getHtmlElement({self._fields.id}), ravenKeep)")

    async def _try(self) -> None:
        try:
            with self._page:
                await self._act()
        except Unauthenticated as error:
            self._viewer.tell(error)
        except RavenError as error:
            hint = self._viewer.describe_hint(error)
            self._said.set_content(
                f'<div class="notice bad"><b>{escape(error.message)}</b><br>{escape(hint)}</div>'
            )
        else:
            self.close()


def show_once(viewer: Viewer, title: str, explanation: str, secrets: dict[str, str]) -> None:
    """Secrets, by their names, which nobody can see again; it is closed by its button alone."""
    t = viewer.texts
    with (
        ui.context.client.content,
        ui.dialog().props("persistent").classes(LASTING) as dialog,
        ui.card().classes("question"),
    ):
        ui.html(f"<h2>{escape(title)}</h2>", sanitize=False)
        ui.label(explanation).classes("muted")
        for name, secret in secrets.items():
            ui.html(
                f'<div class="small muted">{escape(name)}</div>'
                f'<code class="secret" tabindex="0">{escape(secret)}</code>',
                sanitize=False,
            )
            with ui.element("div"):
                button(t("Copy"), lambda: None, icon="content_copy").on(
                    "click", js_handler=f"(event) => ravenCopy({json.dumps(secret)}, event.target)"
                ).props(f"data-copied={as_prop(t('Copied'))}")
        with ui.element("div").classes("row-gap question-end"):
            button(t("I have kept it"), dialog.close, kind="primary")
    dialog.on("hide", dialog.delete)
    dialog.open()
