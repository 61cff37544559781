"""A discriminator's part of a step, alone: where its gradients go, and what a skipped step leaves."""

from __future__ import annotations

import copy

import pytest
import torch
from basicsr.losses.gan_loss import GANLoss
from torch import nn

from dukd_basicsr.distillation.adversarial import Adversary


class Scores(nn.Module):
    """A convolution, batch norm and a parameter that is not trained."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.still = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, x):
        return self.norm(self.conv(x)) * self.still


def images(seed):
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize('gan_type', ['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge'])
def test_gradients_are_those_of_the_formula(gan_type):
    """The student's: of its weighted loss, of its output alone. The discriminator's: of both losses, weight 1."""
    net, criterion = Scores(), GANLoss(gan_type, loss_weight=0.25)
    twin = copy.deepcopy(net)
    real, output = images(1), images(2).requires_grad_()
    adversary = Adversary(net, criterion)
    adversary.show(real, output)
    adversary.judge(output).backward()
    assert all(parameter.grad is None for parameter in net.parameters())
    same = output.detach().clone().requires_grad_()
    plain = {'vanilla': lambda x: nn.functional.softplus(-x), 'lsgan': lambda x: (x - 1) ** 2,
             'wgan_softplus': lambda x: nn.functional.softplus(-x)}.get(gan_type, lambda x: -x)  # fmt: skip
    (0.25 * plain(twin(same)).mean()).backward()
    torch.testing.assert_close(output.grad, same.grad)
    twin.zero_grad()
    output.grad = None
    terms = adversary.learn(lambda loss: loss * 8)
    losses = {'vanilla': (lambda x: nn.functional.softplus(-x), nn.functional.softplus),
              'lsgan': (lambda x: (x - 1) ** 2, lambda x: x**2), 'wgan': (lambda x: -x, lambda x: x),
              'wgan_softplus': (lambda x: nn.functional.softplus(-x), nn.functional.softplus),
              'hinge': (lambda x: (1 - x).relu(), lambda x: (1 + x).relu())}[gan_type]  # fmt: skip
    scores = twin(real), twin(same.detach())
    expected = [loss(each).mean() for loss, each in zip(losses, scores, strict=True)]
    (8 * sum(expected)).backward()
    assert output.grad is None
    gradients = [[p.grad for p in each.parameters() if p.requires_grad] for each in (net, twin)]
    torch.testing.assert_close(*gradients)
    assert net.still.grad is None
    assert not net.still.requires_grad
    found = torch.stack([terms[name] for name in ('l_d_real', 'l_d_fake', 'out_d_real', 'out_d_fake')])
    torch.testing.assert_close(found, torch.stack([*expected, *(each.mean() for each in scores)]).detach())


@pytest.mark.parametrize('skipped', [0.0, 1.0])
def test_a_skipped_step_leaves_no_trace_in_the_statistics(skipped):
    net = Scores()
    before = copy.deepcopy(net.state_dict())
    adversary = Adversary(net, GANLoss('vanilla'))
    output = images(2)
    output[0, 0, 0, 0] = torch.nan
    adversary.show(images(1), output)
    adversary.judge(output)
    adversary.learn(lambda loss: loss)
    after = copy.deepcopy(net.state_dict())
    assert not after['norm.running_mean'].isfinite().all()
    adversary.undo(torch.tensor(skipped))
    torch.testing.assert_close(net.state_dict(), before if skipped else after, rtol=0, atol=0, equal_nan=True)


def test_when_the_student_is_trained():
    adversary = Adversary(Scores(), GANLoss('vanilla'), every=3, first=4)
    assert [iteration for iteration in range(1, 13) if adversary.trains_student(iteration)] == [6, 9, 12]
    assert all(Adversary(Scores(), GANLoss('vanilla')).trains_student(iteration) for iteration in (1, 2, 3))


def test_scores_of_one_step_are_not_learnt_from_twice():
    adversary = Adversary(Scores(), GANLoss('vanilla'))
    adversary.show(images(1), images(2))
    adversary.learn(lambda loss: loss)
    with pytest.raises(RuntimeError, match='show'):
        adversary.learn(lambda loss: loss)
