"""The same folders scored by torch-fidelity's own command and by ours give the same numbers."""

import json
import sys

import pytest
import torch
from PIL import Image

import datasets
from translate.metrics import features, frechet, neighbours
from translate.metrics import reader as readers

fidelity = pytest.importorskip("torch_fidelity")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders of PNGs, and the same pictures as uint8 [N, 3, 32, 32]: drawn birds, and blurred others."""
    made = {}
    birds = datasets.load("images", "birds:80", size=32, flip=False)
    pictures = torch.stack([birds.sample(i, torch.Generator())["image"] for i in range(80)])
    soft = torch.nn.functional.avg_pool2d(pictures[40:], 3, 1, 1)
    for name, those in (("real", pictures[:40]), ("made", soft)):
        folder = tmp_path_factory.mktemp(name)
        made[name] = folder, features.eight_bits(those)
        for number, x in enumerate(made[name][1]):
            Image.fromarray(x.permute(1, 2, 0).numpy()).save(folder / f"{number:03d}.png")
    return made


def command(capsys, monkeypatch, folders, *flags: str) -> dict[str, float]:
    """What `fidelity --input1 MADE --input2 REAL ...` prints, in this process."""
    from torch_fidelity.fidelity import main

    words = [
        "--input1",
        folders["made"][0],
        "--input2",
        folders["real"][0],
        "--cpu",
        "--json",
        "--silent",
        "--save-cpu-ram",
    ]
    monkeypatch.setattr(sys, "argv", ["fidelity", *map(str, words), *flags, "--no-cache"])
    capsys.readouterr()
    main()
    return json.loads(capsys.readouterr().out)


def test_all_scores_through_a_network_registered_with_it(folders, capsys, monkeypatch):
    """A small reader is the network of both: distances, inception score, precision and recall."""
    from torch_fidelity.feature_extractor_base import FeatureExtractorBase

    torch.manual_seed(0)
    reader = readers.Reader({"kind": tuple("abcde")}, size=32, width=4)
    birds, answer = folders["real"][1].float() / 127.5 - 1, reader.answers["kind"]
    with torch.no_grad():
        for _ in range(20):  # its norms learn what values come
            reader(birds)
        seen = reader.eval().see(birds)
        answer.weight.copy_(torch.randn(answer.weight.shape) / seen.std(0).clamp(min=1e-3))
        answer.bias.copy_(-answer.weight @ seen.mean(0))
    net = features.ReaderFeatures("small", reader).prepared()

    class Small(FeatureExtractorBase):
        def __init__(self, name, features_list, **_):
            super().__init__(name, features_list)

        @staticmethod
        def get_provided_features_list():
            return "seen", "answers"

        @staticmethod
        def get_default_feature_layer_for_metric(metric):
            return "answers" if metric == "isc" else "seen"

        def forward(self, x):
            seen = net(x)
            found = {"seen": seen, "answers": net.logits(seen)}
            return tuple(found[name] for name in self.features_list)

    fidelity.register_feature_extractor("small", Small)
    flags = "--fid --kid --isc --prc --isc-splits 1 --kid-subsets 1 --kid-subset-size 40 --batch-size 16"
    theirs = command(capsys, monkeypatch, folders, "--feature-extractor", "small", *flags.split())
    made, real = (net(folders[name][1]) for name in ("made", "real"))
    precision, recall = neighbours.precision_recall(made, real)
    ours = {
        "frechet_inception_distance": frechet.frechet(made, real).value,
        "kernel_inception_distance_mean": frechet.kernel(made, real, subsets=1, subset_size=40).value / 1000,
        "inception_score_mean": frechet.inception_score(net.logits(made)).value,
        "precision": precision.value,
        "recall": recall.value,
    }
    assert theirs["inception_score_mean"] > 1.1 and 0 < theirs["precision"] + theirs["recall"] < 2
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], rel=1e-2), name


def test_inception_from_a_file(folders, capsys, monkeypatch, tmp_path):
    """Its own network, read by both from one file; the weights are random, those of FID are not here."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    torch.manual_seed(0)
    file = tmp_path / "weights.pth"
    with monkeypatch.context() as m:  # the network without weights
        m.setattr(torch, "load", lambda *_, **__: {})
        m.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        weights = FeatureExtractorInceptionV3("any", ["64"], file).state_dict()
    torch.save(weights, file)
    few = {name: (folder, pictures[:6]) for name, (folder, pictures) in folders.items()}
    for folder, _ in few.values():
        for number in range(6, 40):
            (folder / f"{number:03d}.png").unlink()
    flags = ["--feature-extractor-weights-path", str(file), "--feature-layer-fid", "64", "--batch-size", "6"]
    theirs = command(capsys, monkeypatch, few, "--fid", *flags)["frechet_inception_distance"]
    net = features.Inception(file, layer=64).prepared()
    made, real = (torch.cat([net(x) for x in few[name][1].split(6)]) for name in ("made", "real"))
    assert theirs > 0 and frechet.frechet(made, real).value == pytest.approx(theirs, rel=1e-2)
