"""Sentences to vectors: the words that a model knows, and an encoder trained with pictures.

The encoder learns from captions alone: to find each picture's caption in the batch and each caption's picture
(Radford et al. 2021, arXiv 2103.00020, figure 3); then it stays as it is while a generator learns from it.
"""

import dataclasses
import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.common.features import LAST, EfficientNetLite
from models.common.frozen_text import Frozen
from translate.config import TextConfig
from translate.reading import LONGEST, Reading, beginning
from translate.task import DataInfo, Task, UserError

PAD, UNKNOWN, START = 0, 1, 2  # numbers of the first three pieces of every vocabulary
LENGTH = 48  # pieces of a sentence; of the flowers' captions 1 in 3,000 has more
GIVEN = 128  # numbers of a word in a file of word vectors


class Words:
    """Text to numbers with a fixed vocabulary (WordPiece, by the tokenizers package)."""

    def __init__(self, vocabulary: tuple[str, ...]):
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

        numbers = {piece: number for number, piece in enumerate(vocabulary)}
        self.vocabulary = vocabulary
        self.tokenizer = Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
        steps = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
        self.tokenizer.normalizer = normalizers.Sequence(steps)
        self.tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()

    def read(self, text: str) -> Reading:
        """Any text: small letters, no accents; punctuation is no word."""
        encoded = self.tokenizer.encode(beginning(text))
        words: dict[int, tuple[str, bool]] = {}
        cleaned = self.tokenizer.normalizer.normalize_str(beginning(text))
        spans = self.tokenizer.pre_tokenizer.pre_tokenize_str(cleaned)
        for piece, number, place in zip(encoded.tokens, encoded.ids, encoded.word_ids, strict=True):
            word = spans[place][0]
            whole = number != UNKNOWN and piece == word
            words[place] = word, whole and words.get(place, ("", True))[1]
        for place in encoded.word_ids[LENGTH - 1 :]:  # after START; a word that is cut was not read
            words.pop(place, None)
        counted = [
            (word, whole)
            for word, whole in words.values()
            if any(c.isalnum() for c in word) or not (whole or word.isascii())  # no commas, but emoji
        ]
        pieces = [START, *encoded.ids]
        return Reading(
            pieces[:LENGTH],
            [word for word, whole in counted if whole],
            [word for word, whole in counted if not whole],
            len(pieces) > LENGTH or len(text) > LONGEST,
        )

    def __call__(self, texts: list[str]) -> Tensor:
        """[B, LENGTH] int64, padded with PAD."""
        rows = [self.read(text).pieces for text in texts]
        return torch.tensor([row + [PAD] * (LENGTH - len(row)) for row in rows])


