"""Importing this module installs the operators: the form that `custom_imports` of a configuration can name.

MMDetection's own `tools/train.py` reads the configuration, and with it these imports, before it imports
anything that reaches `mmcv.ops`.
"""

from raven_scan.trainer.operators.installation import install

install()
