"""The `train` command: one attempt at a run, from its specification to the weights of its best checkpoint."""

import copy
import math
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec
import torch
from mmengine.dist import get_world_size, is_main_process
from pydantic import ValidationError

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.trainer.acceleration.arithmetic import Arithmetic
from raven_scan.trainer.acceleration.choosing import choose_arithmetic
from raven_scan.trainer.checkpoint_files import identify_run, read_newest_checkpoint
from raven_scan.trainer.checkpoint_writing import CheckpointWriter, SilentWriter
from raven_scan.trainer.configuration import build_configuration, encode_configuration
from raven_scan.trainer.configuration.assembly import decide_run_parameters
from raven_scan.trainer.configuration.kept_images import keep_images
from raven_scan.trainer.configuration.optimisation import count_steps_per_epoch
from raven_scan.trainer.configuration.pipelines import MIN_BOX_SIDE_PX, get_largest_scale
from raven_scan.trainer.course import Course
from raven_scan.trainer.data import RavenCocoDataset
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError, describe_dead_loader, describe_failure
from raven_scan.trainer.foreign_checkpoint import fit_to_model
from raven_scan.trainer.registration import register_parts
from raven_scan.trainer.run_hooks import StepEventsHook, ValidationHook, check_weights_finite
from raven_scan.trainer.run_loops import LedTrainLoop, StoppableValLoop
from raven_scan.trainer.run_state import BestSoFar, RunState, copy_weights
from raven_scan.trainer.runner import RunRunner, UnprintedConfig
from raven_scan.trainer.runner_trainee import (
    RunnerTrainee,
    find_averaged_model,
    read_arithmetic,
    restore_checkpoint,
    unwrap_model,
)
from raven_scan.trainer.step_telling import StepTeller
from raven_scan.trainer.stop_request import StopRequest
from raven_scan.trainer.weights_file import name_some, read_shapes, write_bytes, write_weights
from raven_scan.wire.events import TrainingDone
from raven_scan.wire.spec import TrainSpec

CONFIGURATION_FILE = "configuration.json"
WEIGHTS_FILE = "weights.safetensors"
# Of a model's numbers: with less, the weights are of something else.
LEAST_MATCHED_SHARE = 0.5


def train(spec: TrainSpec, log: EventLog, stop: StopRequest) -> None:
    """Train to the end; `weights.safetensors` in the work folder is then the best checkpoint.

    Raises:
        TrainerError: the specification is refused, or the training diverged.
        StopRequested: it was asked to end, and wrote a checkpoint of where it came to.
    """
    parameters = read_parameters(spec)
    checkpoint = read_newest_checkpoint(spec.resume_from, identify_run(spec), log.tell)
    if checkpoint is not None:
        stop.epoch, stop.step = checkpoint["epoch"], checkpoint["step"]
    state = RunState()
    arithmetic = None if checkpoint is None else read_arithmetic(checkpoint)
    runner, arithmetic = prepare_runner(spec, log, resumed_arithmetic=arithmetic)
    steps = StepTeller(log)
    runner.register_hook(ValidationHook(log, state))
    runner.register_hook(StepEventsHook(log, steps, CONFIGURATION_FILE, arithmetic))
    if checkpoint is not None:
        runner.restore = partial(_restore, content=checkpoint, state=state, log=log)

    writer_type = CheckpointWriter if is_main_process() else SilentWriter

    def lead(runner: Any) -> None:
        runner.val_loop.stop = stop
        runner.val_loop.precision = arithmetic.precision
        check_has_boxes(runner, spec, parameters)
        Course(
            RunnerTrainee(runner, state, steps, arithmetic),
            log=log,
            stop=stop,
            writer=writer_type(spec, log, interval_s=parameters.checkpoint_minutes * 60),
            checkpoint_interval=parameters.checkpoint_interval,
            position=0 if checkpoint is None else checkpoint["position"],
        ).run()

    runner.lead = lead
    run_training(runner)
    if is_main_process():
        _export(spec, log, runner, state)


