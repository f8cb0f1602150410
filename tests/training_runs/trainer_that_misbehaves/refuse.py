import sys

from trainer_that_misbehaves import emit, read_spec, start

spec = read_spec()
start(spec)
emit(spec, event="failed", code="out_of_memory", message="No memory is left.", hint="Lower the batch size.")
sys.exit(1)
