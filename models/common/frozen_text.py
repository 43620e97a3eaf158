"""Sentences to vectors by a text model of the transformers package, frozen: `--text-encoder ID|DIR`.

CLIP's text half, T5's encoder, MiniLM, BERT and their kin. Each sentence is computed once and kept on disk.
"""

import contextlib
import hashlib
import os
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from translate.config import UserError
from translate.reading import Reading, beginning

BATCH = 64


def cache_folder() -> Path:
    """Where vectors are kept: `$XDG_CACHE_HOME/translate`, or `~/.cache/translate`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "translate"


class VectorCache:
    """Vectors by sentence, on disk. Where they cannot be kept they are computed anew, with a warning."""

    def __init__(self, model: str, width: int):
        import diskcache

        name = hashlib.sha256(model.encode()).hexdigest()[:16]
        self.width, self.folder = width, cache_folder() / f"sentences-{name}"
        try:
            self.kept = diskcache.Cache(self.folder, eviction_policy="none")
        except (OSError, sqlite3.Error) as error:  # diskcache's tables are sqlite's
            warnings.warn(f"sentences cannot be kept in {self.folder} ({error})", stacklevel=2)
            self.kept = None

    def get(self, sentences: list[str]) -> dict[str, Tensor]:
        """Those that are there, float32 [width] each."""
        found = {s: self.kept.get(s) for s in sentences} if self.kept is not None else {}
        return {s: torch.frombuffer(bytearray(v), dtype=torch.float32) for s, v in found.items() if v}

    def put(self, found: dict[str, Tensor]) -> None:
        if self.kept is not None and found:
            with self.kept.transact():  # all at once; several processes write to it
                for sentence, vector in found.items():
                    self.kept[sentence] = vector.numpy().tobytes()


class Frozen:
    """A tokenizer and a text model by Hub id or folder; the model is loaded when a sentence is new.

    Raises UserError where it cannot be had or is no text model.
    """

    def __init__(self, name: str, revision: str | None = None):
        from transformers import AutoConfig, AutoTokenizer

        self.name, self.model = name, None
        with usable(self.name):
            facts = AutoConfig.from_pretrained(name, revision=revision)
            self.revision = getattr(facts, "_commit_hash", None) or revision
            self.tokenizer = AutoTokenizer.from_pretrained(name, revision=self.revision)
        facts = getattr(facts, "text_config", None) or facts
        self.kind = facts.model_type
        self.width = getattr(facts, "hidden_size", None) or getattr(facts, "d_model", 0)
        if not self.width or getattr(facts, "num_channels", None):
            raise UserError(f"--text-encoder {name} is a {self.kind}, not a text model")
        places = getattr(facts, "max_position_embeddings", 512)
        self.length = min(self.tokenizer.model_max_length, places, 512)
        self.cache = VectorCache(f"{name} {self.revision or self.version()}", self.width)

    def version(self) -> str:
        """What tells two states of a local folder apart."""
        files = sorted(Path(self.name).glob("*.safetensors")) + sorted(Path(self.name).glob("*.bin"))
        return " ".join(f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}" for f in files)

    def load(self):
        """The model, float32, in eval mode, on the CPU; only safetensors, which run nothing."""
        import transformers

        transformers.utils.logging.disable_progress_bar()
        kinds = {"clip_text_model": "CLIPTextModel", "t5": "T5EncoderModel", "mt5": "MT5EncoderModel"}
        found = getattr(transformers, kinds.get(self.kind, "AutoModel"))
        with usable(self.name):
            options = dict(revision=self.revision, use_safetensors=True)
            return found.from_pretrained(self.name, **options).float().eval().requires_grad_(False)

    def pieces(self, sentences: list[str]):
        options = dict(padding=True, truncation=True, max_length=self.length, return_tensors="pt")
        return self.tokenizer([sentence or " " for sentence in sentences], **options)

    @torch.no_grad()
    def __call__(self, sentences: list[str]) -> Tensor:
        """[B, width], each of mean 0 and variance 1: models differ a thousandfold in scale."""
        found = self.cache.get(list(dict.fromkeys(sentences)))
        new = [sentence for sentence in dict.fromkeys(sentences) if sentence not in found]
        if new:
            self.model = self.model or self.load()
            computed = torch.cat([self.compute(new[i : i + BATCH]) for i in range(0, len(new), BATCH)])
            fresh = dict(zip(new, computed, strict=True))
            self.cache.put(fresh)
            found |= fresh
        return torch.stack([found[sentence] for sentence in sentences])

    def compute(self, sentences: list[str]) -> Tensor:
        """CLIP's vector at the end of the text; else the mean over the pieces, as of sentence encoders."""
        pieces = self.pieces(sentences)
        with torch.autocast("cpu", enabled=False):
            out = self.model(**{k: v for k, v in pieces.items() if k in ("input_ids", "attention_mask")})
        if self.kind == "clip_text_model":
            return F.layer_norm(out.pooler_output, (self.width,))
        mask = pieces["attention_mask"].unsqueeze(2).float()
        return F.layer_norm((out.last_hidden_state * mask).sum(1) / mask.sum(1), (self.width,))

    def read(self, text: str, longest: int) -> Reading:
        """What was understood, words as spaces part them."""
        strange = self.tokenizer.unk_token_id
        numbers = self.tokenizer(beginning(text, longest), truncation=False, verbose=False)["input_ids"]
        words = [word.strip(".,;:!?\"'()") for word in beginning(text, longest).split()]
        words = [word for word in words if word][: self.length]
        each = self.tokenizer(words, add_special_tokens=False)["input_ids"] if words else []
        unknown = [strange is not None and strange in ids for ids in each]
        return Reading(
            numbers[: self.length],
            [word for word, lost in zip(words, unknown, strict=True) if not lost],
            [word for word, lost in zip(words, unknown, strict=True) if lost],
            len(numbers) > self.length or len(text) > longest,
        )


@contextlib.contextmanager
def usable(name: str) -> Iterator[None]:
    """Inside, errors of the Hub, the network and the model's files become one UserError."""
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError) as error:
        known = Path(name).expanduser().is_dir()
        why = " ".join(str(error).split())[:150] if known else "no such model, or the Hub is out of reach"
        raise UserError(
            f"--text-encoder {name} cannot be used ({why}); "
            "name a transformers text model by Hub id or folder, or leave it at scratch"
        ) from None
