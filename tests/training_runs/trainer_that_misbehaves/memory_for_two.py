"""A tiny trainer on a device that has the memory for two images a batch."""

import runpy
import sys

from trainer_that_misbehaves import emit, read_spec, start

spec = read_spec()
if sys.argv[1] == "train" and spec["parameters"]["batch_size"] > 2:
    start(spec)
    emit(
        spec,
        event="failed",
        code="out_of_memory.device",
        message="The device has too little memory.",
        hint="Lower the batch size.",
    )
    sys.exit(1)
runpy.run_module("tiny_trainer", run_name="__main__", alter_sys=True)
