"""The page's words: `W.caption.hint` is what english.toml has under [caption], and `window.words` in scripts.

A page in another language is one translated copy of that file, see `use`. What other parts of the program say
(sentences about unreadable files, the doctor's, models' cards) and the tools for assistants stay English.
"""

import json
import string
import tomllib
from pathlib import Path
from types import SimpleNamespace

from translate.config import UserError

ENGLISH = Path(__file__).parent / "english.toml"
SCRIPTS = ("viewer", "strip", "chooser", "folders", "sliders", "calm", "board", "vote", "alive", "access")
FILL = r"window.fill = (text, named) => text.replace(/{(\w+)}/g, (_, name) => named[name]);"
W = SimpleNamespace()  # of a namespace for each section


def read(path: Path) -> dict[str, dict[str, str]]:
    """The words of a file. Raises UserError where it is none."""
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--words {path} cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"--words {path} is no TOML in UTF-8: {error}") from None
    return {name: texts for name, texts in found.items() if isinstance(texts, dict)}


def fields(text: str) -> set[str]:
    """Names in braces. Raises ValueError where braces do not pair."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def use(path: Path) -> None:
    """Say it with the words of another file, before a tab is imported. Raises UserError where some are
    missing, or would be filled in with what is not there.
    """
    english, other = read(ENGLISH), read(path)
    for section, texts in english.items():
        for key, text in texts.items():
            place, given = f"--words {path}: [{section}] {key}", other.get(section, {}).get(key)
            if not isinstance(given, str):
                raise UserError(f"{place} is missing; in English it is {text!r}")
            try:
                strange = fields(given) - fields(text)
            except ValueError as error:
                raise UserError(f"{place}: {error}") from None
            if strange:
                known = ", ".join(sorted(fields(text))) or "none"
                raise UserError(f"{place} has {{{strange.pop()}}}; what can be filled in: {known}")
    vars(W).update({section: SimpleNamespace(**other[section]) for section in english})


def script() -> str:
    """The browser's words, as a script that comes before those that use them."""
    theirs = {section: vars(getattr(W, section)) for section in SCRIPTS}
    text = json.dumps(theirs, ensure_ascii=False).replace("<", "\\u003c")
    return f"window.words = {text};\n{FILL}\ndocument.documentElement.lang = words.alive.language;"


use(ENGLISH)
