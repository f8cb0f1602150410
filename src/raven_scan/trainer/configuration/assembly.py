"""The whole configuration of a run."""

import os
from typing import Any

from raven_scan.architectures.catalogue import Architecture, StartingWeights, get_architecture
from raven_scan.architectures.decisions import decide_parameters
from raven_scan.architectures.parameters import Acceleration, TrainingParameters
from raven_scan.trainer.acceleration.arithmetic import PLAIN, Arithmetic, decide_unmeasured
from raven_scan.trainer.configuration.json_form import make_plain
from raven_scan.trainer.configuration.model import build_model_section, read_mmdetection_configuration
from raven_scan.trainer.configuration.optimisation import (
    build_averaging_hook,
    build_optimiser_section,
    build_schedule_section,
    count_steps_per_epoch,
)
from raven_scan.trainer.configuration.pipelines import (
    build_fast_dataset,
    build_fast_validation_dataset,
    build_mosaic_pipeline,
    build_training_pipeline,
    build_validation_pipeline,
)
from raven_scan.trainer.data.coco_columns import ANNOTATIONS_FILE
from raven_scan.trainer.weights.base_weights import make_base_weights_address
from raven_scan.wire.spec import PartSpec, TrainSpec

BEST_METRIC = "coco/bbox_mAP"
_CUSTOM_IMPORTS = [
    "raven_scan.trainer.operators.install_on_import",
    "raven_scan.trainer.acceleration.hook",
    "raven_scan.trainer.backbones",
    "raven_scan.trainer.data",
    "raven_scan.trainer.evaluation.coco_metric",
    "raven_scan.trainer.heads",
    "raven_scan.trainer.optimisation",
    "raven_scan.trainer.weights",
]
_COLLATION = {"type": "collate_batch"}
_MOST_LOADER_PROCESSES = 8
_LOG_INTERVAL_STEPS = 10


def build_configuration(spec: TrainSpec, arithmetic: Arithmetic | None = None) -> dict[str, Any]:
    """MMDetection's configuration of a run, as plain data.

    `mmengine.Config.fromfile` reads it from JSON (see `encode_configuration`), and then `Runner.from_cfg` and
    MMDetection's own `tools/train.py` run it unchanged. Nothing in it leads to the network.

    Args:
        spec: what is asked for.
        arithmetic: what was decided; None takes what is decided without a measurement.

    Raises:
        UnknownArchitectureError: the catalogue has no such architecture.
        pydantic.ValidationError: parameters are out of their bounds.
    """
    architecture = get_architecture(spec.architecture)
    parameters = decide_run_parameters(spec)
    original = read_mmdetection_configuration(architecture)
    steps_per_epoch = count_steps_per_epoch(spec.train.image_count, parameters.batch_size, len(spec.devices))
    if arithmetic is None:
        arithmetic = decide_unmeasured(parameters)
    configuration = {
        **_build_surroundings(spec, parameters),
        "model": build_model_section(
            original,
            architecture,
            class_count=len(spec.classes),
            frozen_stages=parameters.frozen_stages or 0,
        ),
        "train_dataloader": _build_train_loader(spec, parameters),
        "val_dataloader": _build_validation_loader(spec, parameters),
        "test_dataloader": _build_evaluation_loader(spec, parameters, spec.test),
        "val_evaluator": _build_evaluator(spec.valid),
        "test_evaluator": _build_evaluator(spec.test),
        "train_cfg": {
            "type": "EpochBasedTrainLoop",
            "max_epochs": parameters.epochs,
            "val_interval": parameters.validation_interval,
        },
        "val_cfg": {"type": "ValLoop"},
        "test_cfg": {"type": "TestLoop"},
        "optim_wrapper": build_optimiser_section(architecture, parameters, arithmetic),
        "param_scheduler": build_schedule_section(parameters, steps_per_epoch),
        "custom_hooks": _build_custom_hooks(spec, architecture, parameters, arithmetic),
        "load_from": make_base_weights_address(spec.weights) if spec.weights else None,
        "resume": False,
    }
    return make_plain(configuration)


