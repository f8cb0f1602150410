"""Blobs by sha256."""
