"""The order of samples and their draws: functions of (seed, epoch, position) alone."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from dukd_basicsr.data.sampling import Draw, ResumableSampler, SeededDataset


class Noise(Dataset):
    """Draws as BasicSR's datasets do, from all three global generators."""

    def __getitem__(self, index):
        return index, random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002

    def __len__(self):
        return 7


def of(sampler, epoch, done=0):
    sampler.set_epoch(epoch, done)
    return list(sampler)


@given(st.integers(1, 20), st.integers(1, 4), st.sampled_from([1, 1.5, 3]), st.integers(0, 5))
def test_the_ranks_share_an_epoch_of_whole_passes(size, ranks, ratio, epoch):
    from basicsr.data.data_sampler import EnlargedSampler  # a spawned worker could not import it at the top

    draws = [of(ResumableSampler(range(size), ranks, rank, ratio, seed=3), epoch) for rank in range(ranks)]
    stock = [EnlargedSampler(range(size), ranks, rank, ratio) for rank in range(ranks)]
    assert [len(each) for each in draws] == [len(each) for each in stock]
    images = sorted(draw.image for each in draws for draw in each)
    assert images == sorted(index for each in stock for index in each)  # as often as stock takes each image
    assert len({draw.seed for each in draws for draw in each}) == len(images)


@given(st.integers(2, 30), st.integers(0, 40), st.sampled_from([(1, 1), (1, 2), (2, 1), (3, 2)]))
def test_the_rest_of_an_epoch_is_the_same_with_any_number_of_ranks(size, done, ranks):
    """Elastic resuming: the samples after `done`, dealt to another number of ranks, are the same samples."""
    before, after = ranks
    whole = interleaved([of(ResumableSampler(range(size), before, rank, 6, 1), 2) for rank in range(before)])
    rest = interleaved([of(ResumableSampler(range(size), after, rank, 6, 1), 2, done) for rank in range(after)])
    assert rest == whole[done:]


def interleaved(ranks):
    longest = max(len(each) for each in ranks)
    return [each[i] for i in range(longest) for each in ranks if i < len(each)]


def test_length_is_what_is_left():
    sampler = ResumableSampler(range(10), 2, 1, 1, 0)
    assert len(sampler) == len(of(sampler, 0)) == 5
    assert len(of(sampler, 0, 4)) == len(sampler) == 3
    assert of(sampler, 0, 10) == []


def test_seed_and_epoch_change_order_and_draws():
    orders = [of(ResumableSampler(range(50), 1, 0, 1, seed), epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert len({tuple(draw.image for draw in order) for order in orders}) == 4
    assert len({draw.seed for order in orders for draw in order}) == 200
    assert of(ResumableSampler(range(50), 1, 0, 1, 1), 1) == orders[3]


@pytest.mark.parametrize(('context', 'counts'), [('fork', (1, 2)), ('spawn', (2,))], ids=['fork', 'spawn'])
def test_a_sample_does_not_depend_on_the_worker(context, counts):
    found = []
    for workers in (0, *counts):
        sampler = ResumableSampler(Noise(), 1, 0, 2, 5)
        sampler.set_epoch(1)
        loader = DataLoader(SeededDataset(Noise()), 3, sampler=sampler, num_workers=workers,
                            multiprocessing_context=context if workers else None)  # fmt: skip
        found.append([torch.stack([each.double() for each in batch]) for batch in loader])
    for others in found[1:]:
        torch.testing.assert_close(others, found[0], rtol=0, atol=0)
    values = torch.cat(found[0], 1)
    assert len(values[1].unique()) == 14  # an image that comes twice in an epoch is augmented anew


def test_the_wrapped_dataset_is_asked_for_the_image():
    dataset = SeededDataset(Noise())
    assert len(dataset) == 7
    first, other = dataset[Draw(3, 11)], dataset[Draw(3, 12)]
    assert first[0] == 3
    assert dataset[Draw(3, 11)] == first
    assert all(a != b for a, b in zip(first[1:], other[1:], strict=True))
