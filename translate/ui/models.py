"""Tab Models: the folders found, their cards, previews and curves; a run in progress moves as one looks."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from PIL import Image

from translate.config import UserError
from translate.inference.catalog import Entry, trouble
from translate.ui.parts import asleep, face, on, portrait
from translate.ui.pictures import thumbnail
from translate.ui.shelf import Shelf
from translate.ui.shelf import title as named
from translate.ui.translate import about, card_text
from translate.ui.words import W

POINTS = 300  # of a curve; more are averaged
ALIVE = 300  # seconds after its last line that a run counts as in progress
LOOK = 3  # seconds between two looks at the run shown
ALARMS = 3  # of the doctor's that are shown
RECENT = 20  # lines that the speed is taken from


def alarmed(folder: Path) -> str:
    """The newest alarms of a run's doctor as Markdown, or nothing."""
    from translate import doctor

    try:
        found = doctor.alarms(folder)[-ALARMS:]
    except UserError:  # a shipped model has no log
        return ""
    return "".join(f"\n\n**{alarm.name}** {alarm.text()}" for alarm in found)


@dataclass(frozen=True)
class Log:
    """The lines of a run's `logs.jsonl`."""

    lines: tuple[dict, ...]
    changed: float  # seconds since 1970

    @classmethod
    def read(cls, folder: Path) -> "Log":
        """Empty where there is none; a line that is just being written is left out."""
        path, lines = folder / "logs.jsonl", []
        try:
            changed = path.stat().st_mtime
            text = path.read_text()
        except OSError:
            return cls((), 0.0)
        for line in text.splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and {"step", "images", "time"} <= entry.keys():
                lines.append(entry)
        return cls(tuple(lines), changed)

    def losses(self) -> list[str]:
        newest = self.lines[-1] if self.lines else {}
        return [k for k in newest if k not in ("step", "images", "time") and not k.startswith("gradient_")]

    def curves(self) -> "pandas.DataFrame":  # noqa: F821
        """Columns step, loss, value: at most POINTS means over neighbouring lines for each loss."""
        import pandas

        every = -(-len(self.lines) // POINTS) or 1
        rows = []
        for start in range(0, len(self.lines), every):
            part = self.lines[start : start + every]
            for loss in self.losses():
                values = [line[loss] for line in part if loss in line]
                if values:
                    rows.append((part[-1]["step"], loss, sum(values) / len(values)))
        return pandas.DataFrame(rows, columns=["step", "loss", "value"])

    def status(self, steps: int | None, now: float) -> str:
        """One line of Markdown: where the training is, how fast, how long still."""
        if not self.lines:
            return W.models.shipped
        last = self.lines[-1]
        of = W.models.update_number.format(step=last["step"]) + (
            W.models.of_updates.format(steps=steps) if steps else ""
        )
        if steps and last["step"] >= steps:
            return W.models.finished.format(update=of, images=last["images"])
        if now - self.changed > ALIVE:
            return W.models.stopped.format(update=of)
        recent = self.lines[-RECENT:]
        seconds, updates = last["time"] - recent[0]["time"], last["step"] - recent[0]["step"]
        if seconds <= 0 or updates <= 0:
            return W.models.in_training.format(update=of)
        speed = (last["images"] - recent[0]["images"]) / seconds
        left = (
            W.models.and_time_left.format(time=duration((steps - last["step"]) * seconds / updates))
            if steps
            else ""
        )
        return W.models.in_training_at_speed.format(update=of, speed=speed, time_left=left)


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return W.models.seconds.format(seconds=seconds)
    hours, minutes = divmod(round(seconds / 60), 60)
    return (
        W.models.hours_and_minutes.format(hours=hours, minutes=minutes)
        if hours
        else W.models.minutes.format(minutes=minutes)
    )


def planned(entry: Entry) -> int | None:
    """The updates that the run was asked for."""
    return entry.facts.get("config", {}).get("steps")


def labelled(entry: Entry):
    """Something to look at for every entry."""
    path = entry.preview if (entry.folder / "logs.jsonl").exists() else face(entry)  # a run moves
    if path is None:
        return Image.new("RGB", (160, 120), (226, 232, 240)), named(entry)
    return thumbnail(path, 320), named(entry)


# --- the page ---------------------------------------------------------------------------------------------


def tab(shelf: Shelf, opened: gr.Tab, others: list[gr.Tab]) -> None:
    """Build the tab inside `opened`; nothing is read or sent while one of the others is looked at."""
    with gr.Row(elem_id="models-head"):
        found = gr.Markdown(elem_id="models-found")
        again = gr.Button("↻", elem_id="models-refresh", scale=0, min_width=52)
    gallery = gr.Gallery(
        show_label=False, elem_id="models-gallery", height="auto", allow_preview=False, container=False,
        object_fit="contain", interactive=False, buttons=[],
    )  # fmt: skip
    chosen = gr.State()
    seen = gr.State()  # what the shown pictures were made from
    title = gr.Markdown(elem_id="models-title")
    status = gr.Markdown(elem_id="models-status")
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            preview = gr.HTML(elem_id="models-preview")
        with gr.Column(min_width=320):
            plot = gr.LinePlot(
                x="step",
                y="value",
                color="loss",
                title=W.common.losses,
                elem_id="models-plot",
                visible=False,
                height=320,
            )
            card = gr.Markdown(elem_id="models-card")
    timer = gr.Timer(LOOK, active=False)

    def look(name: str | None):
        """The folders; the first of them is shown until one is chosen."""
        entries = shelf.everything()
        runs = sum(1 for entry in entries if (entry.folder / "logs.jsonl").exists())
        line = (
            W.models.folders_found.format(count=len(entries), runs=runs)
            if entries
            else (W.common.no_model_yet)
        )
        first = entries[0].name if entries else None
        return [labelled(entry) for entry in entries], line, name or first

    def state_of(entry: Entry):
        """Changes whenever something that is shown has changed."""
        files = [entry.folder / "logs.jsonl", entry.preview, entry.folder / "README.md"]
        return [str(path) + str(path.stat().st_mtime) for path in files if path and path.exists()]

    def show(name: str | None, before=None):
        entry = next((entry for entry in shelf.everything() if entry.name == name), None)
        if entry is None:
            return [gr.skip()] * 6
        log = Log.read(entry.folder)
        line = log.status(planned(entry), time.time()) + shelf.running(entry) + alarmed(entry.folder)
        if before == (now := state_of(entry)):
            return [gr.skip(), gr.skip(), line, gr.skip(), gr.skip(), gr.skip()]
        wrong = trouble(entry.folder) if not log.lines or entry.facts else ""
        facts = about(entry) if entry.facts and shelf.takes(entry) else W.models.no_model_saved_yet
        facts = W.models.this_folder_cannot_be_used.format(reason=wrong) if wrong else facts
        drawn = (
            gr.update(value=log.curves(), visible=True) if len(log.lines) > 1 else gr.update(visible=False)
        )
        picture = portrait(entry)
        return [now, f"## {named(entry)}\n\n`{entry.name}` · {facts}", line, picture, drawn, card_text(entry)]

    def select(event: gr.SelectData):
        entries = shelf.everything()
        return entries[event.index].name if event.index < len(entries) else None

    parts = [seen, title, status, preview, plot, card]
    looked = on([opened.select, again.click], look, chosen, [gallery, found, chosen])
    on(looked.then, show, chosen, parts)
    picked = on(gallery.select, select, None, chosen)
    on(picked.then, show, chosen, parts)
    on(opened.select, lambda: gr.Timer(active=True), None, timer)
    asleep(timer, others)
    on(timer.tick, show, [chosen, seen], parts, trigger_mode="multiple")
