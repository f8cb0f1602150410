import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven_scan.trainer.data import RavenEpochSampler

SIZES = st.integers(1, 300)
SEEDS = st.integers(0, 2**31 - 1)
EPOCHS = st.integers(0, 2000)


def list_keys(sampler: RavenEpochSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


@given(SIZES, SEEDS, EPOCHS)
def test_an_epoch_has_every_sample_once(size: int, seed: int, epoch: int):
    keys = list_keys(RavenEpochSampler(range(size), seed=seed), epoch)
    assert {key[0] for key in keys} == {epoch}
    assert sorted(index for _, index in keys) == list(range(size))


@given(SIZES, SEEDS, EPOCHS, st.data())
def test_an_epoch_goes_on_from_any_position(size: int, seed: int, epoch: int, data: st.DataObject):
    position = data.draw(st.integers(0, size))
    whole = list_keys(RavenEpochSampler(range(size), seed=seed), epoch)
    sampler = RavenEpochSampler(range(size), seed=seed)
    sampler.start_at(position)
    assert list_keys(sampler, epoch) == whole[position:]
    assert len(sampler) == size
    assert list_keys(sampler, epoch) == whole


@given(SIZES, SEEDS, st.integers(1, 8))
def test_processes_share_an_epoch_evenly(size: int, seed: int, world_size: int):
    shares = [
        list_keys(RavenEpochSampler(range(size), seed=seed, rank=rank, world_size=world_size), 3)
        for rank in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    assert {index for share in shares for _, index in share} == set(range(size))
    assert sum(map(len, shares)) - size < world_size


def test_the_order_depends_on_seed_and_epoch():
    orders = {
        tuple(index for _, index in list_keys(RavenEpochSampler(range(50), seed=seed), epoch))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_the_order_leaves_the_global_generator_alone():
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    list_keys(RavenEpochSampler(range(50), seed=1), 0)
    assert np.random.random() == expected  # noqa: NPY002


@pytest.mark.parametrize("position", [-1, 11])
def test_a_position_outside_the_epoch_is_refused(position: int):
    with pytest.raises(ValueError, match="no position"):
        RavenEpochSampler(range(10), seed=0).start_at(position)
