"""A real S3 server, SeaweedFS, on ports of its own."""

import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

ACCESS_KEY = "raven-tests"
SECRET_KEY = "correct-horse-battery-staple"
BUCKET = "blobs"
_PARTS = ("master", "volume", "filer", "s3", "admin")
_LONGEST_START_S = 60.0


@dataclass
class S3Server:
    """Starts with `start`, may be stopped and started again on the same port and data."""

    folder: Path
    endpoint: str = ""

    def __post_init__(self) -> None:
        ports = _find_free_ports(2 * len(_PARTS))
        self._port_options = [
            f"-{part}.{kind}={ports.pop()}" for part in _PARTS for kind in ("port", "port.grpc")
        ]
        port = next(option for option in self._port_options if option.startswith("-s3.port="))
        self.endpoint = f"http://127.0.0.1:{port.partition('=')[2]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        weed = str(Path(sys.executable).with_name("weed"))
        # Killed with this process, however that ends.
        bound = ["setpriv", "--pdeathsig", "SIGKILL"] if shutil.which("setpriv") else []
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *bound,
                    weed,
                    "mini",
                    f"-dir={self.folder}",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    "-webdav=false",
                    "-admin.ui=false",
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-s3.autoCreateBucket=false",
                    f"-bucket={BUCKET}",
                    *self._port_options,
                ],
                env={
                    "HOME": str(self.folder),
                    "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                    "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                },
                stdout=log,
                stderr=log,
            )
        self._wait()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _wait(self) -> None:
        """Until the bucket is there and takes objects."""
        from raven_scan.storage.s3_origin import S3Origin  # noqa: PLC0415

        probe = self.folder / "probe"
        probe.write_bytes(b"probe")
        deadline = time.monotonic() + _LONGEST_START_S
        while True:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "log.txt").read_text()
            try:
                httpx.get(self.endpoint)
                S3Origin(
                    BUCKET,
                    "probe",
                    endpoint=self.endpoint,
                    access_key=SecretStr(ACCESS_KEY),
                    secret_key=SecretStr(SECRET_KEY),
                    retry_s=1.0,
                ).upload("0" * 64, probe)
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


def _find_free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
