"""Evaluates."""

from evaluating_children import finish, read_spec, start

spec = read_spec()
start(spec)
finish(spec)
