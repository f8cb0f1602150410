"""Answers requests over the inherited socket, one after another."""

import gc
import os
import socket
import sys
from pathlib import Path

import msgspec

from raven_scan.pixels.rules import PixelRules
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import describe_failure
from raven_scan.trainer.prediction.detector import Detector, build_detector
from raven_scan.trainer.prediction.heap import give_back_freed_memory, keep_freed_memory
from raven_scan.trainer.prediction.image_loading import ImageLoader
from raven_scan.trainer.prediction.inference_form import prepare_for_inference
from raven_scan.trainer.prediction.memory_budget import MemoryBudget
from raven_scan.wire.prediction import (
    Predicted,
    PredictImages,
    PredictSpec,
    Ready,
    RequestDone,
    RequestFailed,
    receive_message,
    send_message,
)

_SWITCH_INTERVAL_S = 0.0005
"""How long a thread that decodes may hold the interpreter up. A network is hundreds of operations, after each of which
the thread that computes needs it again; at Python's 5 ms it would wait for longer than it computes."""


def serve_predictions(spec: PredictSpec, log: EventLog) -> None:
    """Load the model, tell so, and answer until the other end of the socket is closed.

    Raises:
        TrainerError: the model cannot be loaded.
    """
    log.tell_phase("build")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with socket.socket(fileno=spec.connection) as connection:
        detector = build_detector(spec)
        prepare_for_inference(detector.network)
        loader = ImageLoader(
            PixelRules.from_json(spec.pixel_rules),
            detector.transforms,
            threads=spec.loader_threads,
            largest_pixels=spec.largest_image_pixels,
            budget=MemoryBudget(spec.image_memory_bytes),
        )
        # What is here now stays: nothing of it is looked at again for what can be freed.
        gc.collect()
        gc.freeze()
        keep_freed_memory()
        log.tell_phase("prediction")
        send_message(connection, Ready(pid=os.getpid()))
        requests = msgspec.msgpack.Decoder(PredictImages)
        while (request := receive_message(connection, requests)) is not None:
            try:
                _answer(connection, request, detector, loader)
            except (BrokenPipeError, ConnectionResetError):
                return  # nobody wants to know any more
            except Exception as error:
                failure = describe_failure(error)
                send_message(
                    connection, RequestFailed(code=failure.code, text=failure.message, hint=failure.hint)
                )
                # What a device or the memory is like after it, nobody knows: another process takes over.
                raise


def _answer(
    connection: socket.socket, request: PredictImages, detector: Detector, loader: ImageLoader
) -> None:
    paths = [Path(os.fsdecode(path)) for path in request.images]
    for loaded, broken in loader.iterate(paths, request.batch_size):
        found = detector.predict(loaded, request.min_score) if loaded else []
        send_message(connection, Predicted(images=[*found, *broken]))
    send_message(connection, RequestDone())
    give_back_freed_memory()
