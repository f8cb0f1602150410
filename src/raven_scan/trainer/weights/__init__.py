"""Weights of a base model, and how they fit a model with other classes. Importing this registers the loader."""

from raven_scan.trainer.weights.base_weights import RavenBaseWeightsHook, make_base_weights_address
from raven_scan.trainer.weights.class_tensors import count_classes, fit_class_tensors

__all__ = ["RavenBaseWeightsHook", "count_classes", "fit_class_tensors", "make_base_weights_address"]
