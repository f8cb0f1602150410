"""A configuration's list of transforms, as one function after another."""

from typing import Any

from mmdet.registry import TRANSFORMS


def build_transforms(configurations: list[dict[str, Any]]) -> list[Any]:
    return [TRANSFORMS.build(_restore_tuples(dict(configuration))) for configuration in configurations]


def apply_transforms(transforms: list[Any], results: dict[str, Any]) -> dict[str, Any]:
    """Raises RuntimeError where one of them drops the sample, as MMDetection's may."""
    for transform in transforms:
        transformed = transform(results)
        if transformed is None:
            raise RuntimeError(f"{transform!r} dropped the sample {results['img_path']}.")
        results = transformed
    return results


def _restore_tuples(value: Any) -> Any:
    """Turn lists of numbers into tuples: JSON has none, and MMDetection's transforms insist on them."""
    if isinstance(value, dict):
        return {key: _restore_tuples(item) for key, item in value.items()}
    if isinstance(value, list):
        if all(isinstance(item, int | float) for item in value):
            return tuple(value)
        return [_restore_tuples(item) for item in value]
    return value
