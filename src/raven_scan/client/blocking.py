"""What the two clients do differently: each function here has a twin whose name ends in `_async`.

The generator of the synchronous client (scripts/make_synchronous_client.py) takes the ending away.
"""

import time
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def pause(seconds: float) -> None:
    time.sleep(seconds)


async def pause_async(seconds: float) -> None:
    import anyio  # noqa: PLC0415 - the command line needs none of it here

    await anyio.sleep(seconds)


def call(work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Does what blocks, such as reading a file."""
    return work(*arguments)


async def call_async(work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """As `call`, in a thread, so that the event loop goes on."""
    from anyio import to_thread  # noqa: PLC0415

    return await to_thread.run_sync(work, *arguments)
