"""The typed Python SDK over the REST API.

```python
from raven_scan.client import RavenClient

with RavenClient("http://127.0.0.1:8700", token) as raven:
    run = raven.runs.create(name="first", dataset="aquatrash", base_model="rtmdet-lite0")
    run.schedule()
    print(run.wait().status)
```

`AsyncRavenClient` is the same with `async` and `await`.
"""

from typing import TYPE_CHECKING, Any

from raven_scan.client.answers import RetryRules
from raven_scan.client.synchronous.raven_client import RavenClient

if TYPE_CHECKING:
    from raven_scan.client.asynchronous.raven_client import AsyncRavenClient

__all__ = ["AsyncRavenClient", "RavenClient", "RetryRules"]


def __getattr__(name: str) -> Any:
    # The command line needs the synchronous client alone, and starts sooner without the other.
    if name == "AsyncRavenClient":
        from raven_scan.client.asynchronous.raven_client import AsyncRavenClient  # noqa: PLC0415

        return AsyncRavenClient
    raise AttributeError(name)
