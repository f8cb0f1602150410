"""Evaluations of models on dataset versions: figures, per-image results, comparisons."""
