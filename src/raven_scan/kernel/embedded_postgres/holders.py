"""Who holds the server: processes, each known by its id and the moment of its start."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from raven_scan.kernel.embedded_postgres.processes import find_start_mark, get_boot_id
from raven_scan.kernel.embedded_postgres.state_folder import write_file


@dataclass(frozen=True)
class Holder:
    """One holding of one process.

    Args:
        holding_id: tells several holdings of one process apart.
        start_mark: tells the process from a later one with the same id.
        started_at: when the process started, ISO 8601 in UTC.
    """

    holding_id: str
    pid: int
    start_mark: str
    started_at: str
    command: str

    def lives(self) -> bool:
        return find_start_mark(self.pid) == self.start_mark


@dataclass(frozen=True)
class Holders:
    """What `holders.json` says. Read and written under the operations lock only."""

    living: tuple[Holder, ...] = ()
    pinned_boot_id: str | None = None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The holders that are alive; the dead are left out."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls()
        holders = (Holder(**entry) for entry in document["holders"])
        return cls(tuple(holder for holder in holders if holder.lives()), document["pinned_boot_id"])

    def write(self, path: Path) -> None:
        document = {
            "holders": [asdict(holder) for holder in self.living],
            "pinned_boot_id": self.pinned_boot_id,
        }
        write_file(path, json.dumps(document))

    @property
    def pinned(self) -> bool:
        """Whether the server shall run without holders; a pin does not outlive a reboot."""
        return self.pinned_boot_id is not None and self.pinned_boot_id == get_boot_id()

    @property
    def want_server(self) -> bool:
        return bool(self.living) or self.pinned

    def is_same_as(self, other: Self) -> bool:
        """In whatever order."""
        return set(self.living) == set(other.living) and self.pinned_boot_id == other.pinned_boot_id

    def add(self, holder: Holder) -> Self:
        return replace(
            self.remove(holder.holding_id), living=(*self.remove(holder.holding_id).living, holder)
        )

    def remove(self, holding_id: str) -> Self:
        return replace(self, living=tuple(each for each in self.living if each.holding_id != holding_id))

    def pin(self) -> Self:
        return replace(self, pinned_boot_id=get_boot_id())

    def unpin(self) -> Self:
        return replace(self, pinned_boot_id=None)
