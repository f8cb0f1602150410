"""A trainer without a detector: it tells what a real one tells, in hundredths of a second a step.

Started as `python -m quick_trainer COMMAND SPEC`. Asked to end, it writes a checkpoint first. A run whose seed is
`OUT_OF_MEMORY` fails in its third step.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from raven_scan.wire import events

sys.path.append(str(Path(__file__).parents[2] / "evaluations"))
from pretended_detector import write_evaluation

STEPS_PER_EPOCH = 10
OUT_OF_MEMORY = 666
STEP_S = 0.01
FIGURES: dict[str, float | None] = {"map": 0.4, "map50": 0.7, "map75": 0.3}


class Trainer:
    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.folder = Path(spec.get("work_folder") or Path(spec["events"]).parent)
        self.is_asked_to_end = False
        signal.signal(signal.SIGTERM, self.note)

    def note(self, *_: object) -> None:
        self.is_asked_to_end = True

    def tell(self, event: type[Any], **fields: Any) -> None:
        with Path(self.spec["events"]).open("ab") as file:
            file.write(events.encode_event(event(time=time.time(), **fields)))

    def start(self) -> None:
        self.tell(events.Started, pid=os.getpid(), device="cpu", versions={"quick": "1"})

    def train(self) -> None:
        self.start()
        epochs, seed = self.spec["parameters"]["epochs"], self.spec["parameters"]["seed"]
        (self.folder / "configuration.json").write_text("{}")
        self.tell(
            events.Configured,
            configuration="configuration.json",
            steps_per_epoch=STEPS_PER_EPOCH,
            epochs=epochs,
            parameter_count=1,
        )
        resumed = self.spec["resume_from"]
        first = json.loads(Path(resumed[0]).read_text())["step"] if resumed else 0
        self.tell(events.Phase, phase="training")
        print(f"training from step {first}", flush=True)  # noqa: T201
        for step in range(first + 1, epochs * STEPS_PER_EPOCH + 1):
            if self.is_asked_to_end:
                self.write_checkpoint(step - 1)
                self.tell(events.Stopped, epoch=(step - 1) // STEPS_PER_EPOCH, step=step - 1)
                return
            self.make_step(step, seed)
        weights = b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   '
        (self.folder / "best.safetensors").write_bytes(len(weights).to_bytes(8, "little") + weights + b"\1")
        self.tell(
            events.TrainingDone,
            weights="best.safetensors",
            best_epoch=epochs,
            epochs=epochs,
            steps=epochs * STEPS_PER_EPOCH,
            stopped_early=False,
            figures=FIGURES,
        )

    def make_step(self, step: int, seed: int) -> None:
        time.sleep(STEP_S)
        epoch = (step - 1) // STEPS_PER_EPOCH
        if seed == OUT_OF_MEMORY and step == 3:
            self.fail()
        self.tell(
            events.Step,
            step=step,
            epoch=epoch,
            learning_rate=0.1,
            losses={"loss": 1 / step},
            step_time_s=STEP_S,
            data_time_s=0.0,
            memory_mb=100.0,
        )
        if step % STEPS_PER_EPOCH == 0:
            self.tell(events.Validated, epoch=epoch + 1, step=step, figures=FIGURES, best=True)
            self.tell(events.EpochEnded, epoch=epoch + 1, step=step)

    def write_checkpoint(self, step: int) -> None:
        path = self.folder / f"checkpoint-{step}.pt"
        path.write_text(json.dumps({"step": step}))
        self.tell(
            events.CheckpointWritten,
            path=path.name,
            epoch=step // STEPS_PER_EPOCH,
            step=step,
            position=step % STEPS_PER_EPOCH,
            best=False,
        )

    def evaluate(self) -> None:
        self.start()
        report, matches = Path(self.spec["report"]), Path(self.spec["matches"])
        part = Path(self.spec["part"]["folder"])
        write_evaluation(part, self.spec["classes"], report=report, matches=matches)
        self.tell(
            events.Evaluated, figures=FIGURES, by_class={}, image_count=3, box_count=5, images_per_s=100.0
        )

    def fail(self) -> None:
        self.tell(
            events.Failed,
            code="out_of_memory.device",
            message="The device ran out of memory in step 3.",
            hint="Lower --batch-size.",
            evidence={"step": 3, "images": ["a.jpg", "b.jpg"]},
        )
        sys.exit(1)

    def try_out(self) -> None:
        self.start()
        if self.spec["parameters"]["seed"] == OUT_OF_MEMORY:
            self.fail()
        self.tell(
            events.DryRunDone,
            start_time_s=2.0,
            step_time_s=0.5,
            validation_image_time_s=0.1,
            checkpoint_time_s=0.2,
            peak_memory_mb=1234.0,
            steps_per_epoch=STEPS_PER_EPOCH,
        )


if __name__ == "__main__":
    trainer = Trainer(json.loads(Path(sys.argv[2]).read_bytes()))
    {"train": trainer.train, "evaluate": trainer.evaluate, "dry-run": trainer.try_out}[sys.argv[1]]()
