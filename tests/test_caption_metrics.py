"""Scores of pictures made of captions, on pictures whose answers are known."""

import pytest
import torch

import datasets
from translate.config import UserError
from translate.metrics import captions as metric
from translate.metrics.reader import Reader


class Told(metric.Judge):
    """A judge that knows: picture i is constant i / 200, and so is its caption."""

    def __init__(self, wrong: int = 0):
        super().__init__(("[PAD]", "[UNK]", "[CLS]"), width=8)
        self.wrong = wrong

    def see(self, pictures, batch=64):
        return self.vectors((pictures[:, 0, 0, 0] * 200).round().long())

    def read(self, captions, batch=256):
        numbers = torch.tensor([int(told) for told in captions])
        return self.vectors(torch.where(numbers < self.wrong, numbers + 500, numbers))

    def vectors(self, numbers):
        return torch.nn.functional.one_hot(numbers, 1000).float()


def test_r_precision_counts_own_captions_that_are_nearest():
    pictures = torch.arange(150).view(-1, 1, 1, 1).expand(-1, 3, 4, 4) / 200
    captions = [str(i) for i in range(150)]
    assert metric.r_precision(Told(), pictures, captions).value == 1
    score = metric.r_precision(Told(wrong=30), pictures, captions)
    assert score.value == pytest.approx(0.8) and score.count == 150 and "99" in score.protocol
    assert metric.r_precision(Told(), pictures.roll(1, 0), captions).value < 0.05, "captions shuffled"
    with pytest.raises(ValueError, match="needs 99 captions of other pictures, not 50"):
        metric.r_precision(Told(), pictures, captions, ["a"] * 100 + ["b"] * 50)


def test_r_precision_draws_from_other_kinds_only():
    """Captions equal within a kind do no harm."""
    pictures = (torch.arange(300) // 2).view(-1, 1, 1, 1).expand(-1, 3, 4, 4) / 200
    captions = [str(i // 2) for i in range(300)]
    assert metric.r_precision(Told(), pictures, captions).value < 1, "the twin's caption may be among the 99"
    assert metric.r_precision(Told(), pictures, captions, captions).value == 1


def test_fidelity_counts_named_attributes_alone():
    reader = Reader({"wing": ("red", "blue"), "size": ("small", "large")}, size=16, width=8)
    with torch.no_grad():  # always blue, always small
        for answer, bias in (("wing", [0.0, 9.0]), ("size", [9.0, 0.0])):
            reader.answers[answer].weight.zero_()
            reader.answers[answer].bias.copy_(torch.tensor(bias))
    named = [{"wing": "blue"}, {"wing": "red", "size": "small"}, {}, {"wing": "blue", "crown": "red"}]
    shares, counts = metric.fidelity(reader, torch.zeros(4, 3, 16, 16), named)
    assert shares == {"wing": pytest.approx(2 / 3), "size": 1.0} and counts == {"wing": 3, "size": 1}


def test_diversity_by_hand():
    pictures = torch.zeros(1, 3, 3, 2, 2)
    pictures[0, 1] = 0.2
    pictures[0, 2, :, 0] = 1.0  # half of the pixels
    a, b, c = 0.2, (1 / 2) ** 0.5, ((0.8**2 + 0.2**2) / 2) ** 0.5
    assert metric.diversity(pictures).value == pytest.approx(127.5 * (a + b + c) / 3, rel=1e-4)
    assert metric.diversity(torch.ones(2, 4, 3, 2, 2)).value == 0


def test_a_judge_learns_is_saved_and_comes_back(tmp_path):
    data = datasets.load("captions", "birds:120", size=64)
    samples = [data.sample(i, torch.Generator().manual_seed(i)) for i in range(120)]
    pictures, captions = torch.stack([s["image"] for s in samples]), [s["caption"] for s in samples]
    torch.manual_seed(0)
    judge = metric.Judge(tuple(data.info["vocabulary"]), width=64)

    def batch(t):
        chosen = torch.randint(120, (24,), generator=torch.Generator().manual_seed(t)).tolist()
        return pictures[chosen], [captions[i] for i in chosen]

    before = metric.r_precision(judge, pictures, captions).value
    metric.fit(judge, batch, 90, 4e-4)
    after = metric.r_precision(judge, pictures, captions).value
    assert after > before + 0.05
    metric.save(judge, tmp_path / "judge.safetensors")
    assert metric.r_precision(metric.load(tmp_path / "judge.safetensors"), pictures, captions).value == after
    (tmp_path / "bad.safetensors").write_text("no judge")
    with pytest.raises(UserError, match="bad.safetensors is no judge"):
        metric.load(tmp_path / "bad.safetensors")
