"""Images of versions as pictures, over REST."""

import io
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.training_runs.conftest import write_coco

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_services
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.database import Database
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings


@pytest.fixture
def platform(database: Database, settings: Settings) -> Platform:
    return build_services(settings, database, None)


def read(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def test_a_picture_is_upright_as_large_as_asked_and_kept_by_browsers(platform: Platform, tmp_path: Path):
    folder = write_coco(tmp_path / "coco", images_a_part=2)
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, 32:] = (250, 0, 0)
    Image.fromarray(pixels).save(next((folder / "test").glob("*.jpg")), quality=95)
    platform.datasets.import_version(
        LOCAL_ADMINISTRATOR, folder, ImportOptions(name="squares"), ignore_progress
    )
    _, content = platform.datasets.load_version(LOCAL_ADMINISTRATOR, "squares@1")
    test = content.images.filter(content.images["part"] == "test").sort("file_name")
    client = TestClient(build_app(platform, token=None, allow_server_paths=True))
    by_name = dict(zip(test["file_name"].to_list(), test["digest"].to_list(), strict=True))
    seen = 0
    for digest in by_name.values():
        path = f"/api/v1/datasets/squares@1/images/{digest}"
        whole, small = client.get(path), client.get(path, params={"size": 16})
        assert (whole.status_code, whole.headers["content-type"]) == (200, "image/jpeg")
        assert read(whole.content).size == (64, 64)
        assert read(small.content).size == (16, 16)
        red = np.asarray(read(whole.content))[:, :, 0]
        seen += bool(red[:, 40:].min() > 200 and red[:, :24].max() < 50)
        assert "immutable" in small.headers["cache-control"]
        assert whole.headers["etag"] != small.headers["etag"]
        again = client.get(path, params={"size": 16}, headers={"If-None-Match": small.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert seen == 1
    digest = next(iter(by_name.values()))
    for bad in ("0" * 64, "nonsense", "..%2F..", "%00"):
        assert client.get(f"/api/v1/datasets/squares@1/images/{bad}").status_code in {404, 422}
    for size in (0, 15, 100_000, "x"):
        answer = client.get(f"/api/v1/datasets/squares@1/images/{digest}", params={"size": size})
        assert answer.status_code == 422
    assert client.get(f"/api/v1/datasets/nowhere/images/{digest}").status_code == 404
    blob = platform.blobs.get_path(digest)
    blob.chmod(0o600)
    blob.write_bytes(b"nothing of the kind")
    answer = client.get(f"/api/v1/datasets/squares@1/images/{digest}")
    assert answer.json()["code"] == "dataset.image_damaged"
