"""An inert `imgaug`, so that `mmdet.datasets` imports without it.

`mmdet/datasets/transforms/generate_line.py` (lane detection) imports three of its modules without a try. The
real package depends on the graphical opencv-python, which does not load on a server without libGL.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

# Module: the names that MMDetection takes from it.
_MODULES: dict[str, tuple[str, ...]] = {
    "imgaug": (),
    "imgaug.augmenters": (),
    "imgaug.augmentables": (),
    "imgaug.augmentables.lines": ("LineString", "LineStringsOnImage"),
    "imgaug.augmentables.segmaps": ("SegmentationMapsOnImage",),
}


class _NotInstalled:
    def __init__(self, *args: object, **kwargs: object) -> NoReturn:
        del args, kwargs
        raise ImportError(
            f"{type(self).__name__} belongs to imgaug, which is not installed: "
            "MMDetection's transforms for lane detection need it. No architecture of Raven Scan does."
        )


def install() -> None:
    """Register the stand-in unless the real `imgaug` can be imported."""
    if importlib.util.find_spec("imgaug") is not None:
        return
    for name, class_names in _MODULES.items():
        module = ModuleType(name, "Inert stand-in: imgaug is not installed.")
        # A spec without a loader: importlib.util.find_spec on a module without any spec raises.
        module.__spec__ = ModuleSpec(name, loader=None, is_package=True)
        module.__path__ = []
        for class_name in class_names:
            setattr(module, class_name, type(class_name, (_NotInstalled,), {"__module__": name}))
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
