import importlib
import importlib.util
import sys

from raven_scan.trainer.operators import imgaug_stand_in

_EXTENSION = "mmcv._ext"


def install() -> None:
    """Make `mmcv.ops` and `mmdet` importable where MMCV was installed without its compiled operators.

    Registers our module under the name `mmcv._ext` when, and only when, no compiled one is there; a compiled
    one is left in charge. Does the same for `imgaug`, which MMDetection imports without asking although only
    its lane detection uses it, and whose package would bring the graphical OpenCV.

    Calling it again does nothing. It must come before the first import of `mmcv.ops` or `mmdet.models`:
    MMDetection replaces operators that it cannot import by stubs, and keeps them.
    """
    mmcv = importlib.import_module("mmcv")
    if importlib.util.find_spec(_EXTENSION) is None:
        extension = importlib.import_module("raven_scan.trainer.operators.mmcv_extension")
        sys.modules[_EXTENSION] = extension
        # What the import system does for a submodule: without it `import mmcv._ext` finds no attribute.
        setattr(mmcv, "_ext", extension)  # noqa: B010  # MMCV's stub-less module type knows no such attribute
    imgaug_stand_in.install()
