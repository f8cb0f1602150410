"""What is said of an event."""

from datetime import datetime
from uuid import UUID

from raven_scan.notifications.plain_text import make_line
from raven_scan.notifications.types import Message, NotificationEvent, RunEnded

_LONGEST_SUBJECT = 200
_LONGEST_NAME = 100
_LONGEST_VALUE = 200
_RUN_PATH = "/api/v1/training-runs/{id}"

_TITLE_OF_FIGURE = {
    "map": "mAP",
    "map50": "mAP50",
    "map75": "mAP75",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
}
"""Those that a mail tells; a webhook tells all."""


def get_event(run: RunEnded) -> NotificationEvent:
    is_success = run.status == "Success"
    return NotificationEvent.RUN_SUCCEEDED if is_success else NotificationEvent.RUN_FAILED


def describe_run(id_: UUID, run: RunEnded, *, public_url: str | None) -> Message:
    """Tells of a run that has ended.

    Args:
        id_: of the message.
        run: what happened.
        public_url: where users reach the server; None: no link.
    """
    name = make_line(run.name, _LONGEST_NAME)
    link = None if public_url is None else public_url.rstrip("/") + _RUN_PATH.format(id=run.id)
    reason = run.error_message or run.error_code or "no reason was given"
    if run.status == "Success":
        map50 = run.figures.get("map50")
        result = "Success" if map50 is None else f"Success, mAP50 {map50:.2f}"
        summary = f"The training run {name} ended in Success."
        if run.model is not None:
            summary += f" Its model is {make_line(run.model, _LONGEST_NAME)}."
    else:
        result = f"Error: {reason}"
        summary = f"The training run {name} ended in Error. {reason}"
    return Message(
        id=id_,
        event=get_event(run),
        created_at=run.ended_at,
        subject=make_line(f"[Raven Scan] {name}: {result}", _LONGEST_SUBJECT),
        summary=summary,
        data=_describe_data(run, link),
        advice=run.error_hint or "",
        facts=_list_facts(run),
        link=link,
        log_tail=run.log_tail if run.status == "Error" else [],
    )


def describe_test(id_: UUID, now: datetime, *, sender: str) -> Message:
    """Tells that notifications arrive. `sender`: who asked for it."""
    return Message(
        id=id_,
        event=NotificationEvent.TEST,
        created_at=now,
        subject="[Raven Scan] Test message",
        summary="This is a test message: notifications of Raven Scan reach you.",
        data={"message": "Notifications of Raven Scan reach you.", "sender": sender},
        facts=[("Sent by", make_line(sender, _LONGEST_VALUE))],
    )


def _describe_data(run: RunEnded, link: str | None) -> dict[str, object]:
    return {
        "id": str(run.id),
        "name": run.name,
        "status": run.status,
        "started_at": None if run.started_at is None else run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat(),
        "attempts": run.attempts,
        "dataset": run.dataset,
        "base_model": run.base_model,
        "model": run.model,
        "figures": run.figures if run.status == "Success" else None,
        "error": None
        if run.status == "Success"
        else {"code": run.error_code, "message": run.error_message, "hint": run.error_hint},
        "url": link,
    }


def _list_facts(run: RunEnded) -> list[tuple[str, str]]:
    facts: list[tuple[str, str | None]] = [
        ("Run", run.name),
        ("Status", run.status),
        ("Error code", run.error_code),
        ("Dataset", run.dataset),
        ("Base model", run.base_model),
        ("Model", run.model),
    ]
    if run.status == "Success":
        facts += [
            (title, _format_figure(run.figures[name]))
            for name, title in _TITLE_OF_FIGURE.items()
            if name in run.figures
        ]
    facts += [
        ("Started", None if run.started_at is None else _format_time(run.started_at)),
        ("Ended", _format_time(run.ended_at)),
        ("Attempts", str(run.attempts)),
    ]
    return [(title, make_line(value, _LONGEST_VALUE)) for title, value in facts if value is not None]


def _format_figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _format_time(time: datetime) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
