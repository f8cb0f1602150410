"""The order of training samples: shuffled by (seed, epoch), startable at any position."""

from collections.abc import Iterator, Sized
from math import ceil

import numpy as np
from mmdet.registry import DATA_SAMPLERS
from mmengine.dist import get_dist_info
from torch.utils.data import Sampler


@DATA_SAMPLERS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenEpochSampler(Sampler[tuple[int, int]]):
    """Yields keys (epoch, index), which a `RavenCocoDataset` turns into samples.

    The epoch travels in the key because persistent loader processes have no other way to learn of it.

    Attributes:
        epoch: the epoch that the next iteration goes through.
        seed: of the shuffling; the order of an epoch depends on (seed, epoch) alone.
        rank, world_size: this process's share is every `world_size`-th sample from `rank`; the order is extended
            from its start until all shares are equally long.
    """

    def __init__(
        self,
        dataset: Sized,
        *,
        seed: int | None = None,
        shuffle: bool = True,
        rank: int | None = None,
        world_size: int | None = None,
    ) -> None:
        own_rank, own_world_size = get_dist_info()
        self.rank: int = own_rank if rank is None else rank
        self.world_size: int = own_world_size if world_size is None else world_size
        self.seed = seed or 0
        self.shuffle = shuffle
        self.epoch = 0
        self._sample_count = len(dataset)
        self._start = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def start_at(self, position: int) -> None:
        """Begin the next iteration, and that one only, at this position of this process's share.

        `position` counts samples, so after n optimiser steps of an epoch it is n times the batch size.

        Raises:
            ValueError: the position is outside the epoch.
        """
        if not 0 <= position <= len(self):
            raise ValueError(f"An epoch of {len(self)} samples has no position {position}.")
        self._start = position

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start, self._start = self._start, 0
        epoch = self.epoch
        order = np.arange(self._sample_count)
        if self.shuffle:
            np.random.default_rng((self.seed, epoch)).shuffle(order)
        share = np.resize(order, len(self) * self.world_size)[self.rank :: self.world_size]
        return ((epoch, int(index)) for index in share[start:])

    def __len__(self) -> int:
        """Samples of a whole epoch in this process, wherever the next iteration starts."""
        return ceil(self._sample_count / self.world_size)
