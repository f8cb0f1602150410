"""Optimiser, learning rate schedule, precision, and averaging of weights."""

from math import ceil
from typing import Any

from raven_scan.architectures.catalogue import Architecture, Family
from raven_scan.architectures.parameters import Precision, Schedule, TrainingParameters
from raven_scan.trainer.acceleration.arithmetic import Arithmetic

_GRADIENT_NORM_MAX = 35.0
_DINO_GRADIENT_NORM_MAX = 0.1
_FINAL_LEARNING_RATE_FACTOR = 0.05
_WARMUP_START_FACTOR = 1e-3
# Parts of the run after which a stepwise schedule divides the learning rate by ten.
_STEPS_AT = (2 / 3, 8 / 9)


def count_steps_per_epoch(image_count: int, batch_size: int, device_count: int) -> int:
    """Steps in an epoch: forward passes of a device; the last batch may be smaller."""
    return ceil(ceil(image_count / device_count) / batch_size)


def build_optimiser_section(
    architecture: Architecture, parameters: TrainingParameters, arithmetic: Arithmetic
) -> dict[str, Any]:
    """The `optim_wrapper` of a configuration."""
    is_dino = architecture.family is Family.DINO
    section: dict[str, Any] = {
        "type": "OptimWrapper",
        "optimizer": {
            "type": "AdamW",
            "lr": parameters.learning_rate,
            "weight_decay": parameters.weight_decay,
        },
    }
    # YOLOX sums its losses over positions: its gradients are large by nature, and clipping them slows its start.
    if architecture.family is not Family.YOLOX:
        norm = _DINO_GRADIENT_NORM_MAX if is_dino else _GRADIENT_NORM_MAX
        section["clip_grad"] = {"max_norm": norm, "norm_type": 2}
    if is_dino:
        section["paramwise_cfg"] = {"custom_keys": {"backbone": {"lr_mult": 0.1}}}
    else:
        section["paramwise_cfg"] = {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0, "bypass_duplicate": True}
    if parameters.accumulation > 1:
        section["accumulative_counts"] = parameters.accumulation
    if arithmetic.accelerated:
        section["constructor"] = "RavenOptimWrapperConstructor"
        section["optimizer"]["fused"] = True
    if arithmetic.precision is Precision.BFLOAT16:
        section["type"] = "RavenAutocastOptimWrapper"
    elif arithmetic.precision is Precision.FLOAT16:
        section.update(type="AmpOptimWrapper", dtype="float16", loss_scale="dynamic")
    return section


def build_schedule_section(parameters: TrainingParameters, steps_per_epoch: int) -> list[dict[str, Any]]:
    """The `param_scheduler` of a configuration: everything counts steps, as MMEngine does.

    Where gradients are accumulated, the optimiser takes one step in so many of these.
    """
    total = parameters.epochs * steps_per_epoch
    warmup = min(round(parameters.warmup_epochs * steps_per_epoch), total - 1)
    section: list[dict[str, Any]] = []
    if warmup > 0:
        section.append(
            {
                "type": "LinearLR",
                "start_factor": _WARMUP_START_FACTOR,
                "by_epoch": False,
                "begin": 0,
                "end": warmup,
            }
        )
    if parameters.schedule is Schedule.COSINE:
        section.append(
            {
                "type": "CosineAnnealingLR",
                "eta_min_ratio": _FINAL_LEARNING_RATE_FACTOR,
                "by_epoch": False,
                "begin": warmup,
                "end": total,
                "T_max": total - warmup,
            }
        )
    elif parameters.schedule is Schedule.STEP:
        section.append(
            {
                "type": "MultiStepLR",
                "by_epoch": False,
                "milestones": [round(total * part) for part in _STEPS_AT],
                "gamma": 0.1,
                "begin": 0,
                "end": total,
            }
        )
    return section


def build_averaging_hook(architecture: Architecture) -> list[dict[str, Any]]:
    """The average of the weights over the last steps, where the architecture's own configuration has one.

    Its window grows with the run, to about the last tenth of the steps done (momentum 10 / (10 + step)) and at most
    5000 steps: the fixed windows of MMDetection's configurations are longer than a short run is.
    """
    if architecture.family not in (Family.RTMDET, Family.YOLOX):
        return []
    return [
        {
            "type": "EMAHook",
            "ema_type": "MomentumAnnealingEMA",
            "momentum": 0.0002,
            "gamma": 10,
            "update_buffers": True,
            "priority": 49,
        }
    ]
