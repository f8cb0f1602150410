"""Raven Scan: trains detectors of waste in images and looks after what comes out."""

__version__ = "0.1.0"
