"""Inpainting against its papers, and holes in pictures of every size and kind."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from models.common import objectives
from models.translation.inpaint import TILE, Inpaint, Layer, contextual, continued, differing, faded
from tests.conftest import World, build
from tests.test_methods import losses_of
from translate.config import UserError
from translate.inference import filling, images
from translate.inference.exemplar import PATCH, mean_of, patches, synthesised
from translate.inference.pipeline import Pipeline


def world_batch(count: int, size: int = 32) -> dict:
    world = World("masked", size)
    samples = [world.sample(i, torch.Generator().manual_seed(i)) for i in range(count)]
    return {key: torch.stack([sample[key] for sample in samples]) for key in ("image", "mask")}


def plain(kind: str, bias: float = 0.0) -> Layer:
    """A 3x3 layer that adds up: of one channel, of one gate with weights 0."""
    layer = Layer(kind, 1, 1)
    with torch.no_grad():
        layer.conv.weight.zero_()
        layer.conv.weight[0] = 1
        layer.conv.bias.zero_()
        layer.conv.bias[0] = bias
    return layer


@pytest.mark.parametrize("kind", ["gated", "light"])
def test_a_gate_of_weight_zero_halves(kind):
    x, known = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)
    y, same = plain(kind)(x, known)
    assert y[0, 0].tolist() == [[2, 3, 2], [3, 4.5, 3], [2, 3, 2]] and same is known


def test_a_partial_convolution_counts_what_is_known():
    """Of the 9 at the middle 3 are known: (2 + 2 + 2) 9/3 + 0.5; at a corner none is."""
    x, known = torch.full((1, 1, 5, 5), 2.0), torch.zeros(1, 1, 5, 5)
    known[..., 1:4, 3] = 1
    y, grown = plain("partial", 0.5)(x, known)
    assert y[0, 0, 2, 2] == 18.5 and y[0, 0, 2, 0] == 0
    assert grown[0, 0].sum() == 15 and grown[0, 0, 2, 2] == 1 and grown[0, 0, 0, 0] == 0


def test_attention_by_a_loop():
    generator = torch.Generator().manual_seed(0)
    f = torch.randn(2, 3, 2 * TILE, 2 * TILE, generator=generator)
    hole = torch.zeros(2, 1, 2 * TILE, 2 * TILE)
    hole[0, 0, 0, 0] = hole[1] = 1  # a corner; everything, where nothing can be copied
    moved = contextual(f, hole)
    tiles = [f[0, :, r : r + TILE, c : c + TILE].flatten() for r in (0, TILE) for c in (0, TILE)]
    centred = [tile - sum(tiles) / 4 for tile in tiles]
    likeness = torch.stack([10 * F.cosine_similarity(centred[0], other, 0) for other in centred[1:]])
    wanted = sum(s * tile for s, tile in zip(likeness.softmax(0), tiles[1:], strict=True))
    torch.testing.assert_close(moved[0, :, :TILE, :TILE].flatten(), wanted)
    assert torch.equal(moved[0, :, :, TILE:], f[0, :, :, TILE:]) and torch.equal(moved[1], f[1])


def test_l1_fades_with_the_distance_to_what_is_known():
    mask = torch.zeros(1, 1, 4, 16)
    mask[..., 4:] = 1
    assert faded(mask, 0.5)[0, 0, 0, ::2].tolist() == pytest.approx([1, 1, *(0.25**d for d in range(1, 7))])
    assert torch.equal(faded(mask, 1.0), torch.ones_like(mask))


def test_holes_begin_as_a_smooth_continuation():
    """A ramp is continued, what is far takes the colour of what is nearest, and no hole's value matters."""
    x = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64).contiguous()
    k = torch.ones(1, 1, 64, 64)
    k[..., 20:44, 20:44] = 0
    assert (continued(x, k, 5) - F.avg_pool2d(x, 2)).abs().max() < 0.2
    k[..., 1:] = 0
    assert torch.allclose(continued(x, k, 5), torch.full((1, 1, 32, 32), -1.0))
    assert torch.equal(continued(x, k, 5), continued(torch.where(k > 0, x, 9.0), k, 5))


