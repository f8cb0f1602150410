"""The typed Python SDK over the REST API.

```python
from raven_scan.client import RavenClient

with RavenClient("http://127.0.0.1:8700", token) as raven:
    run = raven.runs.create(name="first", dataset="aquatrash", base_model="rtmdet-lite0")
    raven.runs.schedule(run.name)
    print(raven.runs.wait(run.name).status)
```
"""

from raven_scan.client.raven_client import RavenClient

__all__ = ["RavenClient"]
