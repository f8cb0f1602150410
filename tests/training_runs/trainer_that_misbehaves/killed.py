import os
import signal

from trainer_that_misbehaves import read_spec, start

start(read_spec())
os.kill(os.getpid(), signal.SIGKILL)
