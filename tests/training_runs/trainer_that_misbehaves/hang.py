import os
import subprocess
import sys
import threading

from trainer_that_misbehaves import emit, read_spec, start

grandchild = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
spec = read_spec()
start(spec)
# What meters it goes on.
while not threading.Event().wait(0.1):
    emit(
        spec,
        event="energy_used",
        pid=os.getpid(),
        duration_s=1.0,
        processor_wh=1.0,
        memory_wh=1.0,
        gpu_wh=0.0,
        co2_g=1.0,
        processor_method="default",
        country=None,
    )
