"""Batches on their way to the device: those of the loader, whose memory nobody else takes while they are in use."""

import torch
from torch.utils.data import DataLoader

from dukd_basicsr.training import loaders


class OnGPU(torch.Tensor):
    """Says that it is on CUDA, and notes the stream that it is used on."""

    is_cuda = True
    used_on = None

    def record_stream(self, stream):
        self.used_on = stream


def test_batches_are_those_of_the_loader(real_device):
    images = [{'lq': torch.full((3, 2, 2), float(place)), 'lq_path': str(place)} for place in range(5)]
    loader = DataLoader(images, batch_size=2, pin_memory=real_device.type == 'cuda')
    mode = 'cuda' if real_device.type == 'cuda' else None
    opt = {'num_gpu': 1, 'datasets': {'train': {'prefetch_mode': mode}}}
    found = list(loaders.iterate_batches(loader, opt))
    assert [batch['lq_path'] for batch in found] == [['0', '1'], ['2', '3'], ['4']]
    assert all(batch['lq'].device.type == real_device.type for batch in found)
    expected = [batch['lq'] for batch in loader]
    assert all(torch.equal(batch['lq'].cpu(), lq) for batch, lq in zip(found, expected, strict=True))


def test_what_another_stream_has_copied_is_said_to_be_used_on_this_one(monkeypatch):
    batches = [{'lq': torch.zeros(1).as_subclass(OnGPU), 'lq_path': ['a'], 'here': torch.zeros(1)} for _ in range(2)]

    class Prefetcher:
        def __init__(self, loader, opt):
            self.batches = iter(loader)

        def next(self):
            return next(self.batches, None)

    monkeypatch.setattr(loaders, 'CUDAPrefetcher', Prefetcher)
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: f'the stream of {device}')
    found = loaders.iterate_batches(batches, {'datasets': {'train': {'prefetch_mode': 'cuda'}}})
    for batch in batches:
        assert batch['lq'].used_on is None
        assert next(found) is batch
        assert batch['lq'].used_on == 'the stream of cpu'
