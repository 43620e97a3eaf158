"""What the benchmarks count and time, on tiny cases."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import auto, peers, scale, training


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


@pytest.mark.parametrize("name", peers.CASES)
@pytest.mark.parametrize("side", ["published", "no"])
def test_steps_beside_the_published_ones_run_and_learn(name, side):
    """At tiny sizes: two steps of every case, which change what is learned and leave it finite."""
    made = []
    remember = torch.optim.Optimizer.__init__

    def watched(self, parameters, defaults):
        remember(self, parameters, defaults)
        made.extend(p for group in self.param_groups for p in group["params"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Optimizer, "__init__", watched)
        patch.setattr("translate.machine.tune", lambda: None)
        step = peers.stepper(name, side, tiny=True)
    before = [p.detach().clone() for p in made]
    step()
    step()
    moved = [not torch.equal(p, old) for p, old in zip(made, before, strict=True)]
    assert sum(moved) > len(moved) / 3 and all(torch.isfinite(p).all() for p in made)


def test_both_sides_have_networks_of_the_same_size():
    """Of CycleGAN and pix2pix at published sizes; biases before norms apart."""
    from benchmarks import published
    from models.common import translators

    pairs = [
        (published.resnet(64, 9), translators.generator("resnet9", 3, 3, 64, "instance", "transposed")),
        (published.u_net(64, 8), translators.generator("unet256", 3, 3, 64, "batch", "transposed")),
        (published.patch_gan(6, 64, torch.nn.BatchNorm2d), translators.PatchGAN(6, 64, 70, "batch")),
    ]
    for theirs, ours in pairs:
        weights = [sum(p.numel() for p in net.parameters() if p.ndim == 4) for net in (theirs, ours)]
        assert weights[0] == weights[1]


def test_a_comparison_takes_turns_and_gives_a_row():
    found = peers.compare("VAE 784-400-20, batch 128", turns=2, tiny=True, sides=peers.SIDES[:2])
    assert all(len(found[side]["seconds"]) == 2 and found[side]["GiB"] > 0.1 for side in peers.SIDES[:2])
    assert peers.row("VAE", found).count("|") == 5


def test_ways_take_turns_and_slow_ones_are_left():
    """The least of each; what takes more than twice the fastest's time is measured no further."""
    now, calls = [0.0], []

    def way(name: str, *seconds: float):
        given = iter(seconds)

        def run() -> None:
            calls.append(name)
            now[0] += next(given)

        return run

    runs = {
        "quick": way("quick", 9, 3, 2, 4),
        "slow": way("slow", 9, 7, 1, 1),
        "near": way("near", 1, 4, 5, 3),
    }
    assert auto.in_turn(runs, 3, lambda: now[0]) == {"quick": 2, "slow": 7, "near": 3}
    assert calls.count("slow") == 2 and calls.count("near") == 4


def test_the_simulation_of_many_pictures_counts_what_grows():
    found = scale.rows(20_000, scale.Settings(per_shard=1000, processes=4, batch=8))
    assert len(found) == 8 and all(cost.seconds < 30 for _, cost in found)
    assert "the last of 4 processes finds its pictures of update 4,375" in found[-1][0]