def prepare_runner(
    spec: TrainSpec, log: EventLog, *, resumed_arithmetic: Arithmetic | None
) -> tuple[RunRunner, Arithmetic]:
    """Decide the arithmetic, write the configuration, build its runner, and check that the base model fits.

    Args:
        spec: of the run.
        log: is told of it.
        resumed_arithmetic: what the run has computed with so far; None where it starts, from its base model.

    Raises:
        TrainerError: the specification is refused.
    """
    log.tell_phase("build")
    if spec.weights is not None and spec.weights_classes != spec.classes:
        log.tell(
            "The base model knows other classes, or in another order: its class head is fitted to this run's.",
            code="class_head_fitted",
        )
    arithmetic = resumed_arithmetic or _choose_arithmetic(spec, log)
    runner = build_runner(write_configuration(spec, arithmetic), spec)
    if resumed_arithmetic is None and spec.weights is not None:
        check_base_weights(unwrap_model(runner.model), spec.weights, log)
    return runner, arithmetic


def _choose_arithmetic(spec: TrainSpec, log: EventLog) -> Arithmetic:
    parameters = decide_run_parameters(spec)
    steps_per_epoch = count_steps_per_epoch(spec.train.image_count, parameters.batch_size, len(spec.devices))

    def configure() -> dict[str, Any]:
        configuration = build_configuration(spec)
        register_parts(configuration)
        return configuration

    return choose_arithmetic(spec, parameters, configure, log, step_count=steps_per_epoch * parameters.epochs)


def read_parameters(spec: TrainSpec) -> TrainingParameters:
    """Raises TrainerError `refused.parameters`, naming each parameter that is wrong."""
    try:
        return TrainingParameters.model_validate(spec.parameters)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in problem['loc']) or 'parameters'}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise TrainerError(
            "refused.parameters",
            f"The training parameters are out of bounds; {'; '.join(problems)}.",
            hint="Create a new run with others.",
        ) from error


def write_configuration(spec: TrainSpec, arithmetic: Arithmetic) -> dict[str, Any]:
    """Build the configuration, write it to the work folder, and return it.

    What is written is kept with the model, and shown: its paths are relative to the work folder, which is another in
    each attempt, and nobody's business.
    """
    spec.work_folder.mkdir(parents=True, exist_ok=True)
    encoded = encode_configuration(build_configuration(spec, arithmetic))
    if is_main_process():
        folder = msgspec.json.encode(str(spec.work_folder))[1:-1]
        written = encoded.replace(b'"%s"' % folder, b'"."').replace(b'"%s/' % folder, b'"')
        write_bytes(spec.work_folder / CONFIGURATION_FILE, written)
    return msgspec.json.decode(encoded)


def build_runner(configuration: dict[str, Any], spec: TrainSpec) -> RunRunner:
    """A runner of the stored configuration, less what the platform does itself: checkpoints, and files of logs."""
    configuration = copy.deepcopy(configuration)
    keep_images(configuration, spec)
    register_parts(configuration)
    configuration["default_hooks"] = {**configuration.get("default_hooks", {}), "checkpoint": None}
    configuration["work_dir"] = str(spec.work_folder)
    configuration["resume"] = False
    configuration["train_cfg"] = {**configuration["train_cfg"], "type": LedTrainLoop}
    configuration["val_cfg"] = {**configuration["val_cfg"], "type": StoppableValLoop}
    if get_world_size() > 1:
        configuration["launcher"] = "pytorch"
        configuration["model_wrapper_cfg"] = {
            "type": "MMDistributedDataParallel",
            "device_ids": None,
            "broadcast_buffers": False,
        }
    # Typed as a Runner, whatever the class is that it is called on.
    return cast("RunRunner", RunRunner.from_cfg(UnprintedConfig(configuration)))


