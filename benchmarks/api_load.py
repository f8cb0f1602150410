"""A load generator: sends requests when they are due, whether or not earlier ones are answered.

Latency is counted from the instant at which a request was due, so a server that stands still for a second is charged
with everything that was due meanwhile. Run as a process of its own: reads a plan on standard input, writes what it
measured on standard output, both as JSON.
"""

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp
from yarl import URL

_TIMEOUT_S = 30.0
_IDLE_S = 2.0
_WARM_UP_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Planned:
    """A request: seconds after the beginning, which client sends it, and what."""

    due_s: float
    client: int
    case: str
    path: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of it. `status`: 0 where there was no answer."""

    case: str
    latency_s: float
    status: int
    size_bytes: int
    path: str


def plan_arrivals(draws: Sequence[tuple[str, str]], *, rate: float, clients: int, seed: int) -> list[Planned]:
    """Poisson arrivals of all clients together.

    Args:
        draws: case and path of each request.
        rate: requests a second.
        clients: how many take turns at random.
        seed: the same seed plans the same.
    """
    source = random.Random(seed)  # noqa: S311 - a plan, no secret
    due_s = 0.0
    planned: list[Planned] = []
    for case, path in draws:
        due_s += source.expovariate(rate)
        planned.append(Planned(due_s, source.randrange(clients), case, path))
    return planned


async def send_all(base_url: str, tokens: Sequence[str], planned: Sequence[Planned]) -> list[Sent]:
    """Sends every request when it is due; of a client's that overlap, each has a connection."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                aiohttp.ClientSession(
                    base_url,
                    headers={"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"},
                    timeout=aiohttp.ClientTimeout(_TIMEOUT_S),
                    # A server may close what was idle for long at the very moment of the next request.
                    connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE_S),
                )
            )
            for token in tokens
        ]
        # Connections are made before, as browsers keep theirs.
        await asyncio.gather(*(_get(client, "/api/v1/system/health") for client in clients))
        results: list[Sent] = []
        begun = time.perf_counter()

        async def send(each: Planned) -> None:
            status, size_bytes = await _get(clients[each.client], each.path)
            latency_s = time.perf_counter() - begun - each.due_s
            results.append(Sent(each.case, latency_s, status, size_bytes, each.path))

        async with asyncio.TaskGroup() as group:
            for each in planned:
                wait_s = begun + each.due_s - time.perf_counter()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                group.create_task(send(each))
    return results


async def _get(client: aiohttp.ClientSession, path: str) -> tuple[int, int]:
    try:
        async with client.get(URL(path, encoded=True)) as answer:
            return answer.status, len(await answer.read())
    except (aiohttp.ClientError, TimeoutError):
        return 0, 0


def main() -> None:
    plan: dict[str, Any] = json.load(sys.stdin)
    planned = [Planned(**each) for each in plan["requests"]]
    gc.disable()  # no pause of this process is to be taken for one of the server
    results = asyncio.run(send_all(plan["base_url"], plan["tokens"], planned))
    warm_up = round(len(planned) * _WARM_UP_SHARE)
    json.dump([asdict(each) for each in results[warm_up:]], sys.stdout)


if __name__ == "__main__":
    main()
