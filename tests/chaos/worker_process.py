"""A worker of the campaign: `python worker_process.py [--host NAME] [--trainer MODULE]`, until SIGTERM.

With a host's name it is a worker of another machine: nobody can see from its name whether it lives.
"""

import argparse
import os
import socket

from raven_scan.app.log_output import set_up_logging
from raven_scan.app.stop_signal import StopSignal
from raven_scan.app.wiring import build_platform
from raven_scan.app.worker import BackgroundWorker
from raven_scan.kernel.settings import Settings
from raven_scan.trainer.process_lifetime import tie_to_parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host")
    parser.add_argument("--trainer", default="witnessed_trainer")
    parser.add_argument("--parent", type=int, default=os.getppid())
    arguments = parser.parse_args()
    # A campaign that is killed leaves nothing behind.
    tie_to_parent(arguments.parent)
    if arguments.host:
        socket.gethostname = lambda: arguments.host
    settings = Settings()
    set_up_logging(settings.log_level, secrets=[])
    with StopSignal() as stop, build_platform(settings) as platform:
        worker = BackgroundWorker(platform, devices=["cpu"], trainer_module=arguments.trainer)
        worker.start()
        stop.wait()
        worker.stop()


if __name__ == "__main__":
    main()
