import subprocess
import sys
import threading

from trainer_that_misbehaves import read_spec, start

grandchild = subprocess.Popen([sys.executable, "-c", "import threading; threading.Event().wait()"])
start(read_spec())
threading.Event().wait()
