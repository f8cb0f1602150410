"""Randomness of one sample, from nothing but (seed, epoch, index)."""

import random
from collections.abc import Generator
from contextlib import contextmanager

import numpy as np


@contextmanager
def seeded_for_sample(seed: int, epoch: int, index: int) -> Generator[None]:
    """Seed Python's and NumPy's global generators for one sample, and put them back afterwards.

    MMDetection's transforms draw from both. No state goes from one sample to the next, so that a sample is the same
    in any loader process, at any place in a run that continues.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - MMDetection's transforms draw from the global generator
    words = np.random.SeedSequence((seed, epoch, index)).generate_state(8)
    random.seed(int.from_bytes(words[:4].tobytes(), "little"))
    np.random.seed(words[4:])  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
