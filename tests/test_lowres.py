"""Super-resolution data: MATLAB's imresize, crops that agree with the whole picture, given pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets import DataError
from datasets.lowres import BORDER, degraded, imresize, turned, valued

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def photographs(tmp_path):
    random = np.random.default_rng(0)
    for i, size in enumerate([(90, 70), (61, 83), (30, 20)]):
        rough = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        rough.resize(size, Image.BICUBIC).save(tmp_path / f"{i}.png")
    return tmp_path


def grey_levels(path):
    return torch.from_numpy(np.array(Image.open(path).convert("RGB"))).permute(2, 0, 1)


@pytest.mark.skipif(not (DATA / "set5.zip").exists(), reason="the real data is not here")
def test_set5_at_a_quarter_is_reproduced_exactly():
    highs = datasets.sources.open_source(f"{DATA}/set5.zip/hr")
    lows = datasets.sources.open_source(f"{DATA}/set5.zip/lr_x4")
    for number in range(5):
        high, low = (datasets.pictures.decode(source.read(number), 3, 8) for source in (highs, lows))
        made = imresize(high[:, : low.shape[1] * 4, : low.shape[2] * 4], *low.shape[1:])
        assert torch.equal(made, low.float())


def test_imresize_keeps_what_is_even_and_averages_what_is_fine():
    plain = torch.full((3, 24, 16), 77.0)
    for target in ((6, 4), (12, 8), (8, 16), (48, 40)):
        assert torch.equal(imresize(plain, *target), torch.full((3, *target), 77.0))
    board = 255.0 * (torch.arange(32)[:, None] + torch.arange(32)).remainder(2)[None]
    inner = imresize(board, 8, 8)[:, 1:-1, 1:-1]
    assert (inner - 127.5).abs().max() <= 1, "a fine pattern becomes grey, without moire"
    ramp = (8.0 * torch.arange(32)).expand(1, 32, 32)
    assert torch.equal(imresize(ramp, 16, 16)[0, 5, 3:13], ramp[0, 0, 6:26].view(10, 2).mean(1))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_crops_are_those_of_the_whole_picture(photographs, scale):
    """Low and high show the same place, and low is the whole picture's imresize at every pixel."""
    data = datasets.load("lowres", str(photographs), size=24, scale=scale, flip=False)
    for index in (0, 1):
        whole = grey_levels(photographs / f"{index}.png")
        whole = whole[:, : whole.shape[1] // scale * scale, : whole.shape[2] // scale * scale]
        low = valued(imresize(whole, whole.shape[1] // scale, whole.shape[2] // scale))
        found = set()
        for seed in range(6):
            sample = data.sample(index, seeded(seed))
            assert sample["high"].shape == (3, 24, 24) and sample["low"].shape == (
                3,
                24 // scale,
                24 // scale,
            )
            side = 24 // scale
            at = [
                (y, x)
                for y in range(low.shape[1] - side + 1)
                for x in range(low.shape[2] - side + 1)
                if torch.equal(low[:, y : y + side, x : x + side], sample["low"])
            ]
            assert len(at) == 1
            y, x = (scale * v for v in at[0])
            assert torch.equal(valued(whole)[:, y : y + 24, x : x + 24], sample["high"])
            found.add(at[0])
        assert len(found) > 2, "crops come from all over the picture"


def test_both_are_turned_alike(photographs):
    """Every one of the eight ways turns up, and shrinking the turned crop gives the turned small one."""
    data = datasets.load("lowres", str(photographs), size=16, scale=4)
    straight = datasets.load("lowres", str(photographs), size=16, scale=4, flip=False)
    ways = set()
    for seed in range(60):
        sample, plain = data.sample(0, seeded(seed)), straight.sample(0, seeded(seed))
        [way] = [w for w in range(8) if torch.equal(turned(plain["high"], w), sample["high"])]
        assert torch.equal(turned(plain["low"], way), sample["low"])
        ways.add(way)
    assert ways == set(range(8))


def test_small_pictures_are_mirrored_up_to_the_crop(photographs):
    sample = datasets.load("lowres", str(photographs), size=48, flip=False).sample(2, seeded())
    assert sample["high"].shape == (3, 48, 48)
    picture = valued(grey_levels(photographs / "2.png"))
    assert torch.equal(sample["high"][:, :20, :30], picture)
    assert torch.equal(sample["high"][:, 20:40, :30], picture.flip(1))


def test_given_pairs_and_their_mistakes(photographs, tmp_path):
    low, high = tmp_path / "low", tmp_path / "high"
    low.mkdir(), high.mkdir()
    for i in (0, 1):
        picture = Image.open(photographs / f"{i}.png").crop((0, 0, 60, 60))
        picture.save(high / f"{i}.png")
        picture.resize((20, 20)).save(low / f"{i}x3.png")
    data = datasets.load("lowres", "birds", a=str(low), b=str(high), size=24, scale=3, flip=False)
    sample = data.sample(1, seeded(1))
    small = valued(grey_levels(low / "1x3.png"))
    assert any(
        torch.equal(small[:, y : y + 8, x : x + 8], sample["low"]) for y in range(13) for x in range(13)
    )
    with pytest.raises(DataError, match="--scale 4 needs exactly 4 times as much"):
        datasets.load("lowres", "birds", a=str(low), b=str(high), size=24, scale=4).sample(0, seeded())
    (low / "1x3.png").unlink()
    with pytest.raises(DataError, match="1.png has none"):
        datasets.load("lowres", "birds", a=str(low), b=str(high), size=24, scale=3)
    with pytest.raises(DataError, match="must be a multiple of --scale 3"):
        datasets.load("lowres", str(photographs), size=25, scale=3)


def test_several_places_are_one(photographs):
    both = datasets.load("lowres", f"{photographs}+{photographs}/0.png", size=16)
    assert len(both) == 4 and both.sample(3, seeded())["file"].endswith("0.png")
    (photographs / "a+b").mkdir()
    (photographs / "0.png").rename(photographs / "a+b" / "0.png")
    assert len(datasets.load("lowres", f"{photographs}/a+b", size=16)) == 1, "a name with a plus stays one"


def test_degradation_blurs_noises_and_repeats():
    clean = valued(torch.arange(0, 256, 4.0).expand(3, 32, 64))
    once, again = degraded(clean, 1.0, seeded(3)), degraded(clean, 1.0, seeded(3))
    assert torch.equal(once, again) and once.shape == clean.shape and once.abs().max() <= 1
    changes = [float((degraded(clean, s, seeded(3)) - clean).abs().mean()) for s in (0.2, 1.0)]
    assert 0 < changes[0] < changes[1] < 0.2
    grey = degraded(clean[:1], 1.0, seeded(3))
    assert grey.shape == (1, 32, 64)


def test_shrinking_shows_pictures_at_many_sizes(tmp_path):
    """A ramp of one grey level a pixel gets up to twice as steep; low still belongs to high."""
    ramp = torch.arange(40, 240, dtype=torch.uint8).expand(3, 200, 200)
    Image.fromarray(ramp.permute(1, 2, 0).numpy()).save(tmp_path / "ramp.png")
    data = datasets.load("lowres", str(tmp_path), size=32, flip=False, shrink=0.5)
    steps = []
    for seed in range(12):
        sample = data.sample(0, seeded(seed))
        assert sample["high"].shape == (3, 32, 32) and sample["low"].shape == (3, 8, 8)
        levels = (sample["high"] + 1) * 127.5
        steps.append(float(levels[0, 16, 28] - levels[0, 16, 4]) / 24)
        inner = valued(imresize(levels, 8, 8))[:, 2:-2, 2:-2]
        assert (inner - sample["low"][:, 2:-2, 2:-2]).abs().max() < 1.1 / 127.5
    assert 0.95 < min(steps) < 1.3 and 1.6 < max(steps) < 2.1
    still = datasets.load("lowres", str(tmp_path), size=32, split="test", shrink=0.5).sample(0, seeded())
    assert float(still["high"][0, 16, 28] - still["high"][0, 16, 4]) * 127.5 == pytest.approx(24), (
        "not in tests"
    )
    assert (
        datasets.load("lowres", str(tmp_path), size=300, shrink=0.5).sample(0, seeded())["high"].shape[1]
        == 300
    )
    for wrong in (0.0, 1.5):
        with pytest.raises(DataError, match="--shrink .* must be 0.1 to 1"):
            datasets.load("lowres", str(tmp_path), size=32, shrink=wrong)
    for wrong in (dict(shrink=0.5), dict(degrade=1.0)):
        with pytest.raises(DataError, match="not for given pairs"):
            datasets.load("lowres", "birds", a=str(tmp_path), b=str(tmp_path), size=32, **wrong)
        with pytest.raises(DataError, match="not for the built-in birds"):
            datasets.load("lowres", "birds:4", size=32, **wrong)


def test_birds_at_low_resolution():
    sample = datasets.load("lowres", "birds:4", size=64, scale=2).sample(0, seeded())
    assert sample["low"].shape == (3, 32, 32) and sample["high"].shape == (3, 64, 64)
    whole = imresize((sample["high"] + 1) * 127.5, 32, 32)
    assert torch.equal(valued(whole), sample["low"]) and BORDER >= 2
