import torch


def computing_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which an operator computes: float64 for itself, float32 for every other.

    torchvision has no bfloat16 on the CPU (RoIAlign's gradient, NMS), and in 16 bits the coordinates of a box
    beyond 256 pixels lose their fraction: the sums are made in 32 bits, and only the result is rounded.
    """
    return torch.float64 if dtype == torch.float64 else torch.float32
