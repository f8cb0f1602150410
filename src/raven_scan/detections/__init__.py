"""Prediction on images with published models, in a warm child process."""
