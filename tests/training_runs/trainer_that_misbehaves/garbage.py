from pathlib import Path

from trainer_that_misbehaves import read_spec, start

spec = read_spec()
start(spec)
with Path(spec["events"]).open("ab") as file:
    file.write(b"\xff\x00 no event\n")
