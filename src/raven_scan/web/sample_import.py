"""The sample dataset's import, which goes on while its user looks at other screens."""

from dataclasses import dataclass

import structlog
from nicegui import background_tasks

from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.long_work import describe_unexpected
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer

SAMPLE_NAME = "sample"

_log = structlog.get_logger(__name__)


@dataclass
class SampleImport:
    """How far it is; of a server there is one at a time.

    Attributes:
        stage: a word for what is done, `done` of `total` of which is over.
        error: why it failed, and what to do.
    """

    is_running: bool = False
    stage: str = ""
    done: int = 0
    total: int = 0
    error: tuple[str, str] | None = None

    def tell(self, stage: str, done: int, total: int) -> None:
        self.stage, self.done, self.total = stage, done, total


_import = SampleImport()


def get_sample_import() -> SampleImport:
    return _import


def start_sample_import(viewer: Viewer, services: Services) -> None:
    """Begins it, unless it is under way already."""
    if _import.is_running:
        return
    _import.is_running, _import.error = True, None
    _import.tell("", 0, 0)

    async def work() -> None:
        try:
            await viewer.ask(services.datasets.import_sample, SAMPLE_NAME, _import.tell)
        except RavenError as error:
            _import.error = (error.message, viewer.describe_hint(error))
        except Exception as error:  # noqa: BLE001 - told to the user, and logged whole
            _log.exception("sample_import.failed")
            described = describe_unexpected(error)
            _import.error = (str(described["message"]), str(described["hint"]))
        finally:
            _import.is_running = False

    background_tasks.create(work(), name="sample import")  # pyright: ignore[reportUnknownMemberType]
