"""CUT against its paper: the contrast by a naive loop, the whole objective, FastCUT's mirrored inputs."""

import dataclasses
import math

import pytest
import torch

from models.translation.cut import CUT, patch_nce
from tests.test_methods import INFO, losses_of, pair
from translate.task import UserError


def test_patch_nce_is_equation_3():
    generator = torch.Generator().manual_seed(0)
    queries, keys = (
        torch.nn.functional.normalize(torch.randn(2, 5, 8, generator=generator), dim=2) for _ in "qk"
    )
    losses = []
    for v, z in zip(queries, keys, strict=True):  # negatives come from the same picture
        for s in range(5):
            similar = [math.exp(float(v[s] @ other) / 0.07) for other in z]
            losses.append(-math.log(similar[s] / sum(similar)))
    assert patch_nce(queries, keys, 0.07).item() == pytest.approx(sum(losses) / 10, rel=1e-4)


@pytest.mark.parametrize("case", ["cut", "fast", "fast, mirrored"])
def test_the_objective(case):
    """CUT contrasts translations of x and y; FastCUT of x alone, ten times as strong, half mirrored."""
    fast, mirrored = case != "cut", case == "fast, mirrored"
    config = dataclasses.replace(CUT.tiny(), fast=fast, places=7)
    task, batch = CUT(config, INFO), pair(config)
    seed = 0 if mirrored else 1

    def start():
        torch.manual_seed(seed)
        assert not fast or (torch.rand(()) < 0.5) == mirrored

    start()
    torch.manual_seed(seed)
    given, logs = losses_of(task, batch)
    x, y = batch["a"], batch["b"]
    fake = task.G(x.flip(3)) if mirrored else task.G(x)
    made, source = (fake, x) if fast else (task.G(torch.cat([x, y])), torch.cat([x, y]))
    queries, _ = task.features(made)
    keys, _ = task.features(source)
    queries = [f.flip(3) for f in queries] if mirrored else queries
    start()
    places = [torch.randperm(f.shape[2] * f.shape[3])[:7] for f in queries]
    losses = [
        patch_nce(q, k, 0.07) for q, k in zip(task.H(queries, places), task.H(keys, places), strict=True)
    ]
    torch.testing.assert_close(logs["nce"], sum(losses) / 5)
    fool = (task.D(fake) - 1).square().mean()
    torch.testing.assert_close(given["G"], fool + (10 if fast else 1) * logs["nce"])
    torch.testing.assert_close(given["D"], 0.5 * ((task.D(y) - 1).square() + task.D(fake).square()).mean())


def test_unequal_channels_are_refused():
    with pytest.raises(UserError, match="equal channels"):
        CUT(CUT.tiny(), dataclasses.replace(INFO, channels={"a": 1, "b": 3}))


def test_chosen_layers_alone_are_contrasted():
    config = dataclasses.replace(CUT.tiny(), nce_layers=(14, 4), places=7)
    task, batch = CUT(config, INFO).eval(), pair(config)
    found, x = [], batch["a"]
    for layer in list(task.G)[:15]:
        found.append(x := layer(x))
    features, last = task.features(batch["a"])
    torch.testing.assert_close(features, [found[4], found[14]])
    torch.testing.assert_close(last, found[14])
    torch.manual_seed(3)
    _, logs = losses_of(task, batch)
    torch.manual_seed(3)
    both = torch.cat([batch["a"], batch["b"]])
    queries, keys = (task.features(x)[0] for x in (task.G(both), both))
    places = [torch.randperm(f.shape[2] * f.shape[3])[:7] for f in queries]
    losses = [
        patch_nce(q, k, 0.07) for q, k in zip(task.H(queries, places), task.H(keys, places), strict=True)
    ]
    torch.testing.assert_close(logs["nce"], sum(losses) / 2)


@pytest.mark.parametrize("layers", [(), (4, 5)])
def test_layers_that_there_are_not_are_refused(layers):
    with pytest.raises(UserError, match="--nce-layers takes some of 0 4 7 10 14, not"):
        CUT(dataclasses.replace(CUT.tiny(), nce_layers=layers), INFO)
