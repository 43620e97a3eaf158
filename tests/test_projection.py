"""The projection discriminator by hand, and that labels are what it learns by."""

from functools import partial

import pytest
import torch
from torch import nn

from models.common import objectives
from models.common.projection import Projection


def test_equation_3():
    head = Projection(3, 2, normalised=False)
    phi, label = torch.randn(4, 3), torch.tensor([0, 1, 1, -1])
    expected = [
        (0 if y < 0 else head.classes.weight[y] @ x) + head.psi.weight[0] @ x + head.psi.bias[0]
        for x, y in zip(phi, label, strict=True)
    ]
    torch.testing.assert_close(head(phi, label), torch.stack(expected))
    maps = torch.randn(4, 3, 5, 2)
    torch.testing.assert_close(head(maps, label), head(maps.sum((2, 3)), label))


def test_spectral_norm_bounds_both_parts():
    head = Projection(6, 4).train()
    for _ in range(30):
        head(torch.randn(2, 6), torch.tensor([0, 1]))
    for weight in (head.classes.weight, head.psi.weight):
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.02)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())
        self.head = Projection(8, 2)

    def forward(self, x, label):
        return self.head(self.trunk(x), label)


def test_it_learns_what_belongs_together():
    """Bright pictures are of class 1, dark ones of class 0: only the label tells real from false."""
    torch.manual_seed(0)
    D, game = Discriminator(), objectives.game("hinge")
    optimizer = torch.optim.Adam(D.parameters(), 0.02, betas=(0.0, 0.9))
    for _ in range(150):
        label = torch.randint(2, (16,))
        x = (2.0 * label - 1)[:, None, None, None] + 0.3 * torch.randn(16, 1, 6, 6)
        loss = game.discriminate(D(x, label), D(x, 1 - label))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert (D(x, label) > D(x, 1 - label)).float().mean() > 0.9
    right = partial(D, label=label)
    assert objectives.zero_centred(right, x) > 0
    assert game.fool(right, x, x) == -right(x).mean()