def check_base_weights(model: torch.nn.Module, weights: Path, log: EventLog) -> None:
    """Tell which tensors the base model does not provide; refuse weights of another architecture.

    MMEngine loads what fits and goes on with the rest as it was initialised, with no more than a line in the log.

    Raises:
        TrainerError: `refused.weights_unreadable`, `refused.weights_do_not_fit`.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    fit = fit_to_model(shapes, read_shapes(weights))
    afresh = [*fit.missing, *(tensor.name for tensor in fit.mismatched)]
    if fit.matched_share < LEAST_MATCHED_SHARE:
        raise TrainerError(
            "refused.weights_do_not_fit",
            f"The base model's weights are {fit.matched_share:.0%} of what this architecture needs; "
            f"not among them: {name_some(afresh)}.",
            hint="Choose a base model of the same architecture.",
        )
    if afresh:
        log.tell(
            f"{len(afresh)} tensors are not taken from the base model and start afresh: {name_some(afresh)}.",
            code="base_weights_partial",
        )


def run_training(runner: Any) -> None:
    """Let the runner train. Raises what ends it, explained where its weights are no numbers any more."""
    try:
        runner.train()
    except Exception as error:
        raise _explain(error, runner) from error


def check_has_boxes(runner: Any, spec: TrainSpec, parameters: TrainingParameters) -> None:
    """Raises TrainerError `refused.nothing_to_learn_from`, where no box of the training part is left to be seen."""
    dataset = runner.train_dataloader.dataset
    image_size = parameters.image_size or get_architecture(spec.architecture).image_size
    count = dataset.count_boxes(image_size * get_largest_scale(parameters.augmentation), MIN_BOX_SIDE_PX)
    if count == 0:
        total = dataset.count_boxes(math.inf, 0)
        raise TrainerError(
            "refused.nothing_to_learn_from",
            "There is nothing to learn from: the training part has no boxes."
            if total == 0
            else f"There is nothing to learn from: at {image_size} pixels, none of the {total} boxes of the training "
            f"part is larger than {MIN_BOX_SIDE_PX} pixels.",
            hint="Choose a larger image size, or a dataset version whose training images have boxes.",
            evidence={"boxes": total, "images": len(dataset), "image_size": image_size},
        )


def _restore(runner: Any, *, content: dict[str, Any], state: RunState, log: EventLog) -> None:
    restore_checkpoint(runner, content, state)
    within = f", {content['position']} steps into the next" if content["position"] else ""
    log.tell(f"Goes on after epoch {content['epoch']}{within}, step {content['step']}.")


def _explain(error: Exception, runner: Any) -> Exception:
    """What is known here of an error beside what it says itself."""
    failure = describe_failure(error)
    if failure.code.endswith(".loader"):
        failure = describe_dead_loader(_find_loader_signal(runner), failure.detail)
        return TrainerError(
            failure.code,
            failure.message,
            hint=failure.hint,
            detail=failure.detail,
            evidence={**failure.evidence, "images": _list_images_being_loaded(runner)},
        )
    if failure.code != "crashed.exception":
        return error
    # Weights that are no numbers make other code fail first, such as the assignment of boxes.
    try:
        check_weights_finite(runner.model, runner.iter)
    except TrainerError as divergence:
        divergence.detail = failure.detail
        for hook in runner.hooks:
            if isinstance(hook, StepEventsHook):
                divergence.evidence = hook.describe_step(runner.iter + 1)
        return divergence
    return error


def _list_loaders(runner: Any) -> list[Any]:
    loops = (runner._train_loop, runner._val_loop)  # noqa: SLF001 - the properties would build them
    return [loop.dataloader for loop in loops if hasattr(loop, "dataloader")]


def _find_loader_signal(runner: Any) -> str | None:
    """The signal that ended a loader process; what torch tells of it depends on what it notices first."""
    for loader in _list_loaders(runner):
        for process in getattr(loader._iterator, "_workers", ()):  # noqa: SLF001 - nothing else has them
            if (process.exitcode or 0) < 0:
                return signal.strsignal(-process.exitcode)
    return None


def _list_images_being_loaded(runner: Any) -> list[str]:
    datasets = [loader.dataset for loader in _list_loaders(runner)]
    return [
        name
        for dataset in datasets
        if isinstance(dataset, RavenCocoDataset)
        for name in dataset.list_being_loaded()
    ]


def _export(spec: TrainSpec, log: EventLog, runner: Any, state: RunState) -> None:
    log.tell_phase("export")
    best = state.best
    if best is None:
        log.tell(
            "No validation had a figure: the weights of the last epoch are taken.",
            level="warning",
            code="no_best_checkpoint",
        )
        best = BestSoFar(runner.epoch, state.last_figures, copy_weights(find_averaged_model(runner)))
    path: Path = spec.work_folder / WEIGHTS_FILE
    write_weights(path, best.weights)
    log.emit(
        TrainingDone(
            time=time.time(),
            weights=WEIGHTS_FILE,
            best_epoch=best.epoch,
            epochs=runner.epoch,
            steps=runner.iter,
            stopped_early=bool(runner.train_loop.stop_training) and runner.epoch < runner.max_epochs,
            figures=best.figures,
        )
    )
