"""MMEngine's loops, led by the platform: the training by whatever is set on the runner, the validation stoppable.

They take the places of `EpochBasedTrainLoop` and `ValLoop` when the trainer builds its runner; the stored
configuration names MMEngine's own.
"""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from mmengine.runner import EpochBasedTrainLoop, ValLoop

from raven_scan.architectures.parameters import Precision
from raven_scan.trainer.evaluation.coco_metric import take_map_by_class
from raven_scan.trainer.stop_request import StopRequest


class LedTrainLoop(EpochBasedTrainLoop):
    """Counts epochs and steps; which step comes next is decided by `runner.lead`."""

    def run(self) -> torch.nn.Module:
        self.runner.call_hook("before_train")
        self.runner.lead(self.runner)
        self.runner.call_hook("after_train")
        return self.runner.model

    def go_to(self, *, epoch: int, step: int, stopped_early: bool) -> None:
        self._epoch = epoch
        self._iter = step
        self.stop_training = stopped_early

    def end_epoch(self) -> None:
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def take_back_epoch(self) -> None:
        self._epoch -= 1


class StoppableValLoop(ValLoop):
    """Ends between two batches, or while it waits for one, where the trainer is asked to end.

    Attributes:
        stop: set before it runs.
        precision: what the run computes with. A validation that is more exact than the training would take as long
            as a third of it; what is tested in the end is float32.
        map_by_class: what the last validation found, of the most frequent classes.
        is_measuring: whether the model holds the weights that are measured: the averaged ones, where there are.
    """

    stop: StopRequest
    precision: Precision = Precision.FLOAT32
    is_measuring: bool = False
    map_by_class: Mapping[str, float | None] = MappingProxyType({})

    def run(self) -> dict[str, Any]:
        self.runner.call_hook("before_val")
        self.runner.call_hook("before_val_epoch")
        self.is_measuring = True
        self.runner.model.eval()
        self.val_loss.clear()
        batches = iter(self.dataloader)
        index = 0
        while (batch := self.stop.wait_for(partial(next, batches, None))) is not None:
            self.run_iter(index, batch)
            index += 1
        dataset: Any = self.dataloader.dataset
        metrics = self.stop.wait_for(partial(self.evaluator.evaluate, len(dataset)))
        self.is_measuring = False
        self.map_by_class = take_map_by_class(metrics)
        self.runner.call_hook("after_val_epoch", metrics=metrics)
        self.runner.call_hook("after_val")
        return metrics

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Any) -> None:
        """MMEngine's, which knows float16 alone."""
        self.runner.call_hook("before_val_iter", batch_idx=idx, data_batch=data_batch)
        device_type = next(self.runner.model.parameters()).device.type
        is_reduced = self.precision is not Precision.FLOAT32
        dtype = torch.float16 if self.precision is Precision.FLOAT16 else torch.bfloat16
        with torch.autocast(device_type, dtype=dtype, enabled=is_reduced):
            outputs = self.runner.model.val_step(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook("after_val_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)
