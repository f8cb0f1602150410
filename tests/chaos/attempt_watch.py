"""What an attempt does at this instant, seen from its working folder without asking anybody."""

import json
from enum import StrEnum
from pathlib import Path


class Phase(StrEnum):
    """Of an attempt, in their order; the first seven are aimed at."""

    LAYOUT = "layout"
    START = "start"
    STEP = "step"
    VALIDATION = "validation"
    CHECKPOINT = "checkpoint write"
    EVALUATION = "evaluation"
    REGISTRATION = "registration"
    EXPORT = "export"
    ENDED = "ended"


AIMED_AT = tuple(Phase)[:7]

_TRAINING_PHASES = {
    "": Phase.START,
    "build": Phase.START,
    "weights": Phase.START,
    "training": Phase.STEP,
    "validation": Phase.VALIDATION,
    "checkpoint": Phase.CHECKPOINT,
    "export": Phase.EXPORT,
}


class AttemptWatch:
    """Follows one attempt's folder, `…/work/<run>/attempt-<n>`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = int(folder.name.removeprefix("attempt-"))
        self._training = _EventsTail(folder / "train.events.jsonl")
        self._evaluation = _EventsTail(folder / "evaluate.events.jsonl")

    def look(self) -> Phase:
        if (self.folder / "evaluate.spec.json").exists():
            self._evaluation.read()
            return Phase.REGISTRATION if self._evaluation.last == "evaluated" else Phase.EVALUATION
        if not (self.folder / "train.spec.json").exists():
            return Phase.LAYOUT if self.folder.is_dir() else Phase.ENDED
        self._training.read()
        if self._training.last == "checkpoint_written":
            # Written, and on its way to the store and the database.
            return Phase.CHECKPOINT if any(self.folder.glob("checkpoints/kept-*")) else Phase.STEP
        return _TRAINING_PHASES.get(self._training.phase, Phase.START)


class _EventsTail:
    """The last event, and the last phase, of a growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.last = ""
        self.phase = ""

    def read(self) -> None:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            if not line:
                continue
            event = json.loads(line)
            self.last = event["event"]
            if self.last == "phase":
                self.phase = event["phase"]
