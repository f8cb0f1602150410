import os

from trainer_that_misbehaves import read_spec, start

start(read_spec())
print("about to crash", flush=True)
os.abort()
