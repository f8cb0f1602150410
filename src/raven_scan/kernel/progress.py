"""How long work tells how far it is."""

from typing import Protocol


class Progress(Protocol):
    def __call__(self, stage: str, done: int, total: int) -> None:
        """Called often; must be cheap. `stage` is a word for the user ("images"), `total` 0 where unknown."""
        ...


def ignore_progress(stage: str, done: int, total: int) -> None:
    """For callers that show nothing."""
    del stage, done, total
