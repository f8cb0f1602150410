"""Pieces of a run's page as HTML. All that comes from users is escaped here."""

from collections.abc import Sequence
from html import escape

from raven_scan.access.types import Claim
from raven_scan.kernel.findings import Finding
from raven_scan.trained_models.types import Figures
from raven_scan.training_runs.artifacts import RunArtifact
from raven_scan.training_runs.types import RunError, RunStatus, TrainingRunView
from raven_scan.web.hints import name_screens
from raven_scan.web.marks import draw_bar, link, list_facts, mark_status
from raven_scan.web.run_energy import draw_energy, name_energy
from raven_scan.web.run_plan import draw_findings
from raven_scan.web.run_words import (
    ENDS,
    OPTION_NAMES,
    PARAMETER_NAMES,
    describe_evidence,
    name_parameter,
    show_value,
)
from raven_scan.web.texts import NONE, Texts, later
from raven_scan.web.viewer import Viewer

_PHASES = {
    "layout": later("Laying out the images"),
    "weights": later("Reading the weights"),
    "build": later("Building the model"),
    "training": later("Training"),
    "validation": later("Validating"),
    "checkpoint": later("Writing a checkpoint"),
    "evaluation": later("Evaluating on the test part"),
    "export": later("Exporting the model"),
}


def draw_state(run: TrainingRunView, t: Texts) -> str:
    """Status, how far it is, and the figures so far."""
    progress = run.progress
    parts: list[str] = [f"<b>{mark_status(run.status, t)}</b>"]
    if run.is_pausing and run.status is RunStatus.PROCESSING:
        parts.append(escape(t("pausing after its next checkpoint")))
    if run.is_dry_run:
        parts.append(escape(t("dry run")))
    if run.status is RunStatus.PROCESSING:
        if progress.phase:
            parts.append(escape(t(_PHASES.get(progress.phase, progress.phase.capitalize()))))
        if progress.steps:
            parts.append(escape(t("Epoch {epoch} of {epochs}", epoch=progress.epoch, epochs=progress.epochs)))
            step, steps = t.number(progress.step), t.number(progress.steps)
            parts.append(escape(t("step {step} of {steps}", step=step, steps=steps)))
        if progress.time_left_s is not None:
            parts.append(f"<b>{escape(t('{time} left', time=t.duration(progress.time_left_s)))}</b>")
    elif run.started_at is not None and run.ended_at is not None:
        taken = t.duration((run.ended_at - run.started_at).total_seconds())
        parts.append(escape(t("took {time}", time=taken)))
    if run.energy is not None:
        parts.append(escape(name_energy(run.energy, t)))
    best = run.best or {}
    numbers = [
        (t("mAP50, best"), t.figure(best.get("map50"))),
        (t("mAP, best"), t.figure(best.get("map"))),
        (t("Loss"), NONE if progress.loss is None else t.number(progress.loss, 3)),
        (
            t("Time a step"),
            NONE if progress.step_time_s is None else f"{t.number(progress.step_time_s, 2)} s",
        ),
        (t("Memory"), NONE if progress.memory_mb is None else t.size(progress.memory_mb * 2**20)),
    ]
    drawn = "".join(
        f'<div class="number"><div class="value">{escape(value)}</div>'
        f'<div class="name">{escape(name)}</div></div>'
        for name, value in numbers
    )
    share = progress.step / progress.steps if progress.steps else 0.0
    bar = draw_bar(share, t("Progress")) if run.status in {RunStatus.PROCESSING, RunStatus.PAUSED} else ""
    shown = f'<div class="numbers">{drawn}</div>' if progress.step or best else ""
    return f'<div class="row-gap">{parts[0]}<span>{" · ".join(parts[1:])}</span></div>{bar}{shown}'


