"""Stands where the trainer stands: takes a command and a specification, and does what the command says.

Its events are written by hand, so that it can also write what no trainer should.
"""

# One branch a behaviour; what it prints is what is tested.
# ruff: noqa: C901, PLR0912, PLR0915, S607, T201

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    command, spec_path = sys.argv[1:]
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != int(os.environ["RAVEN_PARENT_PID"]):
        os._exit(1)
    spec = json.loads(Path(spec_path).read_text())
    events = Path(spec["events"])

    def tell(**event: object) -> None:
        with events.open("a") as file:
            file.write(json.dumps({"time": time.time(), **event}) + "\n")

    print("the child runs", command, flush=True)
    tell(event="phase", phase=command)
    built = {"event": "starting_weights_built", "weights": spec["weights"], "parameter_count": 7}
    match command:
        case "build":
            tell(**built)
        case "build-and-hang":
            tell(**built)
            time.sleep(600)
        case "refuse":
            tell(
                event="failed",
                code="refused.not_a_checkpoint",
                message="x.pth is no checkpoint.",
                hint="Take another.",
            )
            sys.exit(1)
        case "run-out-of-memory":
            tell(
                event="failed",
                code="out_of_memory",
                message="Memory is full.",
                hint="Take less.",
                detail="4 GB",
            )
            sys.exit(1)
        case "crash":
            print("about to divide", flush=True)
            print(1 // 0)
        case "end-without-result":
            pass
        case "kill-itself":
            os.kill(os.getpid(), signal.SIGKILL)
        case "write-garbage":
            with events.open("a") as file:
                file.write('{"event": "no such thing"}\n')
            time.sleep(600)
        case "show-environment":
            print(json.dumps(dict(os.environ)), flush=True)
            print(Path.cwd(), sys.path[0], flush=True)
        case "ignore-termination":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            tell(event="phase", phase="deaf")
            time.sleep(600)
        case "have-children":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            same_group = subprocess.Popen(["sleep", "600"])
            other_session = subprocess.Popen(["sleep", "600"], start_new_session=True)
            tell(event="message", level="info", text=f"{same_group.pid} {other_session.pid}")
            time.sleep(600)
        case "leave-a-child":
            left = subprocess.Popen(["sleep", "600"])
            tell(event="message", level="info", text=str(left.pid))
            os._exit(3)
        case "end-well":
            signal.signal(signal.SIGTERM, lambda *_: (tell(event="phase", phase="checkpoint"), os._exit(0)))
            tell(event="phase", phase="ready")
            time.sleep(600)
        case "build-when-asked":
            signal.signal(signal.SIGTERM, lambda *_: (tell(**built), os._exit(0)))
            tell(event="phase", phase="ready")
            time.sleep(600)
        case "build-slowly":
            for _ in range(9):
                time.sleep(0.4)
                tell(event="phase", phase="slow")
            tell(**built)
        case "stop-by-itself":
            tell(event="stopped", epoch=0, step=3)
        case "hang":
            time.sleep(600)
        case _:
            sys.exit(64)


main()
