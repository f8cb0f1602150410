"""A dataset version: what it is made of, its images, how its boxes are, and what was made of it."""

from html import escape
from typing import Any
from urllib.parse import quote, unquote

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.datasets.types import DatasetVersionView, DatasetView
from raven_scan.kernel.paging import PageRequest
from raven_scan.trained_models.types import ModelFilter
from raven_scan.training_runs.types import RunFilter
from raven_scan.web.dataset_actions import show_actions
from raven_scan.web.dataset_charts import show_statistics
from raven_scan.web.dataset_images import VersionGallery
from raven_scan.web.dataset_problems import draw_notices
from raven_scan.web.frame import heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, list_facts, mark_status
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer

_USES = 8


async def show_dataset_version(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    """Of a dataset's address, its newest version."""
    t = viewer.texts
    ref = unquote(arguments.path_parameters["ref"])
    version = await viewer.ask(services.datasets.get_version, ref)
    dataset = await viewer.ask(services.datasets.get_dataset, str(version.dataset_id))
    with screen(version.full_name):
        ui.html(
            f'<div class="crumbs row-gap">{link(t("Datasets"), "/datasets")} {_draw_place(dataset, version, t)}</div>',
            sanitize=False,
        )
        with heading(dataset.name), ui.element("div").classes("row-gap"):
            show_actions(viewer, services, dataset, version)
        ui.html(_draw_numbers(version, t), sanitize=False).classes("sheet")
        with ui.element("div").classes("grid"):
            with ui.element("div").classes("stack"):
                with sheet(t("Parts")):
                    ui.html(_draw_parts(version, t), sanitize=False)
                if dataset.version_count > 1:
                    with sheet(t("Versions")):
                        ui.html(_draw_versions(dataset, version, t), sanitize=False)
            with sheet(t("About")):
                ui.html(_draw_facts(dataset, version, t), sanitize=False)
            with ui.element("div").classes("stack"):
                with sheet(t("Used by")):
                    ui.html(await _draw_uses(viewer, services, version), sanitize=False)
                if version.warnings:
                    with sheet(t("What the import found")):
                        ui.html(draw_notices(version.warnings, t), sanitize=False)
        with sheet(t("Images")):
            await VersionGallery(viewer, services, version, dict(arguments.query_parameters)).show()
        statistics = await viewer.ask(services.dataset_browsing.get_statistics, str(version.id))
        show_statistics(version, statistics, t)


def _draw_place(dataset: DatasetView, version: DatasetVersionView, t: Texts) -> str:
    number = escape(t("Version {number}", number=version.number))
    newest = dataset.versions[0]
    if newest.id == version.id:
        return f'<span class="chip">{number}</span>'
    newer = link(t("See the newest"), f"/datasets/{newest.id}")
    return f'<span class="chip warn">{number}</span> <span class="small">{newer}</span>'


def _draw_numbers(version: DatasetVersionView, t: Texts) -> str:
    parts = version.parts.values()
    images = sum(part.image_count for part in parts)
    boxes = sum(part.box_count for part in parts)
    numbers = [
        (t("Images"), t.number(images)),
        (t("Boxes"), t.number(boxes)),
        (t("Classes"), t.number(len(version.classes))),
        (t("Boxes an image"), t.number(boxes / images, 1) if images else "0"),
        (t("Images without a box"), t.percent(sum(part.background_count for part in parts) / max(images, 1))),
        (t("Size"), t.size(version.image_bytes)),
    ]
    drawn = "".join(
        f'<div class="number"><div class="value">{escape(value)}</div><div class="name">{escape(name)}</div></div>'
        for name, value in numbers
    )
    return f'<div class="numbers">{drawn}</div>'


def _draw_parts(version: DatasetVersionView, t: Texts) -> str:
    head = "".join(
        f'<th class="n">{escape(name)}</th>' for name in (t("Images"), t("Without a box"), t("Boxes"))
    )
    rows = "".join(
        f'<tr><td>{escape(t(name))}</td><td class="n">{t.number(part.image_count)}</td>'
        f'<td class="n">{t.number(part.background_count)}</td><td class="n">{t.number(part.box_count)}</td></tr>'
        for name, part in version.parts.items()
    )
    crowds = sum(part.crowd_count for part in version.parts.values())
    about_crowds = t("{count} regions of many are counted as no box.", count=t.number(crowds))
    note = f'<p class="small muted">{escape(about_crowds)}</p>' if crowds else ""
    return (
        f'<table class="list"><thead><tr><th>{escape(t("Part"))}</th>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{note}"
    )


def _draw_facts(dataset: DatasetView, version: DatasetVersionView, t: Texts) -> str:
    facts = [
        (t("Imported"), escape(f"{t.moment(version.created_at)}, {version.created_by}")),
        (t("Classes"), f'<div class="tall" tabindex="0">{escape(", ".join(version.classes))}</div>'),
    ]
    facts.extend((name, escape(value)) for name, value in _describe_options(version.options, t))
    if version.leaked_image_count:
        sentence = t(
            "{count} images are in several parts: figures on the test part will be too good.",
            count=t.number(version.leaked_image_count),
        )
        facts.append((t("Leak"), f'<span class="chip warn">{escape(sentence)}</span>'))
    if version.pixel_rules.percentiles is not None:
        facts.append((t("Brightness"), escape(t("Stretched, since images have more than 8 bits"))))
    facts.append((t("Digest"), f'<code title="{version.digest}">{version.digest[:16]}…</code>'))
    if dataset.notes:
        facts.append((t("Notes"), f'<span class="written">{escape(dataset.notes)}</span>'))
    return list_facts(facts)


def _describe_options(options: dict[str, Any], t: Texts) -> list[tuple[str, str]]:
    """What the import was asked that is not what it does by itself."""
    described: list[tuple[str, str]] = []
    renames: dict[str, str] = options.get("class_map") or {}
    if renames:
        described.append(
            (
                t("Classes renamed"),
                ", ".join(f"{old} \N{RIGHTWARDS ARROW} {new}" for old, new in renames.items()),
            )
        )
    if options.get("single_class"):
        described.append((t("Made one class"), str(options["single_class"])))
    if options.get("bands"):
        described.append((t("Bands"), ", ".join(str(each) for each in options["bands"])))
    if options.get("seed"):
        described.append((t("Seed of the split"), str(options["seed"])))
    return described


def _draw_versions(dataset: DatasetView, version: DatasetVersionView, t: Texts) -> str:
    rows = "".join(
        f"<tr><td>{_name_version(each, version, t)}"
        f'<div class="small muted">{escape(t.moment(each.created_at))}</div></td>'
        f'<td class="n">{t.number(sum(part.image_count for part in each.parts.values()))}</td>'
        f'<td class="n">{t.number(sum(part.box_count for part in each.parts.values()))}</td></tr>'
        for each in dataset.versions
    )
    return (
        f'<div class="tall" tabindex="0" role="region" aria-label="{escape(t("Versions"))}">'
        f'<table class="list"><thead><tr><th>{escape(t("Version"))}</th><th class="n">{escape(t("Images"))}</th>'
        f'<th class="n">{escape(t("Boxes"))}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _name_version(each: DatasetVersionView, shown: DatasetVersionView, t: Texts) -> str:
    name = t("Version {number}", number=each.number)
    if each.id == shown.id:
        return f'<b aria-current="true">{escape(name)}</b>'
    return link(name, f"/datasets/{each.id}")


async def _draw_uses(viewer: Viewer, services: Services, version: DatasetVersionView) -> str:
    """Runs and models, the newest of each, as far as the viewer may see them."""
    t = viewer.texts
    lines: list[str] = []
    page = PageRequest(_USES)
    if viewer.may(Claim.TRAINED_MODEL_VIEW):
        models = await viewer.ask(
            services.trained_models.list_models, page, ModelFilter(dataset_version=str(version.id))
        )
        lines.extend(
            f'<li><span class="muted small">{escape(t("Model"))}</span> '
            f"{link(model.name, f'/trained-models/{model.id}')}</li>"
            for model in models.items
        )
        lines.extend(_say_more(t("More models"), "/trained-models", version, is_cut=models.next is not None))
    if viewer.may(Claim.TRAINING_RUN_VIEW):
        runs = await viewer.ask(services.training_runs.list_runs, page, RunFilter(dataset=str(version.id)))
        lines.extend(
            f'<li><span class="muted small">{escape(t("Run"))}</span> '
            f"{link(run.name, f'/training-runs/{run.id}')} {mark_status(run.status, t)}</li>"
            for run in runs.items
        )
        lines.extend(_say_more(t("More runs"), "/training-runs", version, is_cut=runs.next is not None))
    if not lines:
        return f'<p class="muted">{escape(t("No run and no model has learned from it yet."))}</p>'
    return f'<ul class="uses">{"".join(lines)}</ul>'


def _say_more(text: str, path: str, version: DatasetVersionView, *, is_cut: bool) -> list[str]:
    return [f"<li>{link(text, f'{path}?q={quote(version.dataset_name)}')}</li>"] if is_cut else []
