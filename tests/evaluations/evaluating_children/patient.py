"""Evaluates once a file `go` is there beside the data folder's `work`; has a child of its own until then."""

import subprocess
import sys
import threading
from pathlib import Path

from evaluating_children import finish, read_spec, start

spec = read_spec()
subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
sys.stdout.write("it waits for hunter2hunter2\n")
sys.stdout.flush()
start(spec)
go = Path(spec["events"]).parents[2] / "go"
while not go.exists():
    threading.Event().wait(0.05)
finish(spec)
