"""Runs MMDetection's own `tools/train.py` as it is, and prints the loss of every step as one JSON line.

Usage: train_with_mmdetection.py CONFIGURATION
"""

import json
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.model import BaseModel

losses: list[float] = []
train_step = BaseModel.train_step


def record_train_step(self: Any, *arguments: Any, **named: Any) -> Any:
    answer = train_step(self, *arguments, **named)
    losses.append(float(answer["loss"]))
    return answer


BaseModel.train_step = record_train_step
package = find_spec("mmdet")
assert package is not None
assert package.origin is not None
sys.argv = ["train.py", *sys.argv[1:]]
runpy.run_path(str(Path(package.origin).parent / ".mim" / "tools" / "train.py"), run_name="__main__")
print("LOSSES", json.dumps(losses))  # noqa: T201
