from collections.abc import Generator
from functools import partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from sqlalchemy import URL
from tests.conftest import make_database

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.settings import Settings

from .world import DATASET, Everybody, make_things


@pytest.fixture(scope="module")
def _cheap_passwords() -> Generator[None]:
    """Argon2 with little work: what is asked for here is who may, with many accounts."""
    with pytest.MonkeyPatch.context() as patch:
        light = partial(Argon2Hasher, time_cost=1, memory_cost=64, parallelism=1)
        patch.setattr("pwdlib.hashers.argon2.Argon2Hasher", light)
        yield


@pytest.fixture(scope="module")
def platform(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory, _cheap_passwords: None
) -> Generator[Platform]:
    """With something of everything in it; no test here changes it."""
    folder = tmp_path_factory.mktemp("claims")
    make_sample_dataset(folder / "dataset", image_count=20, image_size=128)
    with make_database(server_url, template_database) as url:
        settings = Settings(home=folder / "home", database_url=SecretStr(url))
        with build_platform(settings) as platform:
            platform.datasets.import_version(
                LOCAL_ADMINISTRATOR, Path(folder / "dataset"), ImportOptions(name=DATASET)
            )
            make_things(platform)
            yield platform


@pytest.fixture(scope="module")
def everybody(platform: Platform) -> Everybody:
    return Everybody(platform)


@pytest.fixture(scope="module")
def client(platform: Platform) -> Generator[TestClient]:
    app = build_app(platform, token=SecretStr("of the data folder"), allow_server_paths=False)
    with TestClient(app) as client:
        yield client
