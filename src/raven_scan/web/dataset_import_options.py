"""What an import is asked to do, as a form; what was typed is kept across a lost connection."""

import json

from nicegui import ui

from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.errors import Invalid
from raven_scan.web.marks import as_prop
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer

_FORM = "dataset-import"
_FIELD = "outlined dense"


class ImportForm:
    """Args:
    name: of the dataset; empty to be suggested by the archive.
    """

    def __init__(self, viewer: Viewer, name: str) -> None:
        self._viewer = viewer
        self._given_name = name

    def build(self) -> None:
        t = self._viewer.texts
        next_version = t("Under a name that is there already, the next version is made.")
        about_renames = t(
            "A line for each, as old = new. Classes that get the same name become one. "
            "\u201cOnly check\u201d lists those that there are."
        )
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
                self._renames = ui.textarea(t("Rename classes")).props(
                    f"outlined autogrow name=renames hint={as_prop(about_renames)} "
                    'input-style="max-height: 300px" placeholder="bottle = litter"'
                )
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
            "const kept = 'raven_suggested dataset';"
            "if (field.value && field.value !== sessionStorage.getItem(kept)) return;"
            f"field.value = {json.dumps(name[:100])};"
            "sessionStorage.setItem(kept, field.value);"
            "field.dispatchEvent(new Event('input', { bubbles: true })); })"
        )

    def suggest_classes(self, classes: list[str]) -> None:
        """Shows the classes that a check found, to be renamed; those that were asked for stay."""
        if not (self._renames.value or "").strip() and not (self._single_class.value or "").strip():
            self._renames.set_value("\n".join(f"{name} = " for name in classes))

    def read_options(self) -> ImportOptions:
        """Raises Invalid where renamed classes or bands are none."""
        return ImportOptions(
            name=(self._name.value or "").strip(),
            class_map=read_renames(self._renames.value or "", self._viewer.texts),
            single_class=(self._single_class.value or "").strip() or None,
            allow_leak=bool(self._allow_leak.value),
            bands=self._read_bands(),
            seed=int(self._seed.value or 0),
        )

    def forget(self) -> None:
        """What was typed is not needed any more."""
        ui.run_javascript(f"ravenForget('{_FORM}')")

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


def read_renames(written: str, t: Texts) -> dict[str, str]:
    """New names by old ones; a class without a new one stays as it is.

    Raises:
        Invalid: a line renames nothing, or two rename one class.
    """
    renames: dict[str, str] = {}
    for line in filter(None, map(str.strip, written.splitlines())):
        old, sign, new = (each.strip() for each in line.rpartition("="))
        if not (old and sign):
            raise Invalid(
                "dataset.bad_renames",
                t("\u201c{line}\u201d renames no class.", line=line),
                hint=t("Write a line for each class that is renamed, as old = new."),
            )
        if new and renames.setdefault(old, new) != new:
            raise Invalid(
                "dataset.bad_renames",
                t("\u201c{name}\u201d is renamed twice.", name=old),
                hint=t("Leave one of the lines."),
            )
    return renames
