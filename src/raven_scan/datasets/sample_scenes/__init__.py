"""The demo's sample dataset: drone-like scenes with piles of waste, drawn by a seeded generator."""

from raven_scan.datasets.sample_scenes.scene import Scene, draw_scene
from raven_scan.datasets.sample_scenes.writing import SampleDataset, make_sample_dataset

__all__ = ["SampleDataset", "Scene", "draw_scene", "make_sample_dataset"]
