"""Where an attempt works; nothing here outlives it."""

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from raven_scan.kernel.settings import Settings


class AttemptFolder:
    """The working folder of an attempt, beside those of the run's earlier attempts on this machine."""

    def __init__(self, settings: Settings, run_id: UUID, fence: int) -> None:
        self._of_run = settings.work_folder / str(run_id)
        self._fence = fence
        self.path = self._of_run / f"attempt-{fence}"
        self.output = self.path / "output.log"
        self.leash = self.path / "leash"

    def create(self) -> None:
        """Makes it, and removes what earlier attempts left whose worker was killed; their trainers died with them."""
        for left in list(self._of_run.glob("attempt-*")):
            number = left.name.removeprefix("attempt-")
            # A later one is at work where this attempt's worker was frozen meanwhile.
            if number.isdecimal() and int(number) <= self._fence:
                shutil.rmtree(left, ignore_errors=True)
        self.path.mkdir(parents=True, mode=0o700)
        self.pull_leash()

    def pull_leash(self) -> None:
        """Tells the trainer that its worker lives: it ends itself where it was not told for some seconds."""
        with suppress(FileNotFoundError):  # not made yet, or removed already
            self.leash.touch()

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            self._of_run.rmdir()

    def link_checkpoint(self, blob: Path, step: int) -> Path:
        """A name that the trainer knows its own checkpoints by."""
        folder = self.path / "resume"
        folder.mkdir(exist_ok=True, mode=0o700)
        link = folder / f"step_{step:08d}.pt"
        link.symlink_to(blob.absolute())
        return link