def test_fillings_differ_per_difference_of_z():
    mask = torch.zeros(2, 1, 8, 8)
    mask[..., :4, :4] = 1
    made = torch.zeros(2, 3, 8, 8)
    made[1, :, :4, :4] = 0.6
    z = torch.tensor([[0.0, 1.0], [0.0, -3.0]])  # 2 apart on average
    assert differing(made, mask, z).item() == pytest.approx(0.3)


@pytest.mark.parametrize("diverse", [0.0, 2.0])
def test_the_objective(diverse):
    config = dataclasses.replace(Inpaint.tiny(), lambda_diverse=diverse, fade=0.9, tau=1e-4)
    torch.manual_seed(0)
    task = Inpaint(config, INFO).eval()  # spectral norm stands still
    batch = world_batch(2)
    torch.manual_seed(1)
    given, logs = losses_of(task, batch)
    x, m = batch["image"], batch["mask"]
    if diverse:
        x, m = (torch.cat([part[:1], part[:1]]) for part in (x, m))
    torch.manual_seed(1)
    z = torch.randn(2, config.latent)
    y1, y2 = task.complete(x, m, z)
    made, game = m * y2 + (1 - m) * x, objectives.Hinge()
    l1 = sum((faded(m, 0.9) * (x - y).abs()).mean() for y in (y1, y2))
    real, fake = (task.D(torch.cat([picture, m], 1)) for picture in (x, made))
    wanted = l1 - fake.mean() - diverse * differing(made, m, z).clamp(max=1e-4)
    torch.testing.assert_close(given["G"], wanted)
    torch.testing.assert_close(given["D"], game.discriminate(real, fake))
    assert set(logs) == {"L1", "G_fool", "D"} | ({"differ"} if diverse else set())


INFO = build(Inpaint, World("masked", 32)).info


@pytest.mark.parametrize("kind", ["light", "partial", "plain"])
def test_other_layers_and_z(kind):
    """The hole alone depends on z; what is known comes back as it was."""
    torch.manual_seed(0)
    task = Inpaint(dataclasses.replace(Inpaint.tiny(), convolution=kind), INFO).eval()
    torch.nn.init.normal_(task.refined.paint.weight)
    batch = world_batch(1)
    one, other = (
        task(image=batch["image"], mask=batch["mask"], noise=torch.full((1, 2), z)) for z in (0.0, 2.0)
    )
    moved = (one != other).any(1, keepdim=True)
    assert moved.any() and not moved[batch["mask"] == 0].any()
    assert torch.equal(
        torch.where(batch["mask"] > 0, 0, one), torch.where(batch["mask"] > 0, 0, batch["image"])
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (dict(size=40), "--size must be a multiple of 32, not 40"),
        (dict(channels=5), "--channels must be even, not 5"),
        (
            dict(lambda_diverse=1.0, batch_size=3),
            "--lambda-diverse compares pairs, but --batch-size 3 is odd",
        ),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(UserError, match=said):
        Inpaint(dataclasses.replace(Inpaint.tiny(), **settings), INFO)


# --- in use ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(build(Inpaint, World("masked", 32)).eval())


def noisy(mode: str, size: tuple[int, int], bits: int = 8) -> Image.Image:
    random, bands = np.random.default_rng(0), {"L": (), "RGB": (3,), "RGBA": (4,), "I;16": ()}[mode]
    kind = np.uint16 if mode == "I;16" else np.uint8
    return Image.fromarray(random.integers(0, 2 ** (8 * kind().nbytes), (*size[::-1], *bands), dtype=kind))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (37, 50), (210, 140)])