def decide_run_parameters(spec: TrainSpec) -> TrainingParameters:
    """The parameters of a run, with what its architecture decides.

    Raises:
        UnknownArchitectureError: the catalogue has no such architecture.
        pydantic.ValidationError: parameters are out of their bounds.
    """
    architecture = get_architecture(spec.architecture)
    return decide_parameters(
        architecture,
        TrainingParameters.model_validate(spec.parameters),
        starting_weights=StartingWeights.COCO if spec.weights else architecture.starting_weights,
        train_image_count=spec.train.image_count,
    )


def build_model_configuration(architecture: Architecture, class_count: int) -> dict[str, Any]:
    """What builds an architecture with nothing frozen: `default_scope`, `custom_imports` and `model`."""
    model = build_model_section(
        read_mmdetection_configuration(architecture), architecture, class_count=class_count, frozen_stages=0
    )
    return make_plain(
        {
            "default_scope": "mmdet",
            "custom_imports": {"imports": _CUSTOM_IMPORTS, "allow_failed_imports": False},
            "model": model,
        }
    )


def build_test_configuration(
    architecture: Architecture, classes: list[str], part: PartSpec, device: str
) -> dict[str, Any]:
    """What evaluates a model of which no configuration is stored: `build_model_configuration`'s, and a test loader.

    Images are fit into the architecture's own input size.
    """
    loader = {
        **_build_plain_loader(_decide_loader_processes(None, device), device),
        "batch_size": 1,
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": {
            "type": "RavenCocoDataset",
            "folder": str(part.folder),
            "metainfo": {"classes": classes},
            "pipeline": build_validation_pipeline(architecture.image_size),
            "test_mode": True,
        },
    }
    return {**build_model_configuration(architecture, len(classes)), "test_dataloader": make_plain(loader)}


def _build_surroundings(spec: TrainSpec, parameters: TrainingParameters) -> dict[str, Any]:
    return {
        "default_scope": "mmdet",
        "custom_imports": {"imports": _CUSTOM_IMPORTS, "allow_failed_imports": False},
        "work_dir": str(spec.work_folder),
        "randomness": {"seed": parameters.seed, "deterministic": False},
        "env_cfg": {
            "cudnn_benchmark": False,
            "mp_cfg": {"mp_start_method": "fork", "opencv_num_threads": 0},
            "dist_cfg": {"backend": "gloo" if spec.devices[0] == "cpu" else "nccl"},
        },
        "default_hooks": {
            "timer": {"type": "IterTimerHook"},
            "logger": {"type": "LoggerHook", "interval": _LOG_INTERVAL_STEPS},
            "param_scheduler": {"type": "ParamSchedulerHook"},
            "sampler_seed": {"type": "DistSamplerSeedHook"},
            "checkpoint": {
                "type": "CheckpointHook",
                "interval": parameters.checkpoint_interval,
                "max_keep_ckpts": 1,
                "save_best": BEST_METRIC,
                "rule": "greater",
            },
        },
        # Without a place to write to: MMEngine's would dump the configuration as Python source.
        "visualizer": {"type": "DetLocalVisualizer", "vis_backends": [], "name": "visualizer"},
        "log_processor": {"type": "LogProcessor", "window_size": _LOG_INTERVAL_STEPS, "by_epoch": True},
        "log_level": "INFO",
    }


def _build_train_loader(spec: TrainSpec, parameters: TrainingParameters) -> dict[str, Any]:
    image_size = _get_image_size(parameters)
    loader = {**_build_loader(spec, parameters), "sampler": {"type": "RavenEpochSampler", "shuffle": True}}
    dataset = {**_build_dataset(spec, spec.train), "seed": parameters.seed}
    if _is_accelerated(parameters):
        fast = build_fast_dataset(parameters.augmentation, image_size, parameters.epochs)
        return {**loader, "collate_fn": _COLLATION, "dataset": {**dataset, **fast}}
    mosaic, mosaic_epochs = build_mosaic_pipeline(parameters.augmentation, image_size, parameters.epochs)
    return {
        **loader,
        "dataset": {
            **dataset,
            "pipeline": build_training_pipeline(parameters.augmentation, image_size),
            "mosaic": mosaic,
            "mosaic_epochs": mosaic_epochs,
        },
    }


