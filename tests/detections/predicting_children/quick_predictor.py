"""A process in place of the trainer's `predict`: it computes nothing, and does what the images' names say.

An image gets a box at (process id, image number). `die.…` ends the process; `die-once.…` too, unless a file of that
name and `.mark` is beside it; `hang.…` never ends; `nonsense.…` answers what is no message; `memory.…` has failed for
want of memory. The architecture `slow` loads until a file `loads` beside the weights is gone.
"""

import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

import msgspec

from raven_scan.trainer.process_lifetime import PARENT_PID_VARIABLE, tie_to_parent
from raven_scan.wire.prediction import (
    Predicted,
    PredictedImage,
    PredictImages,
    Ready,
    RequestDone,
    RequestFailed,
    receive_message,
    send_message,
)


def main() -> None:
    tie_to_parent(int(os.environ[PARENT_PID_VARIABLE]))
    spec = json.loads(Path(sys.argv[2]).read_bytes())
    if spec["architecture"] == "damaged":
        event = {
            "event": "failed",
            "time": 0,
            "code": "refused.weights_unreadable",
            "message": "No.",
            "hint": "Hm.",
        }
        Path(spec["events"]).write_text(json.dumps({**event, "detail": ""}) + "\n")
        sys.exit(1)
    if spec["architecture"] == "slow":
        mark = Path(spec["weights"]).with_name("loads")
        mark.touch()
        while mark.exists():
            time.sleep(0.02)
    connection = socket.socket(fileno=spec["connection"])
    send_message(connection, Ready(pid=os.getpid()))
    requests = msgspec.msgpack.Decoder(PredictImages)
    while (request := receive_message(connection, requests)) is not None:
        for index, encoded in enumerate(request.images):
            answer(connection, index, Path(os.fsdecode(encoded)))
        send_message(connection, RequestDone())


def answer(connection: socket.socket, index: int, path: Path) -> None:
    mark = path.with_name(f"{path.name}.mark")
    match path.stem:
        case "die":
            os._exit(9)
        case "die-once" if not mark.exists():
            mark.touch()
            os._exit(9)
        case "hang":
            path.with_name("hangs").touch()
            threading.Event().wait()
        case "nonsense":
            connection.sendall(b"\0\0\0\1\xc1")
        case "memory":
            send_message(
                connection, RequestFailed(code="out_of_memory.host", text="Too little memory.", hint="Less.")
            )
            sys.exit(1)
        case _:
            pass
    found = PredictedImage(
        index=index, width=10, height=10, boxes=[(os.getpid(), index, 1, 1)], scores=[0.5], labels=[0]
    )
    send_message(connection, Predicted(images=[found]))


if __name__ == "__main__":
    main()
