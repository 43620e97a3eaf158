"""The page's words: all of them in one file, none in the code, and a page in another language from a copy."""

import ast
import json
import re
import subprocess
import sys

import pytest

from translate.config import UserError
from translate.ui import words
from translate.ui.words import ENGLISH, SCRIPTS, W

UI = ENGLISH.parent
ENGLISH_ONLY = {  # for programs, or for the terminal
    "mcp.py": "assistants read its schema",
    "api.py": "names of arguments",
    "words.py": "about a file of words, in the terminal",
    "serve": "what the terminal says",
}
NO_WORDS = {  # that look like some
    "AtoB", "Asked", "Log", "Opening", "False",  # directions, types, a setting
    "the page's own wall",  # a session
    'Basic realm="Translate"', "{}={}; Path=/; HttpOnly; SameSite=Lax",  # headers
    "() => ({{__type__: 'update', active: false}})",
    "image/png", "PNG", "JPEG", "WEBP", "WebP",  # formats
    "13px sans-serif", "translate({}px, {}px) scale({})", "{} / {}",  # of canvases and styles
    "Empty value",  # Gradio's
}  # fmt: skip
SAID = "(?:aria-label|title|alt|place" + "holder)"


def shown(text: str) -> str:
    """Of HTML what is read or heard."""
    heard = " ".join(re.findall(rf'{SAID}="([^"]*)"', text))
    return f"{re.sub(r'<[^>]*>', ' ', text)} {heard}" if "<" in text else text


def readable(text: str) -> bool:
    """Whether it is words for people."""
    rest = shown(text).replace("{}", " ").strip()
    if text in NO_WORDS or rest.startswith(("--", ".", "#", "[", "^", "(")):
        return False
    return bool(re.search(r"[A-Za-z]{2,}[,;:.]? [A-Za-z(%]", rest) or re.match(r"\W*[A-Z][a-z]+\b", rest))


def in_script(code: str) -> list[str]:
    """Words for people among the strings of a script."""
    code = re.sub(r"(?<![:\"])//.*|/\*.*?\*/", "", code)
    quoted = re.findall(r"""'([^'\n]*)'|"([^"\n]*)"|`([^`]*)`""", code)
    texts = [re.sub(r"\$\{[^{}]*(?:\{[^{}]*\})?[^{}]*\}", "{}", max(parts, key=len)) for parts in quoted]
    css = re.compile(r"^[a-z.#:]*\[|^[a-z-]+ [a-z.]*$")  # selectors, classes
    return [text for text in texts if readable(text) and not css.match(text)]


def is_code(text: str) -> bool:
    return bool(re.search(r"[{};]\s*\n|=>|\w: [^;]+;", text))


def told(source: str) -> list[str]:
    """Words for people among the strings of a module."""
    tree, found, passed = ast.parse(source), [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                passed.add(first.value)  # a docstring
            if getattr(node, "name", "") in ENGLISH_ONLY:
                passed |= {*ast.walk(node)}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "split":
            passed.add(node.func.value)  # lists of words that are looked for
        if isinstance(node, ast.JoinedStr):
            passed |= {value for value in node.values if isinstance(value, ast.Constant)}
            specs = [value.format_spec for value in node.values if isinstance(value, ast.FormattedValue)]
            passed |= {part for spec in specs if spec for part in ast.walk(spec)}
    for node in ast.walk(tree):
        if node in passed:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(v.value if isinstance(v, ast.Constant) else "{}" for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if is_code(text) and "<button" not in text:
            found += in_script(text) if "=>" in text or "const " in text else []
        elif readable(text):
            found.append(text)
    return found


def test_words_in_code_are_seen():
    assert told('gr.Button("Press me")') and told('raise UserError(f"there is no {name} here")')
    assert told("BOARD = '<button aria-label=\"Thick pen\">'") and told('gr.Tab("Start", id="start")')
    assert in_script('say("Copied.");') and in_script("title = `Tick ${one.title}`;")
    assert not told('def f():\n    """What it does."""\n    return W.a.b.format(x=f"{y} px")')


@pytest.mark.parametrize("file", sorted(UI.glob("*.py")), ids=lambda file: file.stem)
def test_no_words_in_modules(file):
    assert file.name in ENGLISH_ONLY or told(file.read_text()) == []


@pytest.mark.parametrize("file", sorted((UI / "static").glob("*.js")), ids=lambda file: file.stem)
def test_no_words_in_scripts(file):
    assert in_script(file.read_text()) == []


def test_every_word_is_used_and_every_use_has_one():
    used = set()
    for file in UI.glob("*.py"):
        text = file.read_text()
        used |= {*re.findall(r"\bW\.([a-z]+)\.(\w+)", text)}
        used |= (
            {*re.findall(r"(?<!\.)\bwords\.([a-z]+)\.([a-z]\w*)", text)} if file.name == "page.py" else set()
        )
    for file in (UI / "static").glob("*.js"):
        text = file.read_text()
        used |= {*re.findall(r"\bwords\.([a-z]+)\.(\w+)", text)}
        for section, rest in re.findall(
            r"const W = window\.words\.(\w+);(.*?)(?=^window\.|\Z)", text, re.S | re.M
        ):
            used |= {(section, key) for key in re.findall(r"\bW\.(\w+)", rest)}
    used.add(("alive", "language"))  # in words.script
    assert used == {(section, key) for section, texts in vars(W).items() for key in vars(texts)}


def german(tmp_path, text: str):
    file = tmp_path / "german.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_copy_with_other_words_is_another_page(tmp_path):
    """In a process of its own: the words are read before the tabs are imported."""
    text = ENGLISH.read_text(encoding="utf-8").replace('model = "Model"', 'model = "Modell"')
    text = text.replace('forget_all = "Forget all"', 'forget_all = "Alles </script> vergessen"')
    code = (
        "import sys; from pathlib import Path; from translate.ui import words; words.use(Path(sys.argv[1]))\n"
        "from translate.ui.words import W, script; print(W.common.model); print(script())"
    )
    command = [sys.executable, "-c", code, str(german(tmp_path, text))]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("Modell\n") and "</script>" not in said
    found = json.loads(said.partition("window.words = ")[2].partition(";\n")[0])
    assert found["strip"]["forget_all"] == "Alles </script> vergessen" and tuple(found) == SCRIPTS


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('model = "Model"\n', "", r"\[common\] model is missing; in English it is 'Model'"),
        ("{count} models in {time}", "{anzahl} Modelle", r"\[compare\] made_in has {anzahl}.*: count, time"),
        ("{count} models in {time}", "{count Modelle", r"\[compare\] made_in: "),
        ('model = "Model"', "model = Modell", "is no TOML in UTF-8"),
    ],
)
def test_a_copy_that_cannot_serve_gets_a_sentence(tmp_path, old, new, sentence):
    text = ENGLISH.read_text(encoding="utf-8")
    assert old in text
    with pytest.raises(UserError, match=sentence):
        words.use(german(tmp_path, text.replace(old, new)))
    with pytest.raises(UserError, match="cannot be read"):
        words.use(tmp_path / "none.toml")
    assert W.common.model == "Model"
