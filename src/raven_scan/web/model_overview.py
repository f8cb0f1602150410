"""What a trained model is: figures, where it comes from, notes; renaming and deleting."""

from functools import partial
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.architectures.catalogue import get_architecture
from raven_scan.evaluations.types import EvaluationView
from raven_scan.figures.report import Figure
from raven_scan.trained_models.types import Figures, LineageReference, Origin, TrainedModelView
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, confirm, sheet, show_link_button
from raven_scan.web.marks import link, list_facts, mark
from raven_scan.web.model_words import (
    FIGURES,
    MODELS_PATH,
    draw_number,
    name_origin,
    write_figure,
    write_interval,
)
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer, as_handler

_LARGE = ("map50", "map", "precision", "recall", "f1")


async def show_overview_buttons(viewer: Viewer, services: Services, model: TrainedModelView) -> None:
    """What can be done with the model itself, in the page's heading."""
    t = viewer.texts
    if viewer.may(Claim.TRAINED_MODEL_EDIT):
        button(t("Edit"), partial(_edit, viewer, services, model), icon="edit")
    can_be_pulled = get_architecture(model.architecture).pretrained is not None
    if model.weights_digest is None and can_be_pulled and viewer.may(Claim.TRAINED_MODEL_IMPORT):
        path = f"{MODELS_PATH}/import?kind=coco&architecture={model.architecture}"
        show_link_button(t("Download COCO weights"), path)
    if viewer.may(Claim.TRAINED_MODEL_DELETE) and model.origin is not Origin.BUILTIN:
        button(t("Delete"), as_handler(viewer, partial(_delete, viewer, services, model)), kind="danger")
    if viewer.may(Claim.TRAINED_MODEL_PUBLISH) and model.weights_digest is not None:
        button(
            t("Publish model"),
            partial(ui.navigate.to, f"{MODELS_PATH}/{model.id}/publishing"),
            kind="primary",
        )


async def show_overview(
    viewer: Viewer, services: Services, model: TrainedModelView, _: PageArguments
) -> None:
    t = viewer.texts
    evaluation = None
    if model.weights_digest is not None:
        own = model.lineage.dataset_version
        evaluation = await viewer.ask(
            services.evaluations.find_latest, model.id, None if own is None else own.id
        )
        if evaluation is None and own is not None:
            evaluation = await viewer.ask(services.evaluations.find_latest, model.id, None)
    if model.leak_allowed:
        said = t("Its dataset has identical images in two parts, so its figures flatter it.")
        ui.html(f'<div class="notice warn">{escape(said)}</div>', sanitize=False)
    with sheet(t("Figures")):
        ui.html(_draw_figures(model, evaluation, t), sanitize=False).classes("stack")
    with ui.element("div").classes("grid"):
        with sheet(t("What it is")):
            ui.html(list_facts(_list_facts(model, t)), sanitize=False)
        with sheet(t("Where it comes from")):
            ui.html(list_facts(_list_lineage(viewer, model)), sanitize=False)
            if model.environment:
                software = list_facts(
                    [(name, escape(value)) for name, value in sorted(model.environment.items())]
                )
                said = escape(t("Software and machine"))
                ui.html(f"<details><summary>{said}</summary>{software}</details>", sanitize=False)
        with sheet(t("Classes")):
            classes = "".join(f'<li class="chip-plain">{escape(name)}</li>' for name in model.classes)
            none = f'<p class="muted">{escape(t("Its head is made when a run trains it."))}</p>'
            ui.html(f'<ul class="chips">{classes}</ul>' if classes else none, sanitize=False)
        with sheet(t("Notes")):
            notes = escape(model.notes) if model.notes else escape(t("Nothing is noted."))
            kind = "noted" if model.notes else "muted"
            ui.html(f'<div class="{kind}">{notes}</div>', sanitize=False)


def _draw_figures(model: TrainedModelView, evaluation: EvaluationView | None, t: Texts) -> str:
    if evaluation is not None and evaluation.figures:
        return _draw_evaluated(model, evaluation, evaluation.figures, t)
    for told, where in ((model.test, t("on the test part")), (model.valid, t("on the valid part"))):
        if told is not None:
            return f"{_draw_told(told, t)}<p class='muted small'>{escape(_say_told(told, where, t))}</p>"
    if model.package is not None and model.package.test is not None:
        said = t("Measured on the platform that it came from, and not here.")
        return f"{_draw_told(model.package.test, t)}<p class='muted small'>{escape(said)}</p>"
    if model.reported is not None:
        number = draw_number(t.figure(model.reported.map), "mAP")
        said = t("As {source} says; not measured here.", source=model.reported.source)
        return f'<div class="numbers">{number}</div><p class="muted small">{escape(said)}</p>'
    said = (
        t("It has learned nothing here yet: a run that starts from it makes a model with figures.")
        if model.weights_digest is None
        else t("Nobody has evaluated it yet: have that done under Review.")
    )
    return f'<p class="muted">{escape(said)}</p>'


