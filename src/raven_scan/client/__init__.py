"""Typed Python client of the REST API; the command line is built on it."""
