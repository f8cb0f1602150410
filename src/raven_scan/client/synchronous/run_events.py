# Made from asynchronous/run_events.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""A run's events as they happen, over connections that come and go."""

import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from raven_scan.client.answers import Parameters
from raven_scan.client.blocking import pause
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.errors import Busy, Unavailable

if TYPE_CHECKING:
    from raven_scan.training_runs.events_schemas import AnyRunEvent

_PAUSE_S = 0.5
_KNOWN = frozenset({"run", "progress", "metrics", "metrics_reset", "log", "end"})


def read_events(
    connection: Connection,
    path: str,
    parameters: Parameters,
    *,
    last_event_id: str | None,
    patience_s: float,
) -> Generator["AnyRunEvent"]:
    """Each event once, until the last; a connection that ends is made again, and goes on behind the last event.

    Args:
        connection: to the API.
        path: of the stream.
        parameters: of the query.
        last_event_id: the first event is the one after this.
        patience_s: how long a server that is away (it may be restarting) is waited for.

    Raises:
        Unavailable: the server was away for longer, or from the beginning.
    """
    # What follows runs needs more than what lists them.
    from httpx_sse import EventSource  # noqa: PLC0415

    from raven_scan.training_runs.events_schemas import RUN_EVENT, EndEvent  # noqa: PLC0415

    was_there = False
    lost_at: float | None = None
    while True:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = last_event_id
        try:
            with connection.stream("GET", path, parameters=parameters, headers=headers) as answer:
                was_there, lost_at = True, None
                if answer.status_code == 204:
                    return  # it is over, and everything was told
                for told in EventSource(answer).iter_sse():
                    last_event_id = told.id or last_event_id
                    if told.event not in _KNOWN:
                        continue  # a newer server may tell more than this client knows
                    event = RUN_EVENT.validate_json(told.data)
                    yield event
                    if isinstance(event, EndEvent):
                        return
        except (Unavailable, Busy):
            lost_at = lost_at or time.monotonic()
            if not was_there or time.monotonic() - lost_at > patience_s:
                raise
        pause(_PAUSE_S)
