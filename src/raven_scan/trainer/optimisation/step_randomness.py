"""Randomness inside a training step, from nothing but (seed, step)."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenStepRandomnessHook(Hook):
    """Seed PyTorch's, NumPy's and Python's generators before every step from (seed, step).

    What a model draws (samples of proposals, noise on queries, dropout) is then the same in a run that continues
    from a checkpoint as in one that was never interrupted.
    """

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        del batch_idx, data_batch
        # Of several ranks each draws its own; the first draws as a single one does.
        place = (self._seed, int(runner.iter), *([runner.rank] if runner.rank else []))
        seeds = np.random.SeedSequence(place).generate_state(3)
        torch.manual_seed(int(seeds[0]))
        np.random.seed(seeds[1])  # noqa: NPY002 - the generator that MMDetection draws from
        random.seed(int(seeds[2]))
