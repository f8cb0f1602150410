"""Workers and what each of their devices does."""

from collections.abc import Mapping
from html import escape
from uuid import UUID

from raven_scan.training_runs.queue_types import RunWorker, WorkerSlot
from raven_scan.training_runs.types import TrainingRunSummary
from raven_scan.web.marks import draw_bar, link
from raven_scan.web.texts import Texts

_NO_RUNS: Mapping[UUID, TrainingRunSummary] = {}


def draw_workers(
    workers: list[RunWorker], t: Texts, *, runs: Mapping[UUID, TrainingRunSummary] = _NO_RUNS
) -> str:
    """Args: `runs`: those at work, by id, as far as their progress is to be shown."""
    if not workers:
        said = t(
            "No worker is running, so nothing is trained. An administrator starts one, or the server with one."
        )
        return f'<div class="notice warn">{escape(said)}</div>'
    return "".join(_draw_worker(worker, t, runs) for worker in workers)


def _draw_worker(worker: RunWorker, t: Texts, runs: Mapping[UUID, TrainingRunSummary]) -> str:
    state = f'<span class="chip warn">{escape(t("Takes nothing more"))}</span>' if worker.is_draining else ""
    slots = "".join(_draw_slot(slot, t, runs) for slot in worker.slots)
    busy = sum(bool(slot.run or slot.evaluation) for slot in worker.slots)
    said = t("{busy} of {count} at work", busy=t.number(busy), count=t.number(len(worker.slots)))
    release = t("release {version}", version=worker.version)
    return (
        f'<div class="worker"><div class="row-gap"><b class="mono">{escape(worker.name)}</b>'
        f'<span class="muted small">{escape(said)} · {escape(release)}</span>{state}</div>'
        f'<ul class="slots">{slots}</ul></div>'
    )


def _draw_slot(slot: WorkerSlot, t: Texts, runs: Mapping[UUID, TrainingRunSummary]) -> str:
    device = f'<span class="mono">{escape(slot.device)}</span>'
    if slot.evaluation is not None:
        work = f"{escape(t('Evaluates'))} {escape(slot.evaluation.name)}"
        return f'<li class="busy">{device}<span>{work}</span></li>'
    if slot.run is None:
        return f'<li>{device}<span class="muted">{escape(t("Free"))}</span></li>'
    load = ""
    run = runs.get(slot.run.id)
    if run is not None:
        progress = run.progress
        told: list[str] = []
        if progress.memory_mb is not None:
            told.append(t("{size} of memory", size=t.size(progress.memory_mb * 1e6)))
        if progress.step_time_s:
            told.append(t("{count} steps/s", count=t.number(1 / progress.step_time_s, 1)))
        share = progress.step / progress.steps if progress.steps else 0.0
        load = f'{draw_bar(share, t("Progress"))}<span class="small muted">{escape(" · ".join(told))}</span>'
    run_link = link(slot.run.name, f"/training-runs/{slot.run.id}")
    return f'<li class="busy">{device}<span>{run_link}{load}</span></li>'
