"""What the benchmarks count and time, on tiny cases."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import training


def test_operations_are_those_of_torchs_own_counter():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(8 * 9, 5)
    )
    x = torch.randn(2, 3, 8, 8)
    with FlopCounterMode(display=False) as counter:
        net(x).sum().backward()
    assert training.flops(lambda: net(x).sum().backward()) == counter.get_total_flops() > 0


def test_second_derivatives_are_counted():
    """As of a gradient penalty: in torch 2.14 its own counter refuses them."""
    x, w = torch.randn(4, 3, requires_grad=True), torch.randn(3, 5, requires_grad=True)

    def penalty():
        (by_x,) = torch.autograd.grad((x @ w).square().sum(), x, create_graph=True)
        by_x.square().sum().backward()

    forward = 2 * 4 * 3 * 5
    assert training.flops(penalty) == pytest.approx(5 * forward, abs=2 * forward)


@pytest.mark.parametrize("name", training.CASES)
def test_every_case_is_a_method_with_such_settings(name):
    from dataclasses import replace

    from translate.task import find

    task, options, _ = training.CASES[name]
    assert replace(find(task).Config(), **options)
