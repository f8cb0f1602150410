"""Which architectures can leave the platform as ONNX."""

from raven_scan.architectures.catalogue import Family

ONNX_FAMILIES = (Family.RTMDET, Family.YOLOX, Family.RETINANET, Family.FASTER_RCNN)
"""Those whose last steps the trainer states in ONNX's standard operators."""
