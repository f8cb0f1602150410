"""A request in a process that is killed at an instant: python server_killed_at_the_answer.py INSTANT KEY.

INSTANT: `before_commit` of what the request changes, or `after_commit`, before its answer is kept.
"""

import os
import signal
import sys
from pathlib import Path

import httpx
from pydantic import SecretStr

from raven_scan.app import request_keys
from raven_scan.app.server import build_app
from raven_scan.app.wiring import build_platform
from raven_scan.client.in_process import InProcessTransport
from raven_scan.kernel.settings import Settings


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


instant, key = sys.argv[1:]
settings = Settings(
    home=Path(os.environ["RAVEN_HOME"]), database_url=SecretStr(os.environ["RAVEN_DATABASE_URL"])
)
with build_platform(settings) as platform:
    setattr(request_keys, {"before_commit": "note_effect", "after_commit": "keep_answer"}[instant], die)
    transport = InProcessTransport(build_app(platform, token=None, allow_server_paths=True))
    with httpx.Client(base_url="http://in-process", transport=transport) as http:
        http.post(
            "/api/v1/uploads",
            json={"purpose": "dataset", "file_name": "a.zip"},
            headers={"Idempotency-Key": key},
        )
