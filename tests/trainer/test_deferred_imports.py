"""What is not imported until it is used, in processes of its own: this one has imported all of it."""

import subprocess
import sys

import pytest

_START = """
import sys
from raven_scan.trainer.deferred_imports import defer_imports
defer_imports()
from raven_scan.trainer.operators import install
install()
def are_imported(*names):
    return [getattr(sys.modules.get(name), "__file__", None) is not None for name in names]
"""

_UNUSED = """
import mmdet.evaluation, torch
from raven_scan.trainer import heads, training
parameter = torch.nn.Parameter(torch.ones(3))
optimiser = torch.optim.AdamW([parameter], lr=0.5)
parameter.grad = torch.ones(3)
optimiser.step()
optimiser.zero_grad()
assert parameter.mean() < 1
import inspect
inspect.getmodule(inspect.currentframe())
names = ("torch._dynamo", "torch.distributed.fsdp", "matplotlib", "scipy.optimize", "scipy.interpolate", "timm")
assert not any(are_imported(*names)), are_imported(*names)
"""

_FUNCTION = """
import torch
from mmdet.models.task_modules.assigners import hungarian_assigner
assert not any(are_imported("scipy.optimize"))
rows, columns = hungarian_assigner.linear_sum_assignment([[2.0, 1.0], [1.0, 2.0]])
assert list(columns) == [1, 0]
import scipy.optimize
assert all(are_imported("scipy.optimize"))
assert scipy.optimize.linear_sum_assignment is scipy.optimize._lsap.linear_sum_assignment
"""

_ATTRIBUTE = """
import torch
import matplotlib.pyplot as plt
assert not any(are_imported("matplotlib", "matplotlib.pyplot"))
assert plt.figure().get_axes() == []
assert all(are_imported("matplotlib", "matplotlib.pyplot", "matplotlib.colors"))
from matplotlib import pyplot
assert pyplot is sys.modules["matplotlib.pyplot"] is not plt
"""

_SUBMODULE = """
import torch
from torch._dynamo.eval_frame import OptimizedModule
import torch._dynamo.eval_frame as eval_frame
assert all(are_imported("torch._dynamo", "torch._dynamo.utils", "torch._dynamo.eval_frame"))
assert torch._dynamo is sys.modules["torch._dynamo"]
assert torch._dynamo.eval_frame is eval_frame is sys.modules["torch._dynamo.eval_frame"]
assert OptimizedModule is torch._dynamo.OptimizedModule
assert eval_frame.__spec__.origin == eval_frame.__file__
"""

_COMPILER = """
import torch
from torchvision.ops import roi_align
assert not any(are_imported("torch._dynamo"))
double = torch.compile(lambda x: x + x, backend="eager")
assert double(torch.ones(2)).tolist() == [2, 2]
assert all(are_imported("torch._dynamo"))
fallback = sys.modules["torchvision.ops.roi_align"]
assert fallback.is_compile_supported("cpu") is torch._dynamo.utils.is_compile_supported("cpu")
"""


@pytest.mark.parametrize(
    "script",
    [_UNUSED, _FUNCTION, _ATTRIBUTE, _SUBMODULE, _COMPILER],
    ids=["unused", "a function", "an attribute", "a submodule", "the compiler"],
)
def test_what_is_seldom_needed_is_imported_when_it_is_used(script: str):
    done = subprocess.run(
        [sys.executable, "-c", _START + script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