def draw_notices(run: TrainingRunView, findings: list[Finding], viewer: Viewer) -> str:
    """Why it failed and what to do, what the preflight and a dry run found, what was warned of."""
    t = viewer.texts
    drawn: list[str] = [draw_findings(findings, t)]
    if run.status is RunStatus.WAITING:
        said = escape(t("It waits for a worker."))
        drawn.append(f'<div class="notice">{said} {link(t("Why, and what is before it"), "/queue")}</div>')
    if run.error is not None:
        drawn.append(_draw_error(run.error, t("The run failed."), viewer))
    if run.dry_run_error is not None:
        drawn.append(_draw_error(run.dry_run_error, t("The dry run failed."), viewer))
    if run.estimate is not None and run.status is RunStatus.DRAFT:
        said = t(
            "The whole run will take about {time} and {memory} of memory on {device}, as a dry run measured.",
            time=t.duration(run.estimate.time_s),
            memory=t.size(run.estimate.memory_mb * 2**20),
            device=run.estimate.device,
        )
        if run.estimate.energy_wh is not None and run.estimate.co2_g is not None:
            energy, co2 = t.energy(run.estimate.energy_wh), t.co2(run.estimate.co2_g)
            said = f"{said} {t('It will use about {energy}, {co2} of CO2.', energy=energy, co2=co2)}"
        drawn.append(f'<div class="notice">{escape(said)}</div>')
    if run.warnings:
        lines = "".join(f"<li>{escape(warning)}</li>" for warning in run.warnings)
        drawn.append(
            f'<div class="notice warn"><b>{escape(t("Warnings"))}</b><ul class="plain">{lines}</ul></div>'
        )
    return "".join(drawn)


def _draw_error(error: RunError, title: str, viewer: Viewer) -> str:
    t = viewer.texts
    evidence = "".join(
        f"<div>{escape(describe_evidence(name, value, t))}</div>" for name, value in error.evidence.items()
    )
    tail = (
        f"<details><summary>{escape(t('Last lines of the log'))}</summary>"
        f'<pre class="log" tabindex="0">{escape(chr(10).join(error.log_tail))}</pre></details>'
        if error.log_tail
        else ""
    )
    more = f'<div class="small">{evidence}<div class="mono">{escape(error.code)}</div></div>'
    hint = viewer.offer_contact(name_screens(error.hint, t))
    return (
        f'<div class="notice bad" role="alert"><span class="small">{escape(title)}</span><br>'
        f"<b>{escape(error.message)}</b><br>{escape(hint)}{more}{tail}</div>"
    )


def draw_facts(run: TrainingRunView, viewer: Viewer) -> str:
    """What it is made of, and what it made."""
    t = viewer.texts
    version, base = run.dataset_version, run.base_model
    dataset = version.name.partition("@")[0]
    facts = [
        (
            t("Dataset"),
            link(version.name, f"/datasets/{dataset}")
            if viewer.may(Claim.DATASET_VIEW)
            else escape(version.name),
        ),
        (t("Base model"), _link_model(viewer, str(base.id), base.name)),
        (t("Architecture"), escape(run.architecture)),
    ]
    if run.model is not None:
        facts.append((t("Trained model"), _link_model(viewer, str(run.model.id), run.model.name)))
    if run.preset:
        facts.append((t("Preset"), escape(run.preset)))
    if run.cloned_from:
        facts.append((t("Cloned from"), escape(run.cloned_from)))
    if run.reproduces:
        facts.append((t("Reproduces"), link(run.reproduces.name, f"/training-runs/{run.reproduces.id}")))
    facts += [
        (t("Created"), escape(t("{moment} by {name}", moment=t.moment(run.created_at), name=run.created_by))),
        (t("Scheduled"), escape(t.moment(run.scheduled_at))),
        (t("Started"), escape(t.moment(run.started_at))),
        (t("Ended"), escape(t.moment(run.ended_at))),
    ]
    if run.energy is not None:
        facts.append((t("Energy"), draw_energy(run.energy, t)))
    if run.notes:
        facts.append((t("Notes"), f'<span class="notes">{escape(run.notes)}</span>'))
    return list_facts(facts)


