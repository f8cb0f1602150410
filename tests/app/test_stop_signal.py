"""A process that waits for its end hears SIGTERM, whichever of its threads the kernel gives it to."""

import signal
import subprocess
import sys

# The kernel prefers the main thread, but where the process was stopped (SIGSTOP) any thread may get the signal, as when
# systemd ends a service that stands still. Here the main thread cannot get it at all.
WAITING_PROCESS = """
import signal
import threading
from raven_scan.app.stop_signal import StopSignal

threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
with StopSignal() as stop:
    print("waits", flush=True)
    stop.wait()
    print("ends", flush=True)
"""


def test_sigterm_is_heard_where_another_thread_gets_it():
    with subprocess.Popen(
        [sys.executable, "-c", WAITING_PROCESS], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGTERM)
        try:
            assert process.communicate(timeout=5)[0] == "ends\n"
        finally:
            process.kill()
