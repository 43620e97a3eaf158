"""Which models there are: the folders of `pretrained/` and `runs/`, read without importing torch."""

import functools
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from translate.config import UserError, nearest

HERE = Path(__file__).resolve().parents[2]
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
HUB_FILES = ["config.json", "*.safetensors", "README.md", "*.png", "examples/*.jpg"]  # nothing that could run
HUB_FILES += ["masks/*.png"]


def roots() -> list[Path]:
    """Where models are looked for: shipped ones, then the runs of this folder, then those of the checkout."""
    found = [HERE / "pretrained", Path("runs"), HERE / "runs"]
    return [path for i, path in enumerate(found) if path.resolve() not in [p.resolve() for p in found[:i]]]


@dataclass(frozen=True)
class Entry:
    """A model folder as a list shows it."""

    name: str  # what --model takes
    folder: Path
    facts: dict = field(repr=False)  # config.json

    @property
    def task(self) -> str:
        return str(self.facts.get("task", "?"))

    @property
    def size(self) -> int | None:
        return self.facts.get("config", {}).get("size")

    @property
    def steps(self) -> int:
        return self.facts.get("steps", 0)

    @property
    def domains(self) -> list[str]:
        """Human names of what is translated into what, e.g. `["line", "openmoji"]`; may be empty."""
        names = self.facts.get("info", {}).get("names", {})
        return [names[key] for key in ("a", "b") if key in names]

    @property
    def method(self) -> str:
        """How it was trained: config.json's `method`, for networks trained by another task, or the task."""
        return str(self.facts.get("method") or self.task)

    @property
    def card(self) -> str:
        """The model card's Markdown without its front matter and title; empty where there is none."""
        try:
            text = (self.folder / "README.md").read_text(errors="replace")
        except OSError:
            return ""
        text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
        return re.sub(r"\A\s*# .*\n", "", text).strip()

    @property
    def description(self) -> str:
        """The card's first sentence in plain words, or what config.json says."""
        for paragraph in self.card.split("\n\n"):
            if paragraph.strip() and not re.match(r"\s*([#!|<>*-]|\d+\.|```)", paragraph):
                plain = re.sub(r"!?\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", " ".join(paragraph.split()))
                return re.split(r"(?<=[.!?]) (?=[A-Z])", plain)[0]
        return f"{self.method}: {' to '.join(self.domains)}" if self.domains else self.method

    @property
    def preview(self) -> Path | None:
        """A picture of what the model does: `preview.png`, or a run's newest preview."""
        shipped = self.folder / "preview.png"
        return shipped if shipped.exists() else max(self.folder.glob("previews/step-*.png"), default=None)

    @property
    def examples(self) -> list[Path]:
        """Pictures to try it on."""
        found = [*self.folder.glob("examples/*.png"), *self.folder.glob("examples/*.jpg")]
        return sorted(found)


@functools.lru_cache(1024)
def _facts(path: Path, changed: int) -> dict | None:
    """A config.json, read once for every change; None where it is damaged or holds something else."""
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    config, info = (facts.get(key, {}) for key in ("config", "info")) if isinstance(facts, dict) else ("", "")
    if not isinstance(config, dict) or not isinstance(info, dict):
        return None
    kinds = {"names": dict, "classes": list, "captions": list, "channels": dict}
    size, steps = config.get("size"), facts.get("steps", 0)
    whole = isinstance(size, int | None) and isinstance(steps, int)
    lists = all(isinstance(info.get(key, kind()), kind) for key, kind in kinds.items())
    return facts if whole and lists else None


def facts_of(folder: Path) -> dict | None:
    """The folder's config.json; None where there is none that can be used."""
    path = folder / "config.json"
    try:
        return _facts(path, path.stat().st_mtime_ns)
    except OSError:
        return None


def trouble(folder: Path) -> str:
    """Why a folder is no model that can be used here, as the end of a sentence; empty where it is one."""
    from translate.task import find

    facts = facts_of(folder)
    if facts is None:
        return "its config.json is missing, damaged or of another kind; copy the folder again"
    try:
        find(str(facts.get("task")))
    except UserError:
        return f"its method {str(facts.get('task'))[:40]!r} is not known here; it needs a newer Translate"
    if not (folder / "weights.safetensors").exists():
        return "it has no weights.safetensors: half copied, or nothing was saved yet"
    return ""


def entries(folders: list[Path] | None = None) -> list[Entry]:
    """The usable model folders below `folders` (default `roots()`); of two of one name the first counts."""
    found: dict[str, Entry] = {}
    for root in roots() if folders is None else folders:
        for path in sorted(root.glob("*/config.json")):
            folder = path.parent
            if folder.name in found or not (folder / "weights.safetensors").exists():
                continue
            facts = facts_of(folder)  # None, too, while a run is just writing it; see `trouble`
            if facts is not None:
                found[folder.name] = Entry(folder.name, folder, facts)
    return list(found.values())


def locate(model: str | Path, folders: list[Path] | None = None) -> Path:
    """The folder of a model given by name, path or Hub id (`owner/name`). Raises UserError."""
    text = str(model)
    known = {entry.name: entry.folder for entry in entries(folders)}
    if text in known:
        return known[text]
    folder = Path(text).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise UserError(f"{text} is a file; a model is a folder with config.json and weights.safetensors")
    have = f"available here: {', '.join(known)}" if known else "none is here yet; train one with train.py"
    if HUB_ID.fullmatch(text):
        return _download(text, f"no model folder {text}{nearest(text, list(known)) or ';'} {have}")
    raise UserError(f"no model named {text!r}{nearest(text, list(known)) or ';'} {have}")


def _download(name: str, otherwise: str) -> Path:
    """Fetch a model folder from the Hugging Face Hub, or find it in its cache. Raises UserError."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES, etag_timeout=5))
    except Exception as error:  # the Hub's, the network's and the cache's own classes
        reason = type(error).__name__
        if "NotFound" in reason:
            reason = "the Hub has none or cannot be reached"
        raise UserError(
            f"{name} could not be fetched from the Hugging Face Hub ({reason}); {otherwise}"
        ) from None
