"""Trained models: weights with class list, configuration, figures and lineage."""
