"""The vocabulary of a set of captions: their frequent words, and letters to spell the others with.

It is for WordPiece (Schuster & Nakajima 2012), but counted here: the trainer of the tokenizers package breaks
ties by the order of a hash table, so its pieces differ from run to run, and a run could not be resumed.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from datasets.base import DataError

SPECIAL = ("[PAD]", "[UNK]", "[CLS]")  # their places are their numbers: 0, 1, 2
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SIZE = 3000  # words at most; 2,287 occur twice in the captions of 4,342 flowers
LEAST = 2  # times a word must occur


def vocabulary(captions: Iterable[str], size: int = SIZE) -> list[str]:
    """Pieces in the order of their numbers: special ones, letters, "##" letters inside words, words."""
    normalizer, cutter = rules()
    counts: Counter[str] = Counter()
    for caption in captions:
        counts.update(word for word, _ in cutter.pre_tokenize_str(normalizer.normalize_str(caption)))
    words = [word for word, count in counts.items() if count >= LEAST and word not in LETTERS]
    words.sort(key=lambda word: (-counts[word], word))
    return [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *words[:size]]


def words_of(file: Path) -> list[str]:
    """The words of a file of word vectors. Raises DataError for another file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return [str(word) for word in json.loads(opened.metadata()["words"])]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"--text-words {file} holds no vectors of words ({error})") from None


def rules():
    """How text is cleaned and cut into words: compatibility forms, no accents, small letters."""
    from tokenizers import normalizers, pre_tokenizers

    steps = [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    return normalizers.Sequence(steps), pre_tokenizers.BertPreTokenizer()
