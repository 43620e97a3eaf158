"""Word vectors for `--text-words`, from the first layer of a trained text model.

    python -m recipes.word_vectors --model all-MiniLM-L6-v2 --data cub_birds.zip --output words.safetensors

Every word that the model knows whole, and every word of the captions (the mean of its pieces), in the 128
directions in which the model's words differ most: MiniLM's 384 numbers (Apache-2.0) in a third of the space.
There the nearest words of captions to "azure" are aquamarine, indigo and aqua; the model's last layer, which
reads a word alone, says web, wintry and aquamarine.
"""

import json
import re
import sys
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from translate.config import UserError

NUMBERS = 128  # of a word


@dataclass(frozen=True, kw_only=True)
class Settings:
    model: str  # a transformers text model with a WordPiece vocabulary: Hub id or folder
    data: str  # captions whose words are to be in the file
    output: Path = Path("words.safetensors")


def reduced(vectors, count: int = NUMBERS):
    """Vectors [N, D] less their mean, along their first principal axes, over the deviation of all numbers."""
    import torch

    x = vectors.double() - vectors.double().mean(0)
    _, axes = torch.linalg.eigh(x.T @ x)  # the largest come last
    x = x @ axes[:, -count:].flip(1)
    return (x / x.std()).float()


def main(settings: Settings) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModel, AutoTokenizer

    import datasets
    from datasets.words import vocabulary

    try:
        tokenizer = AutoTokenizer.from_pretrained(settings.model)
        table = AutoModel.from_pretrained(settings.model).get_input_embeddings().weight.detach()
    except (OSError, ValueError) as error:
        raise UserError(
            f"--model {settings.model} cannot be had ({' '.join(str(error).split())[:150]})"
        ) from None
    captions = datasets.load("captions", settings.data, size=16).captions
    own = vocabulary(chain.from_iterable(captions))
    numbers = tokenizer.get_vocab()
    whole = [word for word in sorted(numbers, key=numbers.get) if re.fullmatch("[a-z]{2,}", word)]
    words = list(dict.fromkeys([*own, *whole]))
    pieces = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in words]
    vectors = reduced(torch.stack([table[ids].mean(0) for ids in pieces]))
    save_file({"vectors": vectors.half()}, settings.output, {"words": json.dumps(words)})
    print(f"{settings.output}: {len(words):,} words, of which {len(own):,} are of the captions")


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    sys.exit(exit_code(lambda: main(tyro.cli(Settings, description=__doc__))))