class TextEncoder(nn.Module):
    """A convolution over three pieces, a layer of transformer (Vaswani et al. 2017), a mean: pieces [B, T] to
    sentences [B, width].

    The convolution ties words to their neighbours: on `birds`, after 400 updates of 64, a perceptron reads
    0.87 of the colours of new captions' parts from their vectors, and 0.75 without it. One layer learns
    sooner than three: held-out loss 3.0, not 3.6, in 0.61 of the time.
    """

    def __init__(self, pieces: int, width: int = 256, depth: int = 1, heads: int = 4, given: int = 0):
        super().__init__()
        self.pieces = nn.Embedding(pieces, given or width, padding_idx=PAD)
        self.lift = nn.Linear(given, width) if given else nn.Identity()
        self.near = nn.Conv1d(width, width, 3, padding=1)
        self.places = nn.Parameter(0.02 * torch.randn(LENGTH, width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        self.out = nn.Linear(width, width)
        nn.init.normal_(self.pieces.weight, std=0.5)  # 0.02 learns nothing for hundreds of updates
        if given:
            nn.init.zeros_(self.pieces.weight.requires_grad_(False))
            nn.init.normal_(self.lift.weight, std=0.5 / given**0.5)
            nn.init.zeros_(self.lift.bias)
        with torch.no_grad():
            self.pieces.weight[PAD] = 0

    def words(self, numbers: Tensor) -> Tensor:
        """[B, LENGTH] to a vector of each piece, in its sentence: [B, T, width], zeros where there is none.

        T is the length of the longest, on a CPU.
        """
        length = numbers.shape[1]
        # Nothing is computed for places that all leave empty; on a GPU waiting for the number costs more.
        if numbers.device.type == "cpu" and not torch.compiler.is_exporting():
            length = int((numbers != PAD).sum(1).max())
        numbers = numbers[:, :length]
        x = self.lift(self.pieces(numbers)) * (numbers != PAD).unsqueeze(2)
        x = x + F.gelu(self.near(x.transpose(1, 2))).transpose(1, 2) + self.places[:length]
        x = self.layers(x, src_key_padding_mask=numbers == PAD)
        return x * (numbers != PAD).unsqueeze(2)

    def forward(self, numbers: Tensor) -> Tensor:
        return self.out(self.words(numbers).sum(1) / (numbers != PAD).sum(1, keepdim=True))


def word_vectors(file: Path, vocabulary: tuple[str, ...]) -> Tensor:
    """The vectors [len(vocabulary), GIVEN] of words in a file: float `vectors` [N, GIVEN] and, in its
    metadata, `words`, a JSON list of N; zeros for others. Raises UserError for another file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            words, vectors = json.loads(opened.metadata()["words"]), opened.get_tensor("vectors").float()
        place = {word: number for number, word in enumerate(words)}
        zero = vectors.new_zeros(GIVEN)
        found = torch.stack([vectors[place[w]] if w in place else zero for w in vocabulary])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"--text-words {file} holds no vectors of words ({error})") from None
    found[PAD] = 0
    return found


class PictureEncoder(nn.Module):
    """Pictures [B, C, H, W], brought to 64 px, to [B, width]: what the captions are learned against."""

    def __init__(self, colours: int, width: int = 256, channels: int = 32):
        super().__init__()
        c, layers = channels, []
        for inputs, outputs in ((colours, c), (c, 2 * c), (2 * c, 4 * c), (4 * c, 8 * c)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs)]
            layers += [nn.LeakyReLU(0.2, True)]
        self.layers = nn.Sequential(*layers, nn.Flatten(2))
        # What all pictures share is taken away, or the first 200 updates find no difference between them.
        self.out = nn.Sequential(nn.Linear(8 * c * 16, width), nn.BatchNorm1d(width, affine=False))

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, (64, 64), mode="bilinear", antialias=True) if x.shape[-1] != 64 else x
        return self.out(self.layers(x).flatten(1))


class PhotographEncoder(nn.Module):
    """Pictures [B, C, H, W], brought to 128 px, to [B, width], by what EfficientNet-lite0 (or lite2) makes of
    them; or what `features` gave for pictures before.

    That network, with its ImageNet weights, stays as it is and is no part of the module. Of five depths of it
    the means are taken, of the first four over the middle of the picture too (a flower's centre); a linear
    layer learns. On `flowers.zip`, 1,000 updates of 64, captions find 0.34 of 149 new photographs among 99
    others, and against `PictureEncoder` 0.21. Raises UserError where the network is missing.
    """

    def __init__(self, width: int = 256, version: str = "lite0"):
        super().__init__()
        self.network = EfficientNetLite(version, "--text-sight imagenet", "--text-sight plain")
        channels = 2 * sum(self.network.stages.values()) + LAST
        norms = (nn.BatchNorm1d(n, affine=False) for n in (channels, width))
        self.out = nn.Sequential(next(norms), nn.Linear(channels, width), next(norms))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.features(x) if x.dim() == 4 else x)

    def features(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, F], before anything learned."""
        if x.shape[-1] != 128:  # also where the network was trained at more: a quarter of the time
            x = F.interpolate(x, (128, 128), mode="bilinear", antialias=x.shape[-1] > 128)
        maps = self.network(x, last=True)
        middles = [m[..., (n := m.shape[-1] // 4) : -n, n:-n] for m in maps[:-1]]
        return torch.cat([part.float().mean((2, 3)) for part in (*maps, *middles)], 1)


def shifted(x: Tensor, most: int) -> Tensor:
    """Each picture of [B, C, H, W] moved by up to `most` pixels, its edge mirrored; of the same shape."""
    height, width = x.shape[2:]
    places = torch.randint(2 * most + 1, (x.shape[0], 2)).tolist()
    padded = F.pad(x, [most] * 4, mode="reflect")
    moved = [one[:, i : i + height, j : j + width] for one, (i, j) in zip(padded, places, strict=True)]
    return torch.stack(moved)


class Pairing(nn.Module):
    """What sentences are learned against: a picture encoder, plain or of photographs, and the contrast."""

    def __init__(self, colours: int, width: int, sight: str = "plain"):
        super().__init__()
        version = {"imagenet": "lite0", "imagenet-lite2": "lite2"}.get(sight)
        self.sight = PhotographEncoder(width, version) if version else PictureEncoder(colours, width)
        self.contrast = Contrast()
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))  # that it has learned from

    def forward(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        return self.contrast(self.sight(pictures), sentences)


class Contrast(nn.Module):
    """The symmetric loss of pairs in a batch, with its temperature, at most 100 (Radford et al. 2021)."""

    def __init__(self):
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """[B, width] both; row i belongs to row i."""
        return self.each(pictures, sentences).mean()

    def each(self, pictures: Tensor, sentences: Tensor) -> Tensor:
        """The loss of every pair, [B]."""
        pictures, sentences = F.normalize(pictures.float(), dim=1), F.normalize(sentences.float(), dim=1)
        logits = self.log_scale.exp().clamp(max=100) * pictures @ sentences.T
        truth = torch.arange(len(logits), device=logits.device)
        found, back = (F.cross_entropy(part, truth, reduction="none") for part in (logits, logits.T))
        return (found + back) / 2


class FromText(Task):
    """What methods that draw captions share: the first `text_steps` updates train the text encoder.

    With `--text-encoder` there are none of these. `self.text_width` is that of a sentence. Raises UserError
    where that encoder cannot be had.
    """

    data, takes = "captions", ("text", "noise")
    log_odds = True  # what D answers; else a score (hinge)
    frozen: Frozen | None = None

    def __init__(self, config: TextConfig, info: DataInfo):
        super().__init__(config, info)
        if config.text_encoder == "scratch":
            self.text_width, self.text_steps = config.words, config.text_steps
            self.tokenizer = Words(info.vocabulary)
            given = GIVEN if config.text_words else 0
            self.text = TextEncoder(len(info.vocabulary), config.words, given=given)
            if config.text_words and config.text_words.exists():  # else they come with the weights
                self.text.pieces.weight.copy_(word_vectors(config.text_words, info.vocabulary))
            self.pairing = Pairing(info.channels["image"], config.words, config.text_sight)
        else:
            self.frozen = Frozen(config.text_encoder, config.text_revision)
            self.text_width, self.text_steps, self.text = self.frozen.width, 0, nn.Identity()
            self.config = dataclasses.replace(config, text_revision=self.frozen.revision)

    @property
    def begins(self) -> int:
        return self.text_steps

    def text_optimizer(self) -> dict[str, torch.optim.Optimizer]:
        """Of the encoder and what it learns against; none where it is frozen from the start."""
        if self.frozen:
            return {}
        if not self.text.pieces.weight.any():
            raise UserError(f"--text-words {self.config.text_words}: there is no such file of word vectors")
        learned = [p for p in (*self.text.parameters(), *self.pairing.parameters()) if p.requires_grad]
        return {"text": torch.optim.Adam(learned, self.config.text_rate, fused=True)}

    def lr_scale(self, t: int, name: str) -> float:
        """A half cosine for the text, then `--lr-schedule` for the pictures."""
        if t < self.text_steps:
            return 0.5 * (1 + math.cos(math.pi * t / self.text_steps))
        return self.scheduled(t - self.text_steps, self.config.steps - self.text_steps)

    def learn_text(self, batch: dict, update: Callable) -> dict[str, Tensor]:
        """One update of the encoder: each picture finds its caption in the batch, and back.

        Shifted pictures are harder to learn by heart: on 5,500 birds with one caption each, batches of 64,
        the loss on other birds in sixteens is 1.6 to 1.7 after 800 to 1,000 updates; without shifts it is 2.3
        at best, after some 300, and 4.2 at last.
        """
        numbers, x = self.tokenizer(batch["caption"]).to(batch["image"].device), batch["image"]
        if len(x) == 1:
            warnings.warn(
                "--batch-size 1: captions are learned by telling pictures apart; use 2 or more", stacklevel=2
            )
        contrast = self.pairing.train(len(x) > 1)(shifted(x, x.shape[-1] // 8), self.text(numbers))
        update("text", contrast)
        self.pairing.updates += 1
        return {"contrast": contrast.detach()}

    def damsm(self, pictures: Tensor, sentences: Tensor, real: Tensor) -> Tensor:
        """The DAMSM loss (Xu et al. 2018, arXiv 1711.10485, eq. 13) of whole sentences, times its weight.

        The loss by which the encoder was trained, now of G's pictures [B, C, H, W] and their sentences [B,
        width]. Deviation: pair by pair, only what exceeds the loss of the real picture [B, C, H', W'] counts;
        without that limit G draws noise that the encoder takes for more than real birds show. Raises
        UserError where the encoder was never trained.
        """
        if not self.config.lambda_text:
            return pictures.new_zeros(())
        if self.frozen or not self.pairing.updates:
            why = "reads text alone" if self.frozen else "has not seen pictures"
            raise UserError(
                f"--lambda-text {self.config.lambda_text:g} needs a text encoder trained here, but it {why}: "
                "use --lambda-text 0, or --text-encoder scratch with --text-steps, or with --init-from a run "
                "that had them"
            )
        sight, contrast = self.pairing.eval().sight, self.pairing.contrast
        with torch.no_grad():
            enough = contrast.each(sight(real), sentences)
        moved = shifted(pictures, pictures.shape[-1] // 8)
        return self.config.lambda_text * F.relu(contrast.each(sight(moved), sentences) - enough).mean()

    def logged(self, damsm: Tensor) -> dict[str, Tensor]:
        """What `step` returns of it: nothing where it is off."""
        return {"damsm": damsm.detach()} if self.config.lambda_text else {}

    @torch.no_grad()
    def sentences(self, captions: list[str]) -> Tensor:
        """The frozen encoder's vectors [B, width], float32; with `--text-words` of length √width, as z has.

        Contrast learns directions alone: numbers of 0.4, beside z's of 1, left D and G slow to read them.
        """
        if self.frozen:
            return self.frozen(captions).to(next(self.parameters()).device)
        return self.embed(self.tokenizer(captions).to(self.text.places.device))

    def embed(self, pieces: Tensor) -> Tensor:
        """What the encoder learned here makes of numbers of pieces [B, T]; see `sentences`."""
        e = self.text(pieces).float()
        return F.normalize(e, dim=1) * self.text_width**0.5 if self.config.text_words else e

    def reading(self, caption: str) -> Reading:
        """What is understood of a caption."""
        return self.frozen.read(caption, LONGEST) if self.frozen else self.tokenizer.read(caption)

    def update_average(self, t: int) -> None:
        """Counts anew from where the generator starts to learn, so as to forget how it began."""
        super().update_average(t if t < self.text_steps else t - self.text_steps)

    def paint(self, z: Tensor, e: Tensor) -> Tensor:
        """Noise [B, Z] and sentences [B, width] to pictures [B, C, size, size] in [-1, 1]."""
        raise TypeError(f"{type(self).__name__} must define paint()")

    def generate(self, text: list[str], noise: Tensor) -> Tensor:
        """B captions and noise [B, Z] to pictures [B, C, size, size] in [-1, 1]."""
        return self.paint(noise, self.sentences(text))
