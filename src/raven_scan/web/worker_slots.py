"""Workers and what each of their devices does."""

from collections.abc import Mapping
from html import escape
from uuid import UUID

from raven_scan.jobs.devices import CPU
from raven_scan.jobs.gpu_load import DeviceLoad
from raven_scan.jobs.machine_load import WorkerLoad
from raven_scan.training_runs.queue_types import RunWorker, WorkerSlot
from raven_scan.training_runs.types import TrainingRunSummary
from raven_scan.web.marks import draw_bar, link
from raven_scan.web.texts import Texts

_HIGH_PERCENT = 90.0
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
        f'{_draw_machine(worker.load, t)}<ul class="slots">{slots}</ul></div>'
    )


def _draw_machine(load: WorkerLoad | None, t: Texts) -> str:
    """How busy the worker's machine is, with all that runs there."""
    if load is None:
        said = t("How busy its machine is, it does not tell.")
        return f'<div class="small muted">{escape(said)}</div>'
    processor = _draw_meter(t("Processor"), load.processor_percent, _say_percent(load.processor_percent, t))
    return f'<div class="loads">{processor}{_draw_memory(load.memory_used_bytes, load.memory_total_bytes, t)}</div>'


def _draw_device(load: DeviceLoad | None, t: Texts) -> str:
    if load is None:
        return f'<div class="small muted">{escape(t("GPU load is not known"))}</div>'
    gpu = _draw_meter(t("GPU"), load.utilisation_percent, _say_percent(load.utilisation_percent, t))
    return f'<div class="loads">{gpu}{_draw_memory(load.memory_used_bytes, load.memory_total_bytes, t)}</div>'


def _draw_memory(used_bytes: int | None, total_bytes: int | None, t: Texts) -> str:
    if used_bytes is None or not total_bytes:
        return _draw_meter(t("Memory"), None, t("not known"))
    said = t("{used} of {total}", used=t.size(used_bytes), total=t.size(total_bytes))
    return _draw_meter(t("Memory"), 100 * used_bytes / total_bytes, said, is_scarce=True)


def _say_percent(percent: float | None, t: Texts) -> str:
    return t("not known") if percent is None else t.percent(percent / 100)


def _draw_meter(name: str, percent: float | None, said: str, *, is_scarce: bool = False) -> str:
    """How much of something is taken; `is_scarce`: the nearer to all, the worse."""
    bar = ""
    if percent is not None:
        label = f"{name}: {said}"
        high = " high" if is_scarce and percent >= _HIGH_PERCENT else ""
        bar = (
            f'<div class="bar{high}" role="meter" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent:.0f}" '
            f'aria-label="{escape(label)}"><div style="width:{percent:.0f}%"></div></div>'
        )
    words = f'<span class="small">{escape(said)}</span>'
    return f'<div class="load"><span class="small muted">{escape(name)}</span>{bar}{words}</div>'


def _draw_slot(slot: WorkerSlot, t: Texts, runs: Mapping[UUID, TrainingRunSummary]) -> str:
    device = f'<span class="mono">{escape(slot.device)}</span>'
    of_device = "" if slot.device == CPU else _draw_device(slot.load, t)
    if slot.evaluation is not None:
        work = f"{escape(t('Evaluates'))} {escape(slot.evaluation.name)}"
        return f'<li class="busy">{device}<span>{work}{of_device}</span></li>'
    if slot.run is None:
        return f'<li>{device}<span><span class="muted">{escape(t("Free"))}</span>{of_device}</span></li>'
    load = ""
    run = runs.get(slot.run.id)
    if run is not None:
        progress = run.progress
        told: list[str] = []
        if progress.memory_mb is not None:
            told.append(t("{size} of memory", size=t.size(progress.memory_mb * 2**20)))
        if progress.step_time_s:
            told.append(t("{count} steps/s", count=t.number(1 / progress.step_time_s, 1)))
        share = progress.step / progress.steps if progress.steps else 0.0
        load = f'{draw_bar(share, t("Progress"))}<span class="small muted">{escape(" · ".join(told))}</span>'
    run_link = link(slot.run.name, f"/training-runs/{slot.run.id}")
    return f'<li class="busy">{device}<span>{run_link}{load}{of_device}</span></li>'
