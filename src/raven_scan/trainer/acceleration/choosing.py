"""Which arithmetic is the fastest that is sound: measured on a run's own model and first images, and remembered."""

import copy
import hashlib
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.dataset import pseudo_collate
from mmengine.dist import broadcast_object_list, get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from torch import nn

from raven_scan.architectures.parameters import Precision, TrainingParameters
from raven_scan.trainer.acceleration.arithmetic import Arithmetic, decide_unmeasured, list_candidates
from raven_scan.trainer.acceleration.hook import prepare_model
from raven_scan.trainer.environment import find_processor
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.weights.base_weights import load_from_safetensors, make_base_weights_address
from raven_scan.trainer.weights.class_tensors import fit_class_tensors
from raven_scan.wire.spec import TrainSpec

# A measurement takes about as long as ten steps: shorter runs would not win it back.
_FEWEST_STEPS = 100
# Of the run's batch: the ratio of times is that of whole batches, or near it.
_MOST_IMAGES = 4
_ROUNDS = 2
# What a smaller number range must gain to be chosen.
_LEAST_GAIN = 1.05
# Of the float32 loss; rounding to bfloat16 changes the assignment of a few boxes.
_LARGEST_LOSS_DIFFERENCE = 0.1
# Of the norm of all gradients. Their direction says nothing at the start: that of a deep network with random weights
# turns with the last digit of anything, and even the norm changes by a factor of three.
_LARGEST_NORM_RATIO = 10.0
_LOSS_SCALE = 1024.0
_DTYPES = {
    Precision.FLOAT32: torch.float32,
    Precision.BFLOAT16: torch.bfloat16,
    Precision.FLOAT16: torch.float16,
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one candidate: seconds a step, and whether loss and gradients are as those of float32."""

    arithmetic: Arithmetic
    step_time_s: float
    is_sound: bool


def choose_arithmetic(
    spec: TrainSpec,
    parameters: TrainingParameters,
    configure: Callable[[], dict[str, Any]],
    log: EventLog,
    *,
    step_count: int,
) -> Arithmetic:
    """Decide what the parameters leave open.

    Args:
        spec: of the run; what was measured is remembered in its `cache_folder`.
        parameters: its parameters, decided otherwise.
        configure: makes a configuration of the run, whatever its arithmetic.
        log: is told what was found.
        step_count: training steps of the whole run.
    """
    candidates = list_candidates(parameters, spec.devices[0])
    if len(candidates) == 1:
        return candidates[0]
    if step_count < _FEWEST_STEPS or not torch.backends.mkldnn.is_available():
        return decide_unmeasured(parameters)
    remembered = _find_remembered(spec, parameters, candidates)
    if get_world_size() > 1:
        # All ranks take what the first one finds.
        remembered = _share(remembered)
    if remembered is not None:
        log.tell(
            f"Computes in {remembered}, which was measured here to be the fastest.",
            code="arithmetic_remembered",
        )
        return remembered
    log.tell_phase("arithmetic")
    # Of several ranks all do the steps: losses are averaged over them.
    chosen = _choose_by_measuring(spec, configure, candidates, log)
    if chosen is not None and is_main_process():
        _remember(spec, parameters, chosen)
    return (_share(chosen) if get_world_size() > 1 else chosen) or decide_unmeasured(parameters)


def _choose_by_measuring(
    spec: TrainSpec, configure: Callable[[], dict[str, Any]], candidates: list[Arithmetic], log: EventLog
) -> Arithmetic | None:
    try:
        measured = _measure(configure(), spec, candidates)
    except Exception as error:  # noqa: BLE001 - what is wrong with the run is told by the run itself
        log.tell(
            f"The arithmetic could not be measured ({type(error).__name__}: {error}).",
            level="warning",
            code="arithmetic_not_measured",
        )
        return None
    chosen = choose_fastest(measured)
    log.tell(_describe(measured, chosen), code="arithmetic_measured")
    return chosen


def choose_fastest(measured: list[Measured]) -> Arithmetic:
    """The fastest that is sound; one of fewer bits only where it gains enough."""
    sound = [each for each in measured if each.is_sound]
    exact = [each for each in sound if each.arithmetic.precision is Precision.FLOAT32] or sound
    best_exact = min(exact, key=lambda each: each.step_time_s)
    best = min(sound, key=lambda each: each.step_time_s)
    is_worth_it = best.step_time_s * _LEAST_GAIN <= best_exact.step_time_s
    return best.arithmetic if is_worth_it else best_exact.arithmetic


def _measure(configuration: dict[str, Any], spec: TrainSpec, candidates: list[Arithmetic]) -> list[Measured]:
    model, batch = _prepare(configuration, spec)
    device = next(model.parameters()).device
    steps = [
        _Step(prepare_model(copy.deepcopy(model), arithmetic), batch, arithmetic.precision, device)
        for arithmetic in candidates
    ]
    # The first steps find the kernels, and say what is sound.
    found = [step.run() for step in steps]
    times = [math.inf] * len(steps)
    # By turns: what else the machine does then disturbs all of them alike.
    for _ in range(_ROUNDS):
        for index, step in enumerate(steps):
            began = time.perf_counter()
            step.run()
            times[index] = min(times[index], time.perf_counter() - began)
    del model, steps
    if device.type == "cuda":
        torch.cuda.empty_cache()
    exact = found[0]
    return [
        Measured(arithmetic, step_time_s, is_sound(*each, *exact))
        for arithmetic, step_time_s, each in zip(candidates, times, found, strict=True)
    ]


def is_sound(loss: float, gradient_norm: float, exact_loss: float, exact_norm: float) -> bool:
    """Whether a loss and the norm of all gradients are those of float32 but for rounding, and finite."""
    if not (math.isfinite(loss) and math.isfinite(gradient_norm)):
        return False
    is_near = abs(loss - exact_loss) <= _LARGEST_LOSS_DIFFERENCE * abs(exact_loss)
    return (
        is_near and exact_norm <= gradient_norm * _LARGEST_NORM_RATIO <= exact_norm * _LARGEST_NORM_RATIO**2
    )


class _Step:
    """Forward, loss and backward of one batch, again and again."""

    def __init__(
        self, model: nn.Module, batch: dict[str, Any], precision: Precision, device: torch.device
    ) -> None:
        self._model: Any = model
        self._batch = batch
        self._precision = precision
        self._device = device

    def run(self) -> tuple[float, float]:
        """Returns the loss and the norm of all gradients."""
        # What a model draws (samples of proposals) is the same for each candidate.
        set_random_seed(0)
        model = self._model
        model.zero_grad(set_to_none=True)
        is_reduced = self._precision is not Precision.FLOAT32
        data = model.data_preprocessor(copy.deepcopy(self._batch), True)  # noqa: FBT003 - MMEngine's
        with torch.autocast(self._device.type, dtype=_DTYPES[self._precision], enabled=is_reduced):
            loss, _ = model.parse_losses(model(**data, mode="loss"))
        scale = _LOSS_SCALE if self._precision is Precision.FLOAT16 else 1.0
        (loss.float() * scale).backward()
        gradients = [each.grad for each in model.parameters() if each.grad is not None]
        # Asks the device, and so waits for it.
        return float(loss.detach()), float(nn.utils.get_total_norm(gradients)) / scale


def _prepare(configuration: dict[str, Any], spec: TrainSpec) -> tuple[nn.Module, dict[str, Any]]:
    """The run's model with the weights that it starts from, and a batch of its images."""
    init_default_scope("mmdet")
    set_random_seed(0)
    model: Any = MODELS.build(configuration["model"])
    # Otherwise it tells how each tensor was initialised.
    MMLogger.get_current_instance().setLevel(logging.WARNING)
    model.init_weights()
    if spec.weights is not None:
        state = load_from_safetensors(make_base_weights_address(spec.weights))["state_dict"]
        fit_class_tensors(state, spec.weights_classes, spec.classes)
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        fitting = {name: tensor for name, tensor in state.items() if shapes.get(name) == tensor.shape}
        model.load_state_dict(fitting, strict=False)
    model.train()
    model.to("cpu" if spec.devices[0] == "cpu" else "cuda")
    loader = configuration["train_dataloader"]
    dataset = DATASETS.build(loader["dataset"])
    count = min(_MOST_IMAGES, loader["batch_size"], len(dataset))
    # Those with most boxes: an image without any says little about the loss.
    return model, pseudo_collate([dataset[index] for index in _choose_images(dataset, count)])


def _choose_images(dataset: Any, count: int) -> list[int]:
    with_boxes = [
        index
        for index in range(min(len(dataset), 100))
        if len(dataset.get_data_info(index)["gt_bboxes_labels"])
    ]
    return [*with_boxes, *range(len(dataset))][:count]


def _describe(measured: list[Measured], chosen: Arithmetic) -> str:
    times = "; ".join(
        f"{each.arithmetic} {each.step_time_s:.3f} s{'' if each.is_sound else ' (not sound)'}"
        for each in measured
    )
    return f"Computes in {chosen}. A step of a few images was measured: {times}."


def _share(arithmetic: Arithmetic | None) -> Arithmetic | None:
    told: list[Any] = [None if arithmetic is None else arithmetic.dump()]
    broadcast_object_list(told, 0)
    return None if told[0] is None else Arithmetic.load(told[0])


def _find_remembered(
    spec: TrainSpec, parameters: TrainingParameters, candidates: list[Arithmetic]
) -> Arithmetic | None:
    path = _locate(spec, parameters)
    if path is None:
        return None
    with suppress(OSError, msgspec.DecodeError, KeyError, ValueError, TypeError):
        found = Arithmetic.load(msgspec.json.decode(path.read_bytes()))
        return found if found in candidates else None
    return None


def _remember(spec: TrainSpec, parameters: TrainingParameters, chosen: Arithmetic) -> None:
    path = _locate(spec, parameters)
    if path is None:
        return
    # What cannot be remembered is measured again.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of each process its own, should two of them measure at once.
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(msgspec.json.encode(chosen.dump()))
        temporary.replace(path)


def _locate(spec: TrainSpec, parameters: TrainingParameters) -> Path | None:
    """Where a measurement of this model, at this size, on this machine and with these versions is kept."""
    if spec.cache_folder is None:
        return None
    device = spec.devices[0]
    facts = {
        "architecture": spec.architecture,
        "image_size": parameters.image_size,
        "images": min(_MOST_IMAGES, parameters.batch_size),
        "frozen_stages": parameters.frozen_stages,
        "starts_from_weights": spec.weights is not None,
        "asked_for": [parameters.precision, parameters.memory_format, parameters.acceleration],
        "device": find_processor() if device == "cpu" else torch.cuda.get_device_name(),
        "threads": spec.threads,
        "versions": [version(name) for name in ("raven-scan", "torch", "torchvision", "onedl-mmdetection")],
    }
    digest = hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()
    return spec.cache_folder / "arithmetic" / f"{digest}.json"
