"""Datasets and their immutable versions: formats, checks, splits, layout for a run."""
