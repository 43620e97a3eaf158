"""The benchmarks of small models run, at their tiniest."""

import numpy as np
import pytest
from PIL import Image

import datasets
from benchmarks import small, toys
from datasets.arrays import open_arrays
from tests.test_tables import idx


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("mnist"), np.random.default_rng(0)
    idx(folder / "train-images-idx3-ubyte", random.integers(0, 256, (256, 28, 28)))
    idx(folder / "train-labels-idx1-ubyte", random.integers(0, 10, 256))
    return folder


@pytest.mark.parametrize("case", ["gan", "wgan_gp", "vae"])
def test_both_loops_step(case, mnist):
    data = datasets.load("images", str(mnist), size=28, resize="resize", flip=False)
    row = small.measure(case, data, open_arrays(mnist).parts["train"], steps=5, rounds=1)
    assert row["usual"] > 0 and row["ours"] > 0 and row["ratio"] == row["usual"] / row["ours"]


def test_the_usual_way_to_the_data_gives_the_same_pictures(mnist):
    """What is timed against ours is the same work: the same 256 pictures in an epoch, in [-1, 1]."""
    data = datasets.load("images", str(mnist), size=28, resize="resize", flip=False)
    batches = small.loader(open_arrays(mnist).parts["train"], 64, normalised=True)
    usual = sum(next(batches)[0].double().sum() for _ in range(4))
    ours = sum(data.sample(i, None)["image"].double().sum() for i in range(256))
    assert usual.item() == pytest.approx(ours.item(), abs=1e-2)


def test_the_table_of_modes(tmp_path, capsys):
    settings = toys.Settings(
        rows=("GAN, min", "unrolled"), steps=2, batch_size=8, output=tmp_path, page=tmp_path / "toys.md"
    )
    toys.main(settings)
    page = (tmp_path / "toys.md").read_text()
    assert page.count("| ring |") == 2 and "of 8" in page and "--batch-size 8" in page
    assert Image.open(tmp_path / "toys.png").size == (2 * 428, 428)


def test_modes_are_counted():
    """A G that draws five of eight modes exactly has five."""
    import torch

    from datasets import points

    class Five:
        noise_shape = (1,)

        def generate(self, noise):
            return torch.tensor(points.CIRCLE)[torch.arange(len(noise)) % 5]

    found = toys.judged(Five(), "ring")
    assert (found["modes"], found["of"], found["close"]) == (5, 8, 1.0)