def _link_model(viewer: Viewer, model_id: str, name: str) -> str:
    return link(name, f"/trained-models/{model_id}") if viewer.may(Claim.TRAINED_MODEL_VIEW) else escape(name)


def draw_parameters(run: TrainingRunView, changed: set[str], t: Texts) -> str:
    """Those that were changed first."""
    given = run.parameters.model_dump()
    options = {name: getattr(run.options, name) for name in OPTION_NAMES}
    if options["start_at"] is not None:
        options["start_at"] = t.moment(options["start_at"])

    def draw(names: Sequence[str]) -> str:
        return _list_pairs([(name_parameter(name, t), show_value(name, given[name], t)) for name in names])

    first = [name for name in PARAMETER_NAMES if name in changed]
    rest = [name for name in PARAMETER_NAMES if name not in changed]
    of_options = _list_pairs(
        [(t(OPTION_NAMES[name]), show_value(name, options[name], t)) for name in OPTION_NAMES]
    )
    parts = [
        (t("Changed"), draw(first)) if first else None,
        (t("By default"), draw(rest)) if rest else None,
        (t("When and on what"), of_options),
    ]
    return "".join(f"<h3>{escape(title)}</h3>{drawn}" for title, drawn in filter(None, parts))


def _list_pairs(pairs: list[tuple[str, str]]) -> str:
    """Names over values, side by side."""
    drawn = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="pairs">{drawn}</dl>'


def draw_attempts(run: TrainingRunView, t: Texts) -> str:
    if not run.attempts:
        return f'<div class="muted">{escape(t("Nobody has begun it yet."))}</div>'
    names = (t("Attempt"), t("Worker"), t("Started"), t("Took"), t("Energy"), t("Ended by"))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = ""
    for attempt in reversed(run.attempts):
        took = (
            NONE
            if attempt.ended_at is None
            else t.duration((attempt.ended_at - attempt.started_at).total_seconds())
        )
        used = NONE if attempt.energy is None else t.energy(attempt.energy.energy_wh)
        end = t("at work") if attempt.end is None else t(ENDS[attempt.end])
        reason = f'<div class="small muted">{escape(attempt.reason)}</div>' if attempt.reason else ""
        rows += (
            f"<tr><td>{attempt.number}</td>"
            f'<td>{escape(attempt.worker)}<div class="small muted">{escape(attempt.device)}</div></td>'
            f"<td>{escape(t.moment(attempt.started_at))}</td><td>{escape(took)}</td><td>{escape(used)}</td>"
            f"<td>{escape(end)}{reason}</td></tr>"
        )
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def draw_artifacts(run: TrainingRunView, artifacts: list[RunArtifact], viewer: Viewer) -> str:
    """Downloads; what the viewer may not have is not shown."""
    t = viewer.texts
    lines = "".join(
        f'<li><a href="/api/v1/training-runs/{run.id}/artifacts/{escape(each.name)}" download>{escape(each.name)}</a>'
        f'<span class="muted small">{escape("" if each.size_bytes is None else t.size(each.size_bytes))}</span></li>'
        for each in artifacts
        if each.claim is None or viewer.may(each.claim)
    )
    return f'<ul class="downloads">{lines}</ul>'


def draw_classes(figures: Figures, t: Texts) -> str:
    """Figures by class, of the model's test."""
    names = (t("Class"), "mAP", "mAP50", t("Precision"), t("Recall"))
    head = "".join(
        f"<th{'' if index == 0 else ' class=n'}>{escape(name)}</th>" for index, name in enumerate(names)
    )
    rows = "".join(
        f"<tr><td>{escape(name)}</td>"
        + "".join(
            f'<td class="n">{escape(t.figure(of_class.get(each)))}</td>'
            for each in ("map", "map50", "precision", "recall")
        )
        + "</tr>"
        for name, of_class in sorted(figures.by_class.items())
    )
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
