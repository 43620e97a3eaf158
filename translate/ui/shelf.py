"""The models of the page: their list, and those that are loaded."""

import contextlib
import os
import threading
from collections import OrderedDict
from pathlib import Path

from translate.config import UserError
from translate.inference.catalog import HERE, Entry, entries, roots
from translate.inference.pipeline import Pipeline
from translate.task import find
from translate.ui.lanes import Lanes
from translate.ui.words import W

LOADED = 12  # pipelines kept in memory, 20 to 60 MB each; loading one takes a second
FILLING = [{"image", "mask"}, {"image", "mask", "noise"}]
TRANSLATING = [{"image"}, {"image", "label"}]  # the label: a style, or a mixture of several
USABLE = [*FILLING, *TRANSLATING, {"noise"}, {"noise", "label"}, {"text", "noise"}]  # what models may take
MAX_PIXELS = 40_000_000  # of a picture that is given


methods: dict[str, type] = {}


def method(task: str) -> type:
    """The class of a task, looked for once: that walks through a folder. Raises UserError."""
    if task not in methods:
        methods[task] = find(task)
    return methods[task]


def title(entry: Entry) -> str:
    """config.json's `title`, "Photo to Monet"; else the folder's name."""
    known = entry.facts.get("title")
    return known.strip()[:60] if isinstance(known, str) and known.strip() else entry.name


class Shelf:
    """Looks the folders up anew at every question, so a run that has just saved its first model is there."""

    def __init__(self, folders: list[Path] | None = None, max_pixels: int = MAX_PIXELS):
        """folders: where model folders lie; default `pretrained/` and `runs/`."""
        self.folders, self.max_pixels = folders, max_pixels
        self.lanes = Lanes()
        self.loaded: OrderedDict[tuple, Pipeline] = OrderedDict()
        self.lock = threading.Lock()

    def entries(self) -> list[Entry]:
        """What the page can use: what takes pictures, noise, captions or classes, and no more."""
        return [entry for entry in entries(self.folders) if {*self.takes(entry)} in USABLE]

    def drawers(self) -> list[Entry]:
        """Those that tab Caption offers."""
        return [entry for entry in self.entries() if "text" in self.takes(entry)]

    def enlargers(self) -> list[Entry]:
        """Those that tab Enhance offers."""
        return [entry for entry in self.entries() if method(entry.task).data == "lowres"]

    def translators(self) -> list[Entry]:
        """Those that tab Translate offers: first what people have pictures for at hand."""
        enlargers = {entry.name for entry in self.enlargers()}
        found = [e for e in self.entries() if {*self.takes(e)} in TRANSLATING and e.name not in enlargers]
        return sorted(found, key=lambda entry: entry.domains[:1] != ["photo"])

    def samplers(self) -> list[Entry]:
        """Those that draw from nothing but noise, perhaps of a class."""
        return [e for e in self.entries() if {*self.takes(e)} in ({"noise"}, {"noise", "label"})]

    def fillers(self) -> list[Entry]:
        """Those that fill in what is painted over."""
        return [entry for entry in self.entries() if {*self.takes(entry)} in FILLING]

    def everything(self) -> list[Entry]:
        """Those, models of other kinds, folders that cannot be used, runs that have not saved a model yet;
        the newest run first."""
        found = {entry.name: entry for entry in entries(self.folders)}
        for root in roots() if self.folders is None else self.folders:
            for path in [*root.glob("*/logs.jsonl"), *root.glob("*/config.json")]:
                found.setdefault(path.parent.name, Entry(path.parent.name, path.parent, {}))

        def age(entry: Entry) -> float:
            log = entry.folder / "logs.jsonl"
            return -log.stat().st_mtime if log.exists() else 0.0

        return sorted(found.values(), key=age)

    def is_own(self, entry: Entry) -> bool:
        """Whether it is a run of this machine, not a model that came with the checkout."""
        return self.folders is None and entry.folder.parent != HERE / "pretrained"

    def stamp(self) -> list[tuple[str, int]]:
        """Another one whenever a file came or went in a model's folder."""
        found = []
        for root in roots() if self.folders is None else self.folders:
            with contextlib.suppress(OSError), os.scandir(root) as folders:
                found += [(folder.path, folder.stat().st_mtime_ns) for folder in folders]
        return sorted(found)

    def entry(self, name: str | None) -> Entry:
        """Raises UserError for a name that is not on the list."""
        for entry in self.entries():
            if entry.name == name:
                return entry
        raise UserError(W.shelf.model_is_gone.format(name=name))

    @staticmethod
    def takes(entry: Entry) -> tuple[str, ...]:
        """Names of `translate.inputs.INPUTS`; empty where the method is not known here."""
        try:
            return method(entry.task).takes
        except UserError:
            return ()

    def running(self, entry: Entry) -> str:
        """How it runs here, in a sentence, where it has been used; see `translate.probe`."""
        with self.lock:
            found = [pipeline for (folder, _), pipeline in self.loaded.items() if folder == entry.folder]
        return W.shelf.runs_in.format(way=found[-1].choice) if found else ""

    def pipeline(self, name: str) -> Pipeline:
        """The loaded model; loads it where it is new or was saved again since. Raises UserError."""
        entry = self.entry(name)
        key = (entry.folder, (entry.folder / "weights.safetensors").stat().st_mtime_ns)
        with self.lock:
            if key not in self.loaded:
                pipeline = Pipeline.from_pretrained(entry.folder)
                for old in [k for k in self.loaded if k[0] == entry.folder]:
                    del self.loaded[old]
                self.loaded[key] = pipeline
            self.loaded.move_to_end(key)
            while len(self.loaded) > LOADED:
                self.loaded.popitem(last=False)
            return self.loaded[key]
