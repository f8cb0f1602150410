"""How far a run is, beyond what MMEngine's loops know."""

from dataclasses import dataclass, field
from typing import Any

import torch

from raven_scan.trainer.evaluation.coco_figures import Figures


@dataclass(slots=True)
class BestSoFar:
    """The best validated weights.

    Attributes:
        epoch: epochs completed when they were measured.
        weights: tensors on the CPU, the averaged ones where the run averages (EMA).
    """

    epoch: int
    figures: Figures
    weights: dict[str, torch.Tensor]


@dataclass(slots=True)
class RunState:
    """What a checkpoint keeps beside weights, optimiser and schedules.

    Attributes:
        best: None before the first validation with a figure.
        validated_epoch: the last epoch that was validated.
        last_figures: what that validation found.
    """

    best: BestSoFar | None = None
    validated_epoch: int = 0
    last_figures: Figures = field(default_factory=dict[str, float | None])

    def note_validation(self, epoch: int, figures: Figures, model: torch.nn.Module) -> bool:
        """Returns whether the weights that were just validated are the best so far."""
        self.validated_epoch = epoch
        self.last_figures = figures
        score = figures.get("map")
        if score is None:
            return False
        best_score = -1.0 if self.best is None else (self.best.figures.get("map") or 0.0)
        if score <= best_score:
            return False
        self.best = BestSoFar(epoch, figures, copy_weights(model))
        return True

    def dump(self) -> dict[str, Any]:
        best = self.best
        return {
            "best": None
            if best is None
            else {"epoch": best.epoch, "figures": best.figures, "weights": best.weights},
            "validated_epoch": self.validated_epoch,
            "last_figures": self.last_figures,
        }

    def load(self, content: dict[str, Any]) -> None:
        best = content["best"]
        self.best = None if best is None else BestSoFar(best["epoch"], best["figures"], best["weights"])
        self.validated_epoch = content["validated_epoch"]
        self.last_figures = content["last_figures"]


def copy_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """All tensors of a model, copied to the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}
