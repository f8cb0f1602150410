"""How long a run will take, and how much memory, from what a dry run measured."""

from math import ceil

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.types import RunEstimate
from raven_scan.wire.events import DryRunDone


def estimate_run(
    measured: DryRunDone,
    parameters: TrainingParameters,
    *,
    valid_image_count: int,
    test_image_count: int,
    device: str,
    mean_power: tuple[float, float] | None = None,
) -> RunEstimate:
    """The whole run: its start, steps, validations and checkpoints, and the evaluation by a fresh process.

    Early stopping, if it is asked for, can only make it shorter. `mean_power`: watts, and grams of CO2 an hour.
    """
    epochs = parameters.epochs
    steps = epochs * measured.steps_per_epoch
    training_s = steps * measured.step_time_s
    validations = ceil(epochs / parameters.validation_interval)
    validation_s = validations * valid_image_count * measured.validation_image_time_s
    checkpoint_count = ceil(epochs / parameters.checkpoint_interval) + int(
        training_s / (parameters.checkpoint_minutes * 60)
    )
    test_s = measured.start_time_s + test_image_count * measured.validation_image_time_s
    time_s = (
        measured.start_time_s
        + training_s
        + validation_s
        + checkpoint_count * measured.checkpoint_time_s
        + test_s
    )
    watts, co2_g_an_hour = mean_power or (None, None)
    return RunEstimate(
        time_s=time_s,
        memory_mb=measured.peak_memory_mb,
        step_time_s=measured.step_time_s,
        validation_image_time_s=measured.validation_image_time_s,
        checkpoint_time_s=measured.checkpoint_time_s,
        start_time_s=measured.start_time_s,
        steps=steps,
        device=device,
        energy_wh=None if watts is None else watts * time_s / 3600,
        co2_g=None if co2_g_an_hour is None else co2_g_an_hour * time_s / 3600,
    )
