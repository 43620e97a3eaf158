"""Small pictures as arrays, batches in one piece, and points."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

import datasets
from datasets import DataError, points
from tests.test_datasets import REAL, real
from translate.training.stream import Stream, collate

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (7, 3, 32, 32), dtype=np.uint8)
LABELS = np.array([3, 1, 9, 1, 0, 2, 6])


def load(data, kind="labels", size=32, resize="resize", **options):
    return datasets.load(kind, str(data), size=size, resize=resize, **options)


def cifar_binary(folder):
    """Two batches for training (4 and 1 pictures), 2 to test, as the official binary version has them."""
    records = np.concatenate([LABELS[:, None].astype(np.uint8), PIXELS.reshape(7, -1)], 1)
    for name, part in (
        ("data_batch_1", records[:4]),
        ("data_batch_2", records[4:5]),
        ("test_batch", records[5:]),
    ):
        (folder / f"{name}.bin").write_bytes(part.tobytes())


def cifar_python(folder):
    for name, part in (
        ("data_batch_1", slice(4)),
        ("data_batch_2", slice(4, 5)),
        ("test_batch", slice(5, 7)),
    ):
        content = {
            b"data": PIXELS[part].reshape(-1, 3072),
            b"labels": LABELS[part].tolist(),
            b"batch_label": b"x",
        }
        (folder / name).write_bytes(pickle.dumps(content, protocol=3))


def svhn(folder):
    from scipy.io import savemat

    for name, part in (("train", slice(5)), ("test", slice(5, 7))):
        labels = np.where(LABELS[part] == 0, 10, LABELS[part])[:, None].astype(np.uint8)
        savemat(folder / f"{name}_32x32.mat", {"X": PIXELS[part].transpose(2, 3, 1, 0), "y": labels})


@pytest.mark.parametrize("write", [cifar_binary, cifar_python, svhn])
def test_official_files_of_small_pictures(write, tmp_path):
    write(tmp_path)
    for split, part in (("train", slice(5)), ("test", slice(5, 7))):
        data = load(tmp_path, split=split, flip=False)
        assert data.info["split"] == split and data.info["channels"] == {"image": 3}
        batch = data.batch(torch.arange(len(data)), None)
        assert torch.equal(((batch["image"] + 1) * 127.5).round(), torch.from_numpy(PIXELS[part]).float())
        assert batch["label"].tolist() == LABELS[part].tolist()
        assert list(batch["file"])[0].startswith(str(tmp_path))
    assert data.info["classes"][:2] == (["0", "1"] if write is svhn else ["airplane", "automobile"])
    mirrored = {
        bool(
            (
                load(tmp_path).sample(0, torch.Generator().manual_seed(i))["image"][0, 0, 0]
                == batch_corner(load(tmp_path))
            ).item()
        )
        for i in range(12)
    }
    assert mirrored == ({True} if write is svhn else {True, False}), "no mirrored house numbers"


def batch_corner(data):
    return data.domain.store.kept[0][0][0, 0, 0] / 127.5 - 1


def test_torchvisions_folder_is_found(tmp_path):
    (inside := tmp_path / "cifar-10-batches-bin").mkdir()
    cifar_binary(inside)
    assert len(load(tmp_path)) == 5


class Harm:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pickle.dumps(Harm()), "it asks for builtins.print"),
        (pickle.dumps({b"data": PIXELS[:4].reshape(4, -1), b"labels": [1, 2]}, protocol=3), "do not fit"),
        (
            pickle.dumps({b"data": PIXELS[:4].reshape(4, -1), b"labels": [1, 2, 3, 10]}, protocol=3),
            "do not fit",
        ),
        (b"nothing", "data_batch_1 cannot be read"),
    ],
)
def test_a_hostile_or_damaged_pickle_is_one_sentence(content, reason, tmp_path, capsys):
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(DataError, match=reason) as error:
        load(tmp_path)
    assert "\n" not in str(error.value) and "executed" not in capsys.readouterr().out


def test_a_truncated_binary_batch_is_one_sentence(tmp_path):
    cifar_binary(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(b"123")
    with pytest.raises(DataError, match="data_batch_2.bin cannot be read .3 bytes are no whole number"):
        load(tmp_path)


def test_digits_are_built_in():
    train, test = load("digits", size=8), load("digits", size=8, split="test")
    assert (len(train), len(test)) == (1438, 359) and train.info["classes"] == list("0123456789")
    image = train.batch(torch.arange(len(train)), None)["image"]
    assert image.shape == (1438, 1, 8, 8) and image.min() == -1 and image.max() == 1
    assert load("digits", "images", size=16).info["channels"] == {"image": 1}


# --- batches in one piece -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        dict(resize="resize", flip=False),
        dict(resize="resize"),
        dict(resize="resize-crop"),
        dict(resize="pad"),
    ],
)
@pytest.mark.parametrize("kind", ["images", "labels"])
def test_a_batch_in_one_piece_is_the_samples_one_by_one(kind, options, tmp_path):
    """Order, crops and mirroring alike, over the end of an epoch, of arrays as of files, cached or not."""
    cifar_binary(tmp_path)
    for number in range(5):
        (folder := tmp_path / "pictures" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[number].transpose(1, 2, 0)).save(folder / f"{number}.png")
    for place in (tmp_path, tmp_path / "pictures"):
        data, slow = (load(place, kind, size=20, cache=cache, **options) for cache in ("on", "off"))
        stream, one_by_one = Stream(data, 4, seed=5), Stream(slow, 4, seed=5)
        for m in (0, 1, 2, 0):
            fast = stream.batch(m)
            expected = one_by_one.batch(m)
            assert type(expected["file"]) is list and list(fast["file"]) == expected["file"]
            assert fast["image"].is_contiguous() and fast.keys() == expected.keys()
            assert all(torch.equal(fast[key], expected[key]) for key in fast.keys() - {"file"})


def test_jitter_is_still_drawn_one_by_one(tmp_path):
    cifar_binary(tmp_path)
    data = load(tmp_path, color_jitter=0.2)
    assert data.batch(torch.tensor([0]), None) is None
    assert Stream(data, 3, 0).batch(0)["image"].shape == (3, 3, 32, 32)


def test_an_unreadable_picture_is_replaced_in_batches_too(tmp_path):
    for number in range(3):
        Image.new("L", (8, 8), 50 * number).save(tmp_path / f"{number}.png")
    (tmp_path / "1.png").write_bytes(b"broken")
    data = load(tmp_path, "images", size=8, flip=False)
    batch = data.batch(torch.tensor([0, 1, 2]), None)
    assert ((batch["image"][:, 0, 0, 0] + 1) * 127.5).round().tolist() == [0, 100, 100]
    assert [file[-5:] for file in batch["file"]] == ["0.png", "2.png", "2.png"]


@real
def test_mnist_is_read_whole():
    train, test = (load(REAL / "mnist", size=28, split=split) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    batch = train.batch(torch.arange(60_000), None)
    assert batch["image"].mean() == pytest.approx(2 * 0.1307 - 1, abs=1e-3)  # the mean everyone subtracts
    assert torch.bincount(batch["label"]).tolist() == [
        5923,
        6742,
        5958,
        6131,
        5842,
        5421,
        5918,
        6265,
        5851,
        5949,
    ]


def test_balanced_classes_come_in_turn(tmp_path):
    """6 pictures of a, 2 of b, 1 of c: in every three places each once."""
    for number, name in enumerate("aaaaaabbc"):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("L", (8, 8), 20 * number).save(tmp_path / name / f"{number}.png")
    for kind in ("images", "labels"):
        data = load(tmp_path, kind, size=8, balanced=True)
        classes = torch.tensor([0] * 6 + [1] * 2 + [2])
        orders = [data.order(epoch, seed=1) for epoch in range(8)]
        for order in orders:
            assert len(order) == 9 and (classes[order].view(3, 3).sort(1)[0] == torch.arange(3)).all()
            assert (
                len(order[classes[order] == 0].unique()) == 3
                and len(order[classes[order] == 1].unique()) == 2
            )
        assert not torch.equal(orders[0], orders[1]) and torch.equal(orders[0], data.order(0, seed=1))
        assert len(torch.cat(orders).unique()) == 9
        assert load(tmp_path, kind, size=8, balanced=True, split="test").even is None
    (tmp_path / "plain").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "plain" / "0.png")
    with pytest.raises(DataError, match="--balanced needs classes"):
        load(tmp_path / "plain", "images", size=8, balanced=True)


# --- points ---------------------------------------------------------------------------------------------


def test_toys_are_what_they_say():
    def drawn(name):
        return points.draw(name, 20_000, seed=0)

    gaussian, _ = drawn("gaussian")
    assert gaussian.mean(0).tolist() == pytest.approx([5, 5], abs=0.03)
    assert torch.cov(gaussian.T).flatten().tolist() == pytest.approx([1, 0, 0, 1], abs=0.03)
    ring, mode = drawn("ring")
    assert ring.norm(dim=1).mean().item() == pytest.approx(2, abs=0.01)
    centres = torch.stack([ring[mode == k].mean(0) for k in range(8)])
    assert torch.pdist(centres).min().item() == pytest.approx(4 * np.sin(np.pi / 8), abs=0.01), (
        "8 distinct modes"
    )
    grid, mode = drawn("grid")
    assert len(mode.unique()) == 25 and (grid - 2 * (grid / 2).round()).std().item() == pytest.approx(
        0.05, abs=0.002
    )
    lines, mode = drawn("lines")
    assert torch.equal(lines[:, 0], mode.float()) and 0 <= lines[:, 1].min() <= lines[:, 1].max() <= 1
    radius = drawn("ring-map")[0].norm(dim=1)  # 1 + |z| / 10
    assert (
        radius.mean().item() == pytest.approx(1 + 0.1 * np.sqrt(np.pi / 2), abs=0.005) and radius.min() >= 1
    )


def test_points_come_as_any_data():
    data = datasets.load("images", "ring:50", size=8)
    assert (
        data.info["kind"] == "points"
        and data.info["channels"] == {"image": 2}
        and len(data.info["classes"]) == 8
    )
    batch = Stream(data, 32, seed=1).batch(1)
    one_by_one = collate(
        [data.sample(int(i), torch.Generator()) for i in Stream(data, 32, seed=1).indices(32)]
    )
    assert list(batch.pop("file")) == one_by_one.pop("file")
    assert all(torch.equal(batch[key], one_by_one[key]) for key in one_by_one)
    assert not torch.equal(datasets.load("points", "ring:50", size=8, split="test").points, data.points)


def test_a_table_of_numbers(tmp_path):
    rows = RANDOM.normal(size=(6, 3)).astype(np.float32)
    np.save(tmp_path / "a.npy", rows)
    np.savetxt(tmp_path / "b.csv", rows, delimiter=",", header="x,y,z", comments="")
    np.savetxt(tmp_path / "c.tsv", rows)
    for name in ("a.npy", "b.csv", "c.tsv"):
        found = datasets.load("points", str(tmp_path / name), size=8)
        torch.testing.assert_close(found.points, torch.from_numpy(rows))
    np.save(tmp_path / "pickled.npy", np.array([Harm()], dtype=object), allow_pickle=True)
    (tmp_path / "words.csv").write_text("1,2\n3,four\n")
    (tmp_path / "gap.csv").write_text("1,2\n3,nan\n")
    for name in ("pickled.npy", "words.csv", "gap.csv", "absent.csv"):
        with pytest.raises(DataError, match=f"{name} is no table of numbers"):
            datasets.load("points", str(tmp_path / name), size=8)


@pytest.mark.parametrize("data", ["ring:0", "ring:x", "nothing"])
def test_other_points_are_refused_in_a_sentence(data):
    with pytest.raises(DataError, match="COUNT, such as|points need one of gaussian"):
        datasets.load("points", data, size=8)


def test_points_are_learned_shown_and_served(learn, tmp_path):
    """A run on a toy: previews and samples are scatter plots; convolutions say that they need pictures."""
    from models.gan import dcgan, gan
    from translate.inference.pipeline import Pipeline
    from translate.task import UserError
    from translate.training import dry_run

    data = datasets.load("images", "ring:200", size=8)
    learn(gan.GAN, data, output=tmp_path / "ring", preview_every=2, batch_size=8)
    preview = Image.open(tmp_path / "ring" / "previews" / "step-00000002.png")
    assert preview.size == (428, 428) and len(preview.getcolors(10**6)) > 50
    pipeline = Pipeline.from_pretrained(tmp_path / "ring")
    first, second = pipeline(n=2, seed=3)
    assert first.size == (428, 428) and first.tobytes() != second.tobytes()
    assert pipeline(n=1, seed=3)[0].tobytes() == first.tobytes()
    with pytest.raises(UserError, match="dcgan learns from images, not from points such as ring"):
        learn(dcgan.DCGAN, data, output=tmp_path / "other")
    task = gan.GAN(gan.GAN.tiny(), pipeline.task.info)
    assert "kind = points" in dry_run.describe(task, data, task.config)


@pytest.mark.parametrize("name", ["gaussian", "gaussian-1d", "grid"])
def test_scatter_plots_show_where_points_are(name):
    """Blue for the first cloud, orange for the second, inside the frame, at their places."""
    from translate.figures import grid

    cloud, _ = points.draw(name, 500, seed=0)
    picture = np.asarray(grid({"real": cloud, "samples": cloud[:50] * 0 + cloud.mean(0) + 0.01})).astype(int)
    blue = (picture[..., 2] - picture[..., 0] > 80)[40:-40, 40:-40]
    orange = (picture[..., 0] - picture[..., 2] > 120)[40:-40, 40:-40]
    assert blue.any() and orange.any() and orange.sum() < 40_000
    if name == "grid":
        rows, columns = orange.nonzero()
        assert abs(rows.mean() - 174) < 15 and abs(columns.mean() - 174) < 15, "their mean is the middle"
