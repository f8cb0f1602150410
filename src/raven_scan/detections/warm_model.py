"""A child process that holds one model and answers requests, as the server sees it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psutil

from raven_scan.detections.errors import make_unreadable_answer
from raven_scan.jobs.child_errors import make_crash, make_failure
from raven_scan.jobs.child_process import TRAINER_MODULE, ChildProcess
from raven_scan.kernel.errors import Invalid, RavenError, Unavailable
from raven_scan.pixels.rules import PixelRules
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.wire.events import EventReader, Failed
from raven_scan.wire.prediction import (
    Answer,
    Predicted,
    PredictedImage,
    PredictImages,
    PredictSpec,
    Ready,
    RequestDone,
    RequestFailed,
    receive_message,
    send_message,
)

_NOUN, _COMMAND = "detection", "predict"
_DYING_S = 5.0
"""A process whose socket is closed is as good as gone."""

_answers: "msgspec.msgpack.Decoder[Answer]" = msgspec.msgpack.Decoder(Answer)


class ProcessLost(Exception):  # noqa: N818 - it names the finding
    """The process is gone in the middle of a request; another one may answer it."""

    def __init__(self, error: RavenError) -> None:
        super().__init__(error.message)
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadableModel:
    """All that a process needs to know of a model. `configuration`: None of one that was not trained here."""

    id: UUID
    name: str
    architecture: str
    classes: list[str]
    weights: Path
    configuration: Path | None
    pixel_rules: PixelRules


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """How a process works.

    Attributes:
        folder: where it gets a folder of its own, which goes with it.
        threads: compute threads on a CPU.
        loader_threads: how many images are decoded at once.
        image_memory_bytes: what images may take while they are decoded.
        largest_image_pixels: images with more are refused.
        module: what is run as the trainer.
    """

    folder: Path
    threads: int
    loader_threads: int
    image_memory_bytes: int
    largest_image_pixels: int
    module: str = TRAINER_MODULE


class WarmModel:
    """A process with a model. One request at a time; `end` may be called from any thread, at any time.

    Attributes:
        name: of the model.
        pid: of the process.
        request_count: what it was asked.
    """

    def __init__(
        self, name: str, child: ChildProcess, connection: socket.socket, events: Path, held: ExitStack
    ) -> None:
        self.name = name
        self.pid = child.pid
        self.request_count = 0
        self._child = child
        self._connection = connection
        self._events = events
        self._held = held
        self._ending = threading.Lock()

    @classmethod
    def start(
        cls, model: LoadableModel, device: str, settings: ProcessSettings, *, deadline: float
    ) -> "WarmModel":
        """Starts a process, and waits until it has loaded the model.

        Raises:
            Invalid: `detection.refused.…`, the model cannot be loaded.
            Unavailable: the process cannot be started, or failed.
            TimeoutError: it came to the deadline first.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(hold_scratch_folder(settings.folder, "prediction"))
            own, theirs = socket.socketpair()
            stack.callback(own.close)
            events = folder / "events.jsonl"
            with theirs:
                child = ChildProcess.start(
                    _COMMAND,
                    _make_spec(model, device, settings, events=events, connection=theirs.fileno()),
                    folder=folder,
                    log_path=folder / "output.log",
                    threads=settings.threads,
                    module=settings.module,
                    descriptors=[theirs.fileno()],
                )
            stack.callback(child.terminate, 0.0)
            warm = cls(model.name, child, own, events, stack.pop_all())
        try:
            warm.wait_until_ready(deadline)
        except ProcessLost as lost:
            warm.end()
            raise lost.error from None
        except BaseException:
            warm.end()
            raise
        return warm

    @property
    def is_alive(self) -> bool:
        return self._child.poll() is None

    def measure_memory_bytes(self) -> int:
        """0 where the process is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def wait_until_ready(self, deadline: float) -> None:
        answer = self._receive(deadline)
        if not isinstance(answer, Ready):
            raise self._describe_end()

    def predict(
        self,
        images: Sequence[Path],
        *,
        batch_size: int,
        min_confidence: float,
        deadline: float,
        on_images: Callable[[list[PredictedImage]], None],
    ) -> None:
        """Has images predicted on; `on_images` is told of those that are done.

        Raises:
            ProcessLost: it is gone.
            Invalid, Unavailable: it cannot answer; it ends then.
            TimeoutError: it came to the deadline first; there is no use in the process any more.
        """
        self.request_count += 1
        request = PredictImages(
            images=[_encode_path(path) for path in images], batch_size=batch_size, min_score=min_confidence
        )
        try:
            self._connection.settimeout(_find_left_s(deadline))
            send_message(self._connection, request)
        except TimeoutError:
            raise
        except OSError:
            raise self._describe_end() from None
        while True:
            match self._receive(deadline):
                case Predicted(images=found):
                    on_images(found)
                case RequestDone():
                    return
                case RequestFailed(code=code, text=text, hint=hint):
                    kind = Invalid if code.startswith("refused") else Unavailable
                    raise kind(f"{_NOUN}.{code}", text, hint=hint)
                case _:
                    raise self._describe_end()

    def end(self) -> None:
        """Ends the process at once; who waits for its answer hears that it is lost."""
        with self._ending:
            with suppress(OSError):  # it has closed its end
                self._connection.shutdown(socket.SHUT_RDWR)
            self._held.close()

    def _receive(self, deadline: float) -> Answer | None:
        try:
            self._connection.settimeout(_find_left_s(deadline))
            return receive_message(self._connection, _answers)
        except TimeoutError:
            raise
        except OSError:
            return None
        except msgspec.DecodeError as error:
            raise ProcessLost(make_unreadable_answer(self.name, error)) from None

    def _describe_end(self) -> ProcessLost:
        """How the process ended: what it told of it, or what the system says."""
        ended = self._child.wait(_DYING_S) or self._child.terminate(0.0)
        try:
            told = [event for event in EventReader(self._events).read_new() if isinstance(event, Failed)]
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            told = []
        error: RavenError = (
            make_failure(told[-1], _NOUN) if told else make_crash(self._child, _NOUN, _COMMAND, ended)
        )
        return ProcessLost(error)


def _encode_path(path: Path) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return b"\0"  # as no file is called either


def _find_left_s(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _make_spec(
    model: LoadableModel, device: str, settings: ProcessSettings, *, events: Path, connection: int
) -> PredictSpec:
    rules: dict[str, Any] = model.pixel_rules.to_json()
    return PredictSpec(
        architecture=model.architecture,
        classes=model.classes,
        configuration=model.configuration,
        weights=model.weights,
        pixel_rules=rules,
        connection=connection,
        events=events,
        device=device,
        threads=settings.threads,
        loader_threads=settings.loader_threads,
        image_memory_bytes=settings.image_memory_bytes,
        largest_image_pixels=settings.largest_image_pixels,
    )
