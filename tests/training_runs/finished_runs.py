"""Runs that end in Success without training: what their workers write is written."""

from typing import Any

import msgspec
import numpy as np
from safetensors.numpy import save

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform
from raven_scan.trained_models.types import Figures, NewTrainedModel, TrainedModelView
from raven_scan.training_runs.types import MetricPoint, RunProgress, TrainingRunView

ENVIRONMENT = {"raven-scan": "0.1.0", "python": "3.11.7", "torch": "2.14.1", "device": "cpu", "threads": "1"}


def finish_run(
    platform: Platform,
    run: TrainingRunView,
    *,
    value: float = 1.0,
    test_map50: float = 0.5,
    environment: dict[str, str] | None = None,
    losses: list[float] | None = None,
    hooks: list[dict[str, Any]] | None = None,
) -> TrainedModelView:
    """Schedules a Draft, executes it in words alone, and returns its model.

    Args:
        platform: the platform.
        run: a Draft, the only one that is to wait.
        value: of every weight.
        test_map50: what it scores.
        environment: what its trainer computed with.
        losses: one a step.
        hooks: of its configuration.
    """
    platform.training_runs.schedule(LOCAL_ADMINISTRATOR, str(run.id))
    attempt = platform.execution.begin_next(WORKER, worker="here:1:1.0", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    assert attempt.run_id == run.id
    told: dict[str, Any] = {"warnings": [], "checkpoint": None, "log": b"", "log_position": 0}
    platform.execution.record(
        WORKER,
        attempt,
        progress=RunProgress(),
        points=[MetricPoint("loss", step, 1, loss) for step, loss in enumerate(losses or [2.0, 1.0], 1)],
        best={"map": test_map50 / 2, "map50": test_map50, "epoch": 1.0},
        environment=ENVIRONMENT if environment is None else environment,
        **told,
    )
    version = platform.datasets.get_version(LOCAL_ADMINISTRATOR, str(run.dataset_version.id))
    folder = f"/somewhere/{run.id}/attempt-1".encode()
    configuration = b'{"model":{},"work_dir":"%s","data":"%s/data","custom_hooks":%s}' % (
        folder,
        folder,
        msgspec.json.encode(hooks or []),
    )
    model_id = platform.execution.succeed(
        WORKER,
        attempt,
        NewTrainedModel(
            name=run.name,
            architecture=run.architecture,
            classes=["waste"],
            starting_weights=None,
            weights_digest=platform.blobs.put_bytes(save({"weight": np.full(3, value, np.float32)})),
            configuration_digest=platform.blobs.put_bytes(configuration),
            parameter_count=3,
            valid=Figures(map50=test_map50),
            test=Figures(map=test_map50 / 2, map50=test_map50),
            leak_allowed=False,
            base_model_id=run.base_model.id,
            dataset_version_id=run.dataset_version.id,
            dataset_version_name=run.dataset_version.name,
            dataset_version_digest=version.digest,
            training_run_id=run.id,
            training_run_name=run.name,
            parameters=attempt.parameters.model_dump(mode="json"),
            environment=ENVIRONMENT if environment is None else environment,
        ),
        RunProgress(),
    )
    return platform.trained_models.get_model(LOCAL_ADMINISTRATOR, model_id)