def _build_validation_loader(spec: TrainSpec, parameters: TrainingParameters) -> dict[str, Any]:
    loader = _build_evaluation_loader(spec, parameters, spec.valid)
    if _is_accelerated(parameters):
        loader["collate_fn"] = _COLLATION
        loader["dataset"] |= build_fast_validation_dataset(_get_image_size(parameters))
    return loader


def _build_evaluation_loader(
    spec: TrainSpec, parameters: TrainingParameters, part: PartSpec
) -> dict[str, Any]:
    return {
        **_build_loader(spec, parameters),
        "sampler": {"type": "DefaultSampler", "shuffle": False},
        "dataset": {
            **_build_dataset(spec, part),
            "pipeline": build_validation_pipeline(_get_image_size(parameters)),
            "test_mode": True,
        },
    }


def _is_accelerated(parameters: TrainingParameters) -> bool:
    return parameters.acceleration is Acceleration.ON


def _build_loader(spec: TrainSpec, parameters: TrainingParameters) -> dict[str, Any]:
    processes = _decide_loader_processes(parameters.loader_processes, spec.devices[0])
    return {"batch_size": parameters.batch_size, **_build_plain_loader(processes, spec.devices[0])}


def _build_plain_loader(processes: int, device: str) -> dict[str, Any]:
    loader: dict[str, Any] = {
        "num_workers": processes,
        "persistent_workers": processes > 0,
        "drop_last": False,
        "pin_memory": device != "cpu",
    }
    if processes > 0:
        loader["prefetch_factor"] = 4
    return loader


def _build_dataset(spec: TrainSpec, part: PartSpec) -> dict[str, Any]:
    return {
        "type": "RavenCocoDataset",
        "folder": str(part.folder),
        "metainfo": {"classes": spec.classes},
    }


def _build_evaluator(part: PartSpec) -> dict[str, Any]:
    return {"type": "RavenCocoMetric", "ann_file": str(part.folder / ANNOTATIONS_FILE)}


def _build_custom_hooks(
    spec: TrainSpec, architecture: Architecture, parameters: TrainingParameters, arithmetic: Arithmetic
) -> list[dict[str, Any]]:
    hooks: list[dict[str, Any]] = [
        {"type": "RavenStepRandomnessHook", "seed": parameters.seed},
        *build_averaging_hook(architecture),
        *_build_arithmetic_hook(arithmetic),
    ]
    if spec.weights is not None:
        hooks.append(
            {
                "type": "RavenBaseWeightsHook",
                "classes": spec.classes,
                "base_classes": spec.weights_classes,
            }
        )
    if parameters.early_stopping_patience is not None:
        hooks.append(
            {
                "type": "EarlyStoppingHook",
                "monitor": BEST_METRIC,
                "rule": "greater",
                # More than nothing: with 0, MMEngine counts an equal figure as a better one.
                "min_delta": 1e-9,
                "patience": parameters.early_stopping_patience,
            }
        )
    return hooks


def _get_image_size(parameters: TrainingParameters) -> int:
    if parameters.image_size is None:
        raise RuntimeError("The image size was not decided.")
    return parameters.image_size


def _build_arithmetic_hook(arithmetic: Arithmetic) -> list[dict[str, Any]]:
    return [] if arithmetic == PLAIN else [{"type": "RavenArithmeticHook", **arithmetic.dump()}]


def _decide_loader_processes(asked: int | None, device: str) -> int:
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0))
    if device == "cpu":
        return 1 if cores > 1 else 0
    return min(_MOST_LOADER_PROCESSES, max(1, cores - 1))
