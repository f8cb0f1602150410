"""Actors and claims: who may do what."""
