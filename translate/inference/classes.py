"""Label maps: the files' own values in and out, colours far from each other inside (`info.label_colours`)."""

import torch
from torch import Tensor

ROWS = 64  # compared at a time: each pixel with every class


def to_colours(x: Tensor, table: list[list[list[int]]]) -> Tensor:
    """Pictures of values [1, C, H, W] in [-1, 1] to the colours that a model knows; the nearest counts."""
    return exchanged(x, [value for value, _ in table], [colour for _, colour in table])


def to_values(y: Tensor, table: list[list[list[int]]]) -> Tensor:
    """A model's colours [1, C, H, W] to the nearest class's value, exactly."""
    return exchanged(y, [colour for _, colour in table], [value for value, _ in table])


def exchanged(x: Tensor, before: list[list[int]], after: list[list[int]]) -> Tensor:
    old, new = (torch.tensor(levels).float() / 127.5 - 1 for levels in (before, after))
    channels = old.shape[1]
    if x.shape[1] != channels:
        x = x[:, :3].mean(1, keepdim=True) if channels == 1 else x[:, :1].expand(-1, 3, -1, -1)
    parts = []
    for rows in x.split(ROWS, 2):
        pixels = rows[0].flatten(1).T.float()
        parts.append(new[torch.cdist(pixels, old).argmin(1)].T.reshape(1, -1, *rows.shape[2:]))
    return torch.cat(parts, 2)
