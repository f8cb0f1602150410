"""What somebody should look at: failures, waiting that is long, room that is short."""

from datetime import UTC, datetime, timedelta
from html import escape

from raven_scan.web.hints import leave_out_marks
from raven_scan.web.marks import link
from raven_scan.web.overview_state import AtWork, Outcome
from raven_scan.web.texts import Texts

_LONG_WAIT = timedelta(hours=1)
_LITTLE_SHARE = 0.1
_LITTLE_BYTES = 10 << 30


def draw_attention(work: AtWork, outcome: Outcome, t: Texts) -> str:
    """HTML; empty where there is nothing."""
    items = [*_tell_system(work, outcome, t), *_tell_runs(work, outcome, t), *_tell_models(outcome, t)]
    if not items:
        return ""
    listed = "".join(f'<li class="{kind}">{said}</li>' for kind, said in items)
    return (
        f'<section class="sheet attention"><h2>{escape(t("Needs attention"))}</h2>'
        f'<ul class="plain">{listed}</ul></section>'
    )


def _tell_system(work: AtWork, outcome: Outcome, t: Texts) -> list[tuple[str, str]]:
    told = [("bad", escape(leave_out_marks(lack))) for lack in outcome.lacks]
    if work.workers is not None and not work.workers:
        said = t("No worker is running, so nothing is trained or evaluated.")
        told.append(("bad" if work.waiting else "warn", escape(said)))
    use = outcome.storage
    if use is not None and use.disk_free < min(_LITTLE_BYTES, _LITTLE_SHARE * use.disk_total):
        said = t("The disk is nearly full: {size} are free.", size=t.size(use.disk_free))
        told.append(("warn", escape(said)))
    return told


def _tell_runs(work: AtWork, outcome: Outcome, t: Texts) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = []
    now = datetime.now(UTC)
    for run in outcome.failed:
        cause = run.error.message if run.error is not None else ""
        failed = escape(t("failed {ago}:", ago=t.ago(run.ended_at, now)) if run.ended_at else "")
        told.append(("bad", f"{link(run.name, f'/training-runs/{run.id}')} {failed} {escape(cause)}"))
    for entry in work.waiting:
        since = entry.scheduled_at
        if since is not None and now - since > _LONG_WAIT and entry.reason_code != "starts_later":
            waits = escape(t("waits since {moment}:", moment=t.moment(since)))
            run = link(entry.run.name, f"/training-runs/{entry.run.id}")
            told.append(("warn", f"{run} {waits} {escape(leave_out_marks(entry.reason))}"))
    return told


def _tell_models(outcome: Outcome, t: Texts) -> list[tuple[str, str]]:
    return [
        (
            "warn",
            f"{link(version.full_name, f'/trained-models/{version.model_id}')} "
            + escape(
                t(
                    "is in use although it does not meet the policy: {reason}",
                    reason=version.override_reason or "",
                )
            ),
        )
        for version in outcome.doubtful
    ]
