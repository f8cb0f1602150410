"""What arithmetic a run computed with, so that its reproduction does not measure anew."""

from typing import Any

from raven_scan.training_runs.comparison import RunDifference

_ARITHMETIC = ("precision", "memory_format", "acceleration")
_ARITHMETIC_HOOK = "RavenArithmeticHook"
_PLAIN_ARITHMETIC = {"precision": "float32", "memory_format": "contiguous", "acceleration": "off"}
"""Of runs whose configuration names none."""


def find_arithmetic(configuration: dict[str, Any]) -> dict[str, str]:
    """What a stored configuration computes with, as parameters."""
    for hook in configuration.get("custom_hooks", []):
        if hook.get("type") == _ARITHMETIC_HOOK:
            return {
                "precision": hook["precision"],
                "memory_format": hook["memory_format"],
                "acceleration": "on" if hook["accelerated"] else "off",
            }
    types = {"RavenAutocastOptimWrapper": "bfloat16", "AmpOptimWrapper": "float16"}
    precision = types.get(configuration.get("optim_wrapper", {}).get("type", ""), "float32")
    return {**_PLAIN_ARITHMETIC, "precision": precision}


def is_decided_in_advance(difference: RunDifference) -> bool:
    """Whether a reproduction only says what its original had measured; configurations tell what was computed."""
    return difference.group == "parameters" and difference.name in _ARITHMETIC