def test_what_is_known_stays_bit_for_bit(pipeline, mode, size):
    """Through decoding, filling at any size and encoding; the hole is filled."""
    picture, mask = noisy(mode, size), Image.new("L", size)
    mask.paste(255, (size[0] // 4, size[1] // 4, size[0] // 4 + size[0] // 2, size[1] // 2))
    made = pipeline(picture, mask=mask)[0]
    before, after, hole = (
        np.asarray(image).astype(int) for image in (picture, made.convert(picture.mode), mask)
    )
    if mode == "RGBA":  # clear pixels have no colour
        before[before[..., 3] == 0] = after[after[..., 3] == 0] = 0
    assert made.size == size and np.array_equal(before[hole == 0], after[hole == 0])
    assert size == (1, 1) or not np.array_equal(before[hole > 0], after[hole > 0])


def test_a_wide_hole_is_filled_smaller_with_the_grain_of_its_surroundings():
    random = torch.Generator().manual_seed(0)
    ramp = torch.linspace(-0.5, 0.5, 200).expand(1, 3, 200, 200)
    image = ramp + 0.1 * torch.randn(1, 3, 200, 200, generator=random)
    mask = torch.zeros(1, 1, 200, 200)
    mask[..., 70:130, 70:130] = 1
    shown = []

    def complete(x, hole):  # as a network would that knows the ramp, but no grain
        shown.append((x.shape, hole.sum().item()))
        ideal = F.avg_pool2d(ramp[..., 10:190, 10:190], 4)
        return torch.where(hole > 0, ideal, x)

    made = filling.fill(image, mask, complete, 16)
    assert shown == [((1, 3, 45, 45), 15 * 15)], "180 px by 4, of which 60 are the hole"
    assert torch.equal(made[..., :70, :], image[..., :70, :])
    inside = (slice(None), slice(None), slice(74, 126), slice(74, 126))
    grain = made[inside] - F.avg_pool2d(made, 5, 1, 2)[inside]
    true = image[inside] - F.avg_pool2d(image, 5, 1, 2)[inside]
    assert 0.6 < grain.std() / true.std() < 1.3


def test_parts_are_filled_one_by_one_and_thin_ones_at_their_own_size():
    image, mask = torch.zeros(1, 1, 300, 400), torch.zeros(1, 1, 300, 400)
    mask[..., 10:12, 20:300] = mask[..., 200:220, 350:360] = 1
    shown, told = [], []

    def complete(x, hole):
        shown.append(tuple(x.shape[2:]))
        return torch.ones_like(x)

    made = filling.fill(image, mask, complete, 16, progress=lambda *now: told.append(now))
    assert torch.equal(made, mask) and told == [(1, 2), (2, 2)]
    assert shown == [(60, 348), (116, 98)]


def test_known_patches_continue_what_is_around_the_hole():
    """Stripes go on through a hole that was guessed grey; exactly, as their patches are known."""
    stripes = (torch.arange(64) // 3 % 2 * 2.0 - 1).expand(1, 3, 64, 64)
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., 24:38, 24:38] = 1
    guess = torch.where(hole > 0, 0.0, stripes)
    made = synthesised(guess, hole, 14, torch.Generator().manual_seed(0))
    assert (made - stripes).abs().max() < 0.05
    everything = torch.ones_like(hole)
    assert torch.isfinite(synthesised(guess, everything, 64, torch.Generator().manual_seed(0))).all()


def test_the_mean_of_patches_by_a_loop():
    generator = torch.Generator().manual_seed(0)
    like, places = torch.zeros(1, 2, 10, 9), torch.tensor([[0, 0], [3, 2], [2, 2]])
    best, weight = torch.rand(3, 2 * PATCH**2, generator=generator), torch.tensor([1.0, 2.0, 5.0])
    made = mean_of(best, weight, places, like)
    said = [
        (weight[n], best[n].view(2, PATCH, PATCH)[1, 5 - top, 4 - left])
        for n, (top, left) in enumerate(places.tolist())
    ]
    wanted = sum(w * value for w, value in said) / sum(w for w, _ in said)
    torch.testing.assert_close(made[0, 1, 5, 4], wanted)
    assert made[0, 0, 0, 8] == 0 and torch.equal(patches(made, places[:1])[0, 0], made[0, 0, 0, 0])


def test_seeds_fill_differently(pipeline):
    torch.nn.init.normal_(pipeline.task.refined.paint.weight)
    picture, mask = noisy("RGB", (40, 40)), Image.new("L", (40, 40))
    mask.paste(255, (8, 8, 30, 30))
    one, other, again = (np.asarray(pipeline(picture, mask=mask, seed=seed)[0]) for seed in (0, 1, 0))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_masks_that_do_not_fit(pipeline):
    with pytest.raises(UserError, match="the mask has 9 × 9 px, the picture 40 × 40"):
        pipeline(noisy("RGB", (40, 40)), mask=noisy("L", (9, 9)))
    assert images.decode(pipeline(noisy("L", (8, 8)), mask=Image.new("L", (8, 8)))[0]).size == (8, 8)
