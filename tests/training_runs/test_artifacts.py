"""What a run has to download."""

import hashlib
import json
from collections.abc import Callable, Generator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Claim
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import Forbidden, NotFound
from raven_scan.training_runs.models import TrainingRun, TrainingRunCheckpoint, TrainingRunMetric
from raven_scan.training_runs.repository import logs
from raven_scan.training_runs.schemas import TrainingRunCreate
from raven_scan.training_runs.types import TrainingRunView

ADMIN = LOCAL_ADMINISTRATOR
CONTENT = b"weights and moments" * 1000
PATH = "/api/v1/training-runs/rich%20%22run%22/artifacts"
CHECKPOINT = "checkpoint-step-12.pt"


@pytest.fixture
def run(platform: Platform, create_run: Callable[..., TrainingRunView]) -> TrainingRunView:
    """With a log, metrics and a checkpoint."""
    run = create_run(name='rich "run"')
    digest = platform.blobs.put_bytes(CONTENT)
    points = [("loss", step, 0, None if step == 2 else 1 / step) for step in (1, 2, 3)] + [
        ('a,"b', 1, 1, 0.5)
    ]
    with platform.database.transaction() as session:
        assert session.scalar(select(TrainingRun.id)) == run.id
        logs.append(session, run.id, "Zeile für Zeile\n".encode() * 100)
        session.execute(
            insert(TrainingRunMetric),
            [
                {"run_id": run.id, "name": name, "step": step, "epoch": epoch, "value": value}
                for name, step, epoch, value in points
            ],
        )
        session.add(
            TrainingRunCheckpoint(
                run_id=run.id, step=12, epoch=1, position=0, digest=digest, size_bytes=len(CONTENT), attempt=1
            )
        )
    return platform.training_runs.get_run(ADMIN, str(run.id))


@pytest.fixture
def api(platform: Platform) -> Generator[TestClient]:
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        yield client


def test_everything_that_a_run_has_is_listed_and_downloaded(run: TrainingRunView, api: TestClient):
    items = {item["name"]: item for item in api.get(PATH).json()["items"]}
    assert list(items) == ["log.txt", "metrics.csv", "metrics.jsonl", "parameters.json", CHECKPOINT]
    answers = {name: api.get(f"{PATH}/{name}") for name in items}
    for name, answer in answers.items():
        assert answer.status_code == 200
        assert "attachment" in answer.headers["Content-Disposition"]
        if items[name]["size_bytes"] is not None:
            assert int(answer.headers["Content-Length"]) == len(answer.content) == items[name]["size_bytes"]
    assert answers["log.txt"].text == "Zeile für Zeile\n" * 100
    assert answers["metrics.csv"].text.splitlines() == [
        "metric,step,epoch,value",
        '"a,""b",1,1,0.5',
        "loss,1,0,1.0",
        "loss,2,0,",
        f"loss,3,0,{1 / 3}",
    ]
    lines = [json.loads(line) for line in answers["metrics.jsonl"].text.splitlines()]
    assert lines[2] == {"metric": "loss", "step": 2, "epoch": 0, "value": None}
    again = TrainingRunCreate.model_validate_json(answers["parameters.json"].content)
    assert (again.name, again.dataset, again.parameters) == (run.name, "squares@1", run.parameters)
    assert answers[CHECKPOINT].content == CONTENT
    assert items[CHECKPOINT]["digest"] == hashlib.sha256(CONTENT).hexdigest()
    assert answers[CHECKPOINT].headers["ETag"] == f'"{items[CHECKPOINT]["digest"]}"'


def test_a_checkpoint_is_had_in_parts(run: TrainingRunView, api: TestClient):
    assert run.checkpoints
    answer = api.get(f"{PATH}/{CHECKPOINT}", headers={"Range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (206, CONTENT[5:10])
    assert answer.headers["Content-Range"] == f"bytes 5-9/{len(CONTENT)}"
    assert api.get(f"{PATH}/{CHECKPOINT}", headers={"Range": "bytes=99999999-"}).status_code == 416


@pytest.mark.parametrize(
    "name", ["nothing", "checkpoint-step-13.pt", "..%2Flog.txt", "%00", "model-weights.safetensors"]
)
def test_what_a_run_has_not_is_not_found(run: TrainingRunView, api: TestClient, name: str):
    assert run.model is None
    assert api.get(f"{PATH}/{name}").status_code == 404


def test_checkpoints_need_the_claim_to_export(platform: Platform, run: TrainingRunView):
    reader = replace(ADMIN, claims=frozenset({Claim.TRAINING_RUN_VIEW}))
    assert b"".join(platform.run_artifacts.open(reader, run.name, "log.txt").pieces)
    with pytest.raises(Forbidden):
        platform.run_artifacts.open(reader, run.name, CHECKPOINT)
    stranger = replace(ADMIN, claims=frozenset())
    for call in (
        lambda: platform.run_artifacts.list_artifacts(stranger, run.name),
        lambda: platform.run_artifacts.open(stranger, run.name, CHECKPOINT),
    ):
        with pytest.raises(NotFound):
            call()
    assert platform.run_artifacts.open(ADMIN, run.name, CHECKPOINT).path is not None
