"""What an import is asked to do, as a form; what was typed is kept across a lost connection."""

import json
from dataclasses import dataclass

from nicegui import ui

from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.errors import Invalid
from raven_scan.web.frame import button
from raven_scan.web.marks import as_prop
from raven_scan.web.viewer import Viewer

_FORM = "dataset-import"
_FIELD = "outlined dense"


@dataclass(slots=True)
class _ClassRow:
    old: ui.input
    new: ui.input


class ImportForm:
    """Args:
    name: of the dataset; empty to be suggested by the archive.
    """

    def __init__(self, viewer: Viewer, name: str) -> None:
        self._viewer = viewer
        self._given_name = name
        self._rows: list[_ClassRow] = []

    def build(self) -> None:
        t = self._viewer.texts
        next_version = t("Under a name that is there already, the next version is made.")
        about_seed = t("Where the archive has no parts of its own, the same seed gives the same parts.")
        with ui.element("div").classes("form").props(f'data-keep="{_FORM}"') as self._form:
            self._name = ui.input(t("Name of the dataset"), value=self._given_name).props(
                f"{_FIELD} maxlength=100 name=name hint={as_prop(next_version)}"
            )
            with (
                ui.expansion(t("Options"), icon="tune").classes("options").props("dense dense-toggle"),
                ui.element("div").classes("form"),
            ):
                self._single_class = ui.input(t("Make every class this one")).props(
                    f"{_FIELD} name=single_class hint={as_prop(t('Leave it empty to keep the classes.'))}"
                )
                ui.label(t("Rename classes")).classes("form-title")
                ui.label(
                    t("Classes that get the same name become one. “Only check” lists those that there are.")
                ).classes("muted small")
                self._classes = ui.element("div").classes("class-rows")
                with ui.element("div"):
                    button(t("Add a class"), lambda: self._add_row("", ""), icon="add")
                self._bands = ui.input(t("Bands that are red, green and blue")).props(
                    f'{_FIELD} name=bands placeholder="1, 2, 3" '
                    f"hint={as_prop(t('Of images with more than three; counted from 1.'))}"
                )
                self._seed = ui.number(t("Seed of the split"), value=0, precision=0).props(
                    f"{_FIELD} name=seed hint={as_prop(about_seed)}"
                )
                self._allow_leak = ui.checkbox(
                    t("Admit the same image in several parts; figures on its test part will be too good")
                ).props("dense name=allow_leak")
        ui.run_javascript(f"ravenWhenThere(() => getHtmlElement({self._form.id}), ravenKeep)")

    def suggest_name(self, name: str) -> None:
        """Fills in the name where there is none yet: in the browser, which may have kept one."""
        ui.run_javascript(
            f"ravenWhenThere(() => getHtmlElement({self._form.id})?.querySelector('[name=name]'), (field) => {{"
            "if (field.value && field.value !== field.dataset.suggested) return;"
            f"field.value = field.dataset.suggested = {json.dumps(name[:100])};"
            "field.dispatchEvent(new Event('input', { bubbles: true })); })"
        )

    def suggest_classes(self, classes: list[str]) -> None:
        """Shows the classes that a check found, to be renamed; those that were asked for stay."""
        if not self._rows and not (self._single_class.value or "").strip():
            for name in classes:
                self._add_row(name, "")

    def read_options(self) -> ImportOptions:
        """Raises Invalid where the bands or the seed are none."""
        typed = [((row.old.value or "").strip(), (row.new.value or "").strip()) for row in self._rows]
        renames = {old: new for old, new in typed if old and new}
        return ImportOptions(
            name=(self._name.value or "").strip(),
            class_map=renames,
            single_class=(self._single_class.value or "").strip() or None,
            allow_leak=bool(self._allow_leak.value),
            bands=self._read_bands(),
            seed=int(self._seed.value or 0),
        )

    def forget(self) -> None:
        """What was typed is not needed any more."""
        ui.run_javascript(f"ravenForget('{_FORM}')")

    def _add_row(self, old: str, new: str) -> None:
        t = self._viewer.texts
        with self._classes, ui.element("div").classes("class-row") as line:
            row = _ClassRow(
                ui.input(t("Class"), value=old).props(_FIELD), ui.input(t("Becomes"), value=new).props(_FIELD)
            )

            def remove() -> None:
                self._rows.remove(row)
                line.delete()

            ui.button(icon="close", on_click=remove, color=None).props(
                f"flat round dense aria-label={as_prop(t('Leave this class as it is'))}"
            )
        self._rows.append(row)

    def _read_bands(self) -> tuple[int, int, int] | None:
        t = self._viewer.texts
        given = (self._bands.value or "").replace(",", " ").split()
        if not given:
            return None
        numbers = [int(each) for each in given if each.isascii() and each.isdigit() and int(each) > 0]
        if len(numbers) != 3 or len(given) != 3:
            raise Invalid(
                "dataset.bad_bands",
                t("Bands are three numbers, counted from 1."),
                hint=t("Write them as 1, 2, 3, or leave the field empty."),
            )
        return numbers[0] - 1, numbers[1] - 1, numbers[2] - 1
