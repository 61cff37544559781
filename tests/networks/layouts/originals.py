"""EDSR-PyTorch and RCAN as their authors wrote them, once more, to load their checkpoints into."""

from __future__ import annotations

import torch
from torch import nn

MEAN = (0.4488, 0.4371, 0.4040)


def conv(inputs, outputs, size=3):
    return nn.Conv2d(inputs, outputs, size, padding=size // 2)


class Shift(nn.Conv2d):
    """x / std -+ range * mean / std; the one after the network multiplies by std instead."""

    def __init__(self, sign, value_range, std=1.0):
        super().__init__(3, 3, 1)
        factor = std if sign > 0 else 1 / std
        self.weight.data = torch.eye(3).view(3, 3, 1, 1) * factor
        self.bias.data = sign * value_range * torch.tensor(MEAN) / (1 if sign > 0 else std)


class Block(nn.Module):
    def __init__(self, features, scale, attention=None):
        super().__init__()
        self.body = nn.Sequential(conv(features, features), nn.ReLU(), conv(features, features))
        if attention is not None:
            self.body.append(attention)
        self.scale = scale

    def forward(self, x):
        return x + self.scale * self.body(x)


class Attention(nn.Module):
    def __init__(self, features, squeezed):
        super().__init__()
        self.conv_du = nn.Sequential(conv(features, squeezed, 1), nn.ReLU(), conv(squeezed, features, 1), nn.Sigmoid())

    def forward(self, x):
        return x * self.conv_du(x.mean((-2, -1), keepdim=True))


class Group(nn.Module):
    def __init__(self, features, blocks, squeezed):
        super().__init__()
        inner = [Block(features, 1, Attention(features, squeezed)) for _ in range(blocks)]
        self.body = nn.Sequential(*inner, conv(features, features))

    def forward(self, x):
        return x + self.body(x)


class Original(nn.Module):
    """The common frame of the two: inputs and outputs in 0..value_range."""

    def __init__(self, blocks, features, scale, value_range=255.0, std=1.0):
        super().__init__()
        self.sub_mean, self.add_mean = Shift(-1, value_range, std), Shift(1, value_range, std)
        self.head = nn.Sequential(conv(3, features))
        self.body = nn.Sequential(*blocks, conv(features, features))
        steps = [3] if scale == 3 else [2] * (scale // 2)
        up = [layer for step in steps for layer in (conv(features, step**2 * features), nn.PixelShuffle(step))]
        self.tail = nn.Sequential(nn.Sequential(*up), conv(features, 3))

    def forward(self, x):
        x = self.head(self.sub_mean(x))
        return self.add_mean(self.tail(x + self.body(x)))


def original_edsr(features=4, blocks=2, scale=2, **shift):
    return Original([Block(features, 1) for _ in range(blocks)], features, scale, **shift)


def original_rcan(features=8, groups=2, blocks=2, squeezed=2, scale=2, **shift):
    return Original([Group(features, blocks, squeezed) for _ in range(groups)], features, scale, **shift)
