"""Scores against hand numbers, and a reader that really learns to read."""

import math

import pytest
import torch

from translate import metrics
from translate.config import UserError
from translate.metrics import pairwise
from translate.metrics import reader as readers


def test_errors_by_hand():
    truth = torch.zeros(2, 3, 4, 4)
    made = truth.clone()
    made[0] += 0.5  # 63.75 grey levels, in one of two pictures
    assert metrics.mae([made], [truth]).value == pytest.approx(63.75 / 2)
    assert metrics.psnr([made], [truth]).value == pytest.approx(10 * math.log10(4 / (0.25 / 2)), rel=1e-5)
    assert metrics.mae(list(made), list(truth)).value == pytest.approx(63.75 / 2)  # in any batches
    assert metrics.mae([made], [truth]).count == metrics.mae(list(made), list(truth)).count == 2


def test_values_that_no_picture_can_have_count_as_the_nearest():
    assert metrics.mae([torch.full((1, 3, 4, 4), 3.0)], [torch.ones(1, 3, 4, 4)]).value == 0


@pytest.mark.parametrize("other", [torch.zeros(1, 3, 4, 5), torch.zeros(2, 3, 4, 4)])
def test_pictures_of_different_shapes_are_refused(other):
    with pytest.raises(ValueError, match="truths"):
        metrics.mae([torch.zeros(1, 3, 4, 4)], [other])
    with pytest.raises(ValueError, match="argument 2"):
        metrics.psnr([torch.zeros(1, 3, 4, 4)] * 2, [torch.zeros(1, 3, 4, 4)])


def test_laplacian_variance_by_hand():
    """One bright pixel of 127.5 + 127.5 on black, inner 3x3 of 5x5: -4, four times 1, four times 0."""
    picture = torch.full((1, 1, 5, 5), -1.0)
    picture[0, 0, 2, 2] = 1.0
    values = torch.tensor([-4.0, 1, 1, 1, 1, 0, 0, 0, 0]) * 255
    torch.testing.assert_close(metrics.laplacian_variance(picture), values.var()[None])


def test_blur_is_less_sharp_and_noise_sharper_than_the_truth():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(3, 3, 16, 16, generator=generator) * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
    assert metrics.sharpness([blurred], [truth]).value < 0.2
    assert metrics.sharpness([truth], [truth]).value == pytest.approx(1)
    assert metrics.sharpness([truth], [blurred]).value > 5


def test_lpips_names_the_weights_it_was_taken_with(monkeypatch):
    """AlexNet as it would be downloaded, with other weights each time: other values, other protocols."""
    from torchvision import models

    with torch.device("meta"):
        shapes = {name: value.shape for name, value in models.AlexNet().state_dict().items()}

    def downloaded(url, **given):
        drawn = next(seeds)
        filled = {k: torch.randn(v, generator=drawn) / 20 for k, v in shapes.items() if "features" in k}
        return {k: filled.get(k, torch.zeros(1).expand(v)) for k, v in shapes.items()}

    seeds = (torch.Generator().manual_seed(n) for n in range(2))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", downloaded)
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda layer: None)  # 58 M weights not used
    x, y = torch.randint(256, (2, 1, 3, 64, 64), generator=torch.Generator().manual_seed(9)).byte()
    one, two = pairwise.lpips(x, y), pairwise.lpips(x, y)
    assert one.value > 0 and one.value != two.value and one.protocol != two.protocol


def test_label_maps_by_hand():
    """Three classes; of eight pixels two are wrong, one of them of the rarest class."""
    red, green, blue = torch.eye(3).mul(255).byte()
    truths = torch.stack([red, red, red, red, green, green, blue, blue]).T.reshape(1, 3, 2, 4)
    made = torch.stack([red, red, red, green, green, green, blue, red]).T.reshape(1, 3, 2, 4)
    made = (made.int() + 20).clamp(0, 255).byte()  # not quite these colours
    pixels, each, union = pairwise.segmentation(made, truths)
    assert pixels.value == 6 / 8 and each.value == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert union.value == pytest.approx((3 / 5 + 2 / 3 + 1 / 2) / 3) and "3 classes" in union.protocol
    assert [score.value for score in pairwise.segmentation(truths, truths)] == [1, 1, 1]
    with pytest.raises(UserError, match="label maps as truths, 2 to 32 colours in all; these have 64"):
        pairwise.segmentation(made, torch.arange(192).view(1, 3, 8, 8).byte())


@pytest.fixture(scope="module")
def reader():
    """Two questions about stripes: which way they run, and their colour."""
    torch.manual_seed(0)
    reader = readers.Reader({"way": ("across", "down"), "colour": ("red", "blue")}, size=32, width=8)
    readers.fit(reader, stripes, steps=40)
    return reader


def stripes(seed: int):
    generator = torch.Generator().manual_seed(seed)
    way, colour = torch.randint(2, (2, 32), generator=generator)
    lines = (torch.arange(32) // 4 % 2 * 2.0 - 1).expand(32, 32)
    pictures = torch.full((32, 3, 32, 32), -1.0)
    for i in range(32):
        pictures[i, 2 * colour[i]] = lines if way[i] else lines.T
    noise = torch.randn(pictures.shape, generator=generator) * 0.3
    return (pictures + noise).clamp(-1, 1), {"way": way, "colour": colour}


def test_a_reader_learns_every_question(reader):
    assert readers.accuracy(reader, *stripes(1000)) == {"way": 1.0, "colour": 1.0}
    pictures, truth = stripes(1001)
    assert reader.share(pictures, "colour", "blue") == pytest.approx(float(truth["colour"].float().mean()))


def test_a_reader_reads_any_size(reader):
    pictures, truth = stripes(1002)
    large = torch.nn.functional.interpolate(pictures, scale_factor=3)
    assert readers.accuracy(reader, large, truth)["colour"] == 1.0


def test_a_reader_survives_its_file(reader, tmp_path):
    readers.save(reader, tmp_path / "stripes.safetensors", {"data": "stripes"})
    loaded = readers.load(tmp_path / "stripes.safetensors")
    pictures, _ = stripes(1003)
    for head, answers in reader.read(pictures).items():
        assert torch.equal(loaded.read(pictures)[head], answers)
    assert loaded.heads == reader.heads


@pytest.mark.parametrize("content", [None, b"no tensors"])
def test_a_file_that_is_no_reader_is_named(content, tmp_path):
    path = tmp_path / "broken.safetensors"
    if content:
        path.write_bytes(content)
    with pytest.raises(UserError, match="broken.safetensors is no reader"):
        readers.load(path)