def _draw_evaluated(
    model: TrainedModelView, evaluation: EvaluationView, figures: dict[str, Figure], t: Texts
) -> str:
    large = "".join(
        draw_number(
            t.figure(figures[name].value),
            escape(t(FIGURES[name])),
            write_interval(figures[name].low, figures[name].high, t),
        )
        for name in _LARGE
        if name in figures
    )
    others = [
        (t(FIGURES[name]), write_figure(figures[name], t))
        for name in FIGURES
        if name not in _LARGE and name in figures
    ]
    said = t(
        "On {images} images with {boxes} boxes of the {part} part of {dataset}; below and beside the figures, "
        "their 95% intervals. Precision, recall and F1 are at the best confidence.",
        images=NONE if evaluation.image_count is None else t.number(evaluation.image_count),
        boxes=NONE if evaluation.box_count is None else t.number(evaluation.box_count),
        part=evaluation.part,
        dataset=evaluation.dataset_version.name,
    )
    more = link(t("See where it goes wrong"), f"{MODELS_PATH}/{model.id}/review?evaluation={evaluation.id}")
    return (
        f'<div class="numbers">{large}</div>{list_facts(others)}'
        f'<p class="muted small">{escape(said)} {more}</p>'
    )


def _draw_told(told: Figures, t: Texts) -> str:
    drawn = "".join(
        draw_number(t.figure(getattr(told, name)), escape(t(FIGURES[name])))
        for name in _LARGE
        if getattr(told, name) is not None
    )
    return f'<div class="numbers">{drawn}</div>'


def _say_told(told: Figures, where: str, t: Texts) -> str:
    if told.image_count is None:
        return t("Measured {where} at the end of its training.", where=where)
    return t(
        "Measured {where} at the end of its training, on {images} images.",
        where=where,
        images=t.number(told.image_count),
    )


def _list_facts(model: TrainedModelView, t: Texts) -> list[tuple[str, str]]:
    facts = [
        (t("Architecture"), escape(model.architecture)),
        (t("Origin"), escape(name_origin(model.origin, t))),
    ]
    if model.parameter_count is not None:
        facts.append((t("Parameters"), escape(t.short_number(model.parameter_count))))
    if model.weights_size_bytes is not None:
        facts.append((t("Weights"), escape(t.size(model.weights_size_bytes))))
    if model.weights_digest is not None:
        facts.append((t("SHA-256"), f'<span class="mono small">{model.weights_digest}</span>'))
    facts.append((t("Created"), escape(f"{t.moment(model.created_at)}, {model.created_by}")))
    return facts


def _list_lineage(viewer: Viewer, model: TrainedModelView) -> list[tuple[str, str]]:
    t, lineage = viewer.texts, model.lineage

    def draw(reference: LineageReference, path: str, claim: Claim) -> str:
        shown = viewer.may(claim)
        return link(reference.name, f"{path}/{reference.id}") if shown else escape(reference.name)

    facts: list[tuple[str, str]] = []
    if lineage.base_model is not None:
        facts.append(
            (t("Base model"), draw(lineage.base_model, MODELS_PATH, Claim.TRAINED_MODEL_VIEW)),
        )
    if lineage.dataset_version is not None:
        facts.append((t("Dataset"), draw(lineage.dataset_version, "/datasets", Claim.DATASET_VIEW)))
    if lineage.training_run is not None:
        run = draw(lineage.training_run, "/training-runs", Claim.TRAINING_RUN_VIEW)
        facts.append((t("Training run"), run))
    if model.starting_weights is not None:
        facts.append((t("Starting weights"), escape(str(model.starting_weights))))
    if model.checkpoint is not None:
        facts += _list_checkpoint(model, t)
    if model.package is not None:
        facts += [
            (t("Package signed by"), escape(model.package.key_name)),
            (t("Key"), f'<span class="mono small">{escape(model.package.key_fingerprint)}</span>'),
        ]
    return facts or [(t("Origin"), escape(name_origin(model.origin, t)))]


def _list_checkpoint(model: TrainedModelView, t: Texts) -> list[tuple[str, str]]:
    checkpoint = model.checkpoint
    if checkpoint is None:
        return []
    left = len(checkpoint.missing) + len(checkpoint.mismatched)
    fitted = mark(t("{count} tensors fitted", count=t.number(checkpoint.matched)), "good")
    if left:
        fitted += " " + mark(t("{count} did not", count=t.number(left)), "warn")
    facts = [(t("Checkpoint"), escape(checkpoint.file_name)), (t("Weights"), fitted)]
    if checkpoint.url:
        facts.append((t("Pulled from"), escape(checkpoint.url)))
    return facts


def _edit(viewer: Viewer, services: Services, model: TrainedModelView) -> None:
    t = viewer.texts
    question = Question(viewer, t("Edit this model"), action=t("Save"))
    with question.fields():
        name = ui.input(t("Name"), value=model.name).props("outlined dense")
        # Links, lineages and runs name a builtin model by what it is called.
        name.set_enabled(model.origin is not Origin.BUILTIN)
        notes = ui.textarea(t("Notes"), value=model.notes).props("outlined dense autogrow")

    async def save() -> None:
        await viewer.ask(
            services.model_stewardship.edit,
            str(model.id),
            name=str(name.value or ""),
            notes=str(notes.value or ""),
            expected=model.revision,
        )
        viewer.notify(t("Saved."))
        path, router = f"{MODELS_PATH}/{model.id}", ui.context.client.sub_pages_router
        # An address with the name that it had would lead nowhere now.
        if router.current_path.partition("?")[0] == path:
            await router.refresh()
        else:
            ui.navigate.to(path)

    question.open(save)


async def _delete(viewer: Viewer, services: Services, model: TrainedModelView) -> None:
    t = viewer.texts
    if await confirm(
        viewer,
        t("Delete this model?"),
        explanation=t("It goes to the trash with its evaluations, and can be restored from there."),
        action=t("Delete model"),
        danger=True,
    ):
        await viewer.ask(services.model_stewardship.delete, str(model.id))
        viewer.notify(t("{name} is in the trash.", name=model.name))
        ui.navigate.to(MODELS_PATH)
