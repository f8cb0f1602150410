"""The images of a dataset version, page by page; which they are is in the address."""

from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import urlencode

from nicegui import ui

from raven_scan.datasets.browsing import ImageChoice
from raven_scan.datasets.types import DatasetVersionView, Part
from raven_scan.web.dataset_gallery import draw_gallery
from raven_scan.web.frame import button
from raven_scan.web.marks import as_prop
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler

_AN_PAGE = 24
_BACKGROUND = "-"
"""Instead of a class: images without a box."""


class VersionGallery:
    """Args:
    asked: what the address asks for: part, class, q, page (from 1).
    """

    def __init__(
        self, viewer: Viewer, services: Services, version: DatasetVersionView, asked: dict[str, str]
    ) -> None:
        self._viewer = viewer
        self._services = services
        self._version = version
        t = viewer.texts
        self._parts = {
            "": t("All parts"),
            **{name: t(name) for name, part in version.parts.items() if part.image_count},
        }
        # Classes are known by their place: one may be called as it likes.
        self._classes = {
            "": t("All classes"),
            **{str(place): name for place, name in enumerate(version.classes)},
            _BACKGROUND: t("Without a box"),
        }
        part, class_ = asked.get("part", ""), asked.get("class", "")
        self._wanted = {
            "part": part if part in self._parts else "",
            "class": class_ if class_ in self._classes else "",
            "q": asked.get("q", ""),
        }
        page = asked.get("page", "")
        self._page = int(page) - 1 if page.isascii() and page.isdigit() and 0 < int(page[:9]) < 1 << 20 else 0

    async def show(self) -> None:
        t = self._viewer.texts
        with ui.element("div").classes("row-gap"):
            for name, label, options in (
                ("part", t("Part"), self._parts),
                ("class", t("Class"), self._classes),
            ):
                ui.select(options, value=self._wanted[name], on_change=self._choose(name)).props(
                    f"outlined dense options-dense aria-label={as_prop(label)}"
                ).style("min-width: 160px; max-width: 300px")
            ui.input(placeholder=t("File name"), value=self._wanted["q"], on_change=self._choose("q")).props(
                f"outlined dense clearable debounce=300 type=search aria-label={as_prop(t('Search images'))}"
            ).style("min-width: 200px")
            self._count = ui.label("").classes("muted small").props('aria-live="polite"')
        self._shown = ui.html("", sanitize=False)
        with (
            ui.element("nav").classes("row-gap").props(f"aria-label={as_prop(t('Pages of images'))}") as pages
        ):
            self._back = self._add_turn(t("Back"), -1, "chevron_left")
            self._forward = self._add_turn(t("Next"), 1, "chevron_right")
            self._place = ui.label("").classes("muted small")
        self._pages = pages
        await self._refresh()

    def _add_turn(self, text: str, by: int, icon: str) -> ui.button:
        async def turn() -> None:
            self._page = max(0, self._page + by)
            await self._refresh()
            self._keep_address()

        return button(text, as_handler(self._viewer, turn), icon=icon).props(f'data-turn="{by}"')

    def _choose(self, name: str) -> Callable[[object], Awaitable[None]]:
        async def choose(event: object) -> None:
            self._wanted[name] = str(getattr(event, "value", None) or "")
            self._page = 0
            await as_handler(self._viewer, self._refresh)()
            self._keep_address()

        return choose

    def _keep_address(self) -> None:
        query = {**self._wanted, "page": str(self._page + 1) if self._page else ""}
        address = urlencode({name: value for name, value in query.items() if value})
        path = f"/datasets/{self._version.id}"
        ui.navigate.history.replace(f"{path}?{address}" if address else path)

    async def _refresh(self) -> None:
        t, version = self._viewer.texts, self._version
        asked = dict(self._wanted), self._page
        class_ = self._wanted["class"]
        chosen = ImageChoice(
            part=Part(self._wanted["part"]) if self._wanted["part"] else None,
            class_name=version.classes[int(class_)] if class_ not in {"", _BACKGROUND} else None,
            background=class_ == _BACKGROUND,
            words=self._wanted["q"].strip(),
        )
        found = await self._viewer.ask(
            self._services.dataset_browsing.list_images,
            str(version.id),
            chosen,
            first=self._page * _AN_PAGE,
            limit=_AN_PAGE,
        )
        page_count = max(1, -(-found.total // _AN_PAGE))
        if asked != (self._wanted, self._page):
            return  # something else was asked for meanwhile, whose answer is shown
        if self._page >= page_count:
            self._page = page_count - 1
            await self._refresh()
            return
        self._back.set_enabled(self._page > 0)
        self._forward.set_enabled(self._page + 1 < page_count)
        self._pages.set_visibility(page_count > 1)
        self._place.set_text(
            t("Page {page} of {pages}", page=t.number(self._page + 1), pages=t.number(page_count))
        )
        self._count.set_text(
            t("1 image") if found.total == 1 else t("{count} images", count=t.number(found.total))
        )
        if not found.items:
            self._shown.set_content(f'<div class="empty">{escape(t("No image is like that."))}</div>')
            return
        page = f"{self._page} {sorted(self._wanted.items())}"
        self._shown.set_content(draw_gallery(version.id, version.classes, found.items, page, t))
