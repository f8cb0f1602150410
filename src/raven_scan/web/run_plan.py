"""What would become of a run that is being filled in, as HTML."""

from collections.abc import Mapping
from html import escape

from raven_scan.access.types import Claim
from raven_scan.kernel.findings import Finding, Severity
from raven_scan.training_runs.planning import RunPlan
from raven_scan.web.hints import name_screens
from raven_scan.web.marks import link, list_facts
from raven_scan.web.model_words import name_origin
from raven_scan.web.run_words import DEFAULT_REASONS, PARAMETER_NAMES, name_field
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer

_CLASSES_SHOWN = 12


def draw_plan(plan: RunPlan | None, problems: Mapping[str, str], viewer: Viewer) -> str:
    """Time and memory, and what keeps it from being scheduled."""
    t = viewer.texts
    if problems:
        lines = "".join(
            f"<li><b>{escape(name_field(name, t))}</b>: {escape(problem)}</li>"
            for name, problem in problems.items()
        )
        return f'<div class="notice bad"><b>{escape(t("To be mended first"))}</b><ul class="plain">{lines}</ul></div>'
    if plan is None:
        said = t("Choose a dataset and a base model: what will become of it is then told here.")
        return f'<section class="sheet"><div class="muted">{escape(said)}</div></section>'
    findings = draw_findings(plan.findings, t)
    if not findings:
        findings = f'<div class="notice">{escape(t("The preflight finds nothing against it."))}</div>'
    return f"{findings}{_draw_estimate(plan, t)}"


def list_defaults(plan: RunPlan, t: Texts) -> dict[str, str]:
    """What fields that are left empty become, by field."""
    defaults = {"name": plan.suggested_name}
    for name in PARAMETER_NAMES:
        value = getattr(plan.decided, name)
        if value is None:
            defaults[name] = t(DEFAULT_REASONS[name]) if name in DEFAULT_REASONS else ""
        else:
            defaults[name] = f"{value:.10g}" if isinstance(value, float) else str(value)
    return defaults


def draw_findings(findings: list[Finding], t: Texts) -> str:
    """What the preflight found: errors, which block, then warnings."""
    errors = [each for each in findings if each.severity is Severity.ERROR]
    warnings = [each for each in findings if each.severity is not Severity.ERROR]
    drawn = ""
    for title, kind, found in (
        (t("It cannot be scheduled so"), "bad", errors),
        (t("Warnings"), "warn", warnings),
    ):
        if found:
            lines = "".join(
                f'<li><b>{escape(each.message)}</b><div class="small">{escape(name_screens(each.hint, t))}</div></li>'
                for each in found
            )
            drawn += (
                f'<div class="notice {kind}"><span class="small">{escape(title)}</span>'
                f'<ul class="plain">{lines}</ul></div>'
            )
    return drawn


def _draw_estimate(plan: RunPlan, t: Texts) -> str:
    time = NONE if plan.time_s is None else t("about {time}", time=t.duration(plan.time_s))
    source = (
        t("No run on this architecture has ended well yet: a dry run measures the time.")
        if plan.measured_by is None
        else t("Time as {name} took for its steps.", name=plan.measured_by)
    )
    numbers = [
        (t("Time"), time),
        (t("Memory"), t("about {size}", size=t.size(plan.memory_bytes))),
        (t("Steps"), t.number(plan.steps)),
    ]
    drawn = "".join(
        f'<div class="number"><div class="value">{escape(value)}</div><div class="name">{escape(name)}</div></div>'
        for name, value in numbers
    )
    return (
        f'<section class="sheet"><h2>{escape(t("Estimate"))}</h2><div class="numbers small-numbers">{drawn}</div>'
        f'<div class="muted small">{escape(source)}</div></section>'
    )


def draw_inputs(plan: RunPlan, viewer: Viewer) -> str:
    """The dataset with its classes, the base model with its figures and classes."""
    t = viewer.texts
    version, model = plan.dataset_version, plan.base_model
    parts = ", ".join(
        t("{part} {count}", part=name, count=t.number(part.image_count))
        for name, part in version.parts.items()
    )
    dataset = link(version.full_name, f"/datasets/{version.dataset_name}")
    facts = [
        (t("Images"), escape(parts)),
        (t("Classes"), _list_classes(version.classes, t)),
    ]
    figures = model.test or model.valid
    of_model = [
        (t("Architecture"), escape(model.architecture)),
        (t("Origin"), escape(name_origin(model.origin, t))),
        (
            t("mAP50, test") if model.test else t("mAP50, valid"),
            escape(t.figure(None if figures is None else figures.map50)),
        ),
        (t("mAP"), escape(t.figure(None if figures is None else figures.map))),
        (
            t("Classes"),
            _list_classes(model.classes, t) if model.classes else escape(t("made for the dataset")),
        ),
    ]
    own = model.lineage.dataset_version
    learned = ([] if own is None else [own.name]) + [str(each) for each in (model.starting_weights,) if each]
    if learned:
        of_model.insert(2, (t("Has learned from"), escape(", ".join(learned))))
    name = (
        link(model.name, f"/trained-models/{model.id}")
        if viewer.may(Claim.TRAINED_MODEL_VIEW)
        else escape(model.name)
    )
    return (
        f'<div class="grid"><section class="sheet"><h2>{dataset}</h2>{list_facts(facts)}</section>'
        f'<section class="sheet"><h2>{name}</h2>{list_facts(of_model)}</section></div>'
    )


def _list_classes(classes: list[str], t: Texts) -> str:
    shown = "".join(f'<span class="tag">{escape(name)}</span>' for name in classes[:_CLASSES_SHOWN])
    left = len(classes) - _CLASSES_SHOWN
    return shown + (escape(t("and {count} more", count=left)) if left > 0 else "")
