"""Tab Train: drop pictures, see what was found, begin; watch it; use what it has learned so far."""

import html
import re
import secrets
import shutil
import time
from pathlib import Path

import gradio as gr

from translate.config import UserError
from translate.ui.models import LOOK, Log, alarmed, duration
from translate.ui.parts import Hint, asleep, folders, line, on, reporter
from translate.ui.pictures import folder as page_folder
from translate.ui.result import Studio
from translate.ui.trainer import LESSONS, Lesson, Trainer, Training
from translate.ui.words import W

TABS = {"cyclegan": "translate", "cut": "translate", "pix2pix": "translate"}  # of what was learned
TABS |= {"df_gan": "caption", "srgan": "enhance", "dcgan": "samples"}
LENGTHS = {W.train.a_first_look: 0.25, W.train.recommended: 1.0, W.train.longer: 4.0}  # times the updates
KEPT = 3600  # seconds that pictures wait for Start
AT_ONCE = 900  # files of a folder; more come in a zip
FEW_UNREADABLE = 5  # that are named


def gathered(trainer: Trainer, key: str | None, a: list[str] | None, b: list[str] | None) -> Path:
    """A folder of this visit's with what was dropped. Raises UserError."""
    lesson = lesson_of(key)
    sides = [a or [], b or []][: len(lesson.sides)]
    if not all(sides):
        missing = next(label for label, side in zip(lesson.sides, sides, strict=True) if not side)
        raise Hint(W.train.drop_files.format(missing=missing))
    for old in page_folder().glob("lesson-*"):  # looked at and not begun
        if time.time() - old.stat().st_mtime > KEPT:
            shutil.rmtree(old, ignore_errors=True)
    folder = page_folder() / f"lesson-{secrets.token_hex(16)}"
    folder.mkdir()
    try:
        trainer.gather(lesson, sides, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def lesson_of(key: str | None) -> Lesson:
    if key not in LESSONS:
        raise UserError(W.train.choose_what)
    return LESSONS[key]


def summary(report) -> str:
    """What was found, in words, as Markdown."""
    kinds = re.sub(r" \(lesson-[0-9a-f]+\)", "", "; ".join(report.kinds.values()))  # the page's own folder
    lines = [W.train.found.format(kinds=html.escape(kinds))]
    if report.sizes:
        widths, heights = zip(*report.sizes, strict=True)
        lines.append(W.train.sizes.format(widths=spread(widths), heights=spread(heights)))
    if bad := report.unreadable:
        some = [html.escape(f"{Path(file).name}: {why}") for file, why in list(bad.items())[:FEW_UNREADABLE]]
        lines.append(W.train.left_out.format(count=len(bad), files="; ".join(some)))
    if report.count < 50:
        lines.append(W.train.few_pictures)
    return " ".join(lines)


def spread(values) -> str:
    """`128`, or `96 to 640`."""
    return (
        W.train.from_to.format(least=min(values), most=max(values))
        if min(values) < max(values)
        else f"{min(values)}"
    )


def forecast(seconds: float, steps: int) -> str:
    """`about 50 min here: 3,000 updates of 1.0 s`."""
    return W.train.forecast.format(time=duration(seconds * steps), steps=steps, seconds=seconds)


def shown(trainer: Trainer, training: Training | None) -> dict:
    """What the page shows of the training: words, the newest preview, curves, and which buttons are alive."""
    if training is None:
        return dict(
            words=W.train.nothing_is_in_training,
            preview=None,
            curves=None,
            state="none",
            command="",
            ready=False,
        )
    folder = trainer.root / training.name
    log, steps = Log.read(folder), int(training.command[training.command.index("--steps") + 1])
    previews = sorted((folder / "previews").glob("step-*.png"))
    status = log.status(steps, time.time()) if log.lines else W.train.it_is_starting
    ready = (folder / "weights.safetensors").exists()
    done = W.train.ready_to_use.format(updates=trainer.updates(training.name))
    words = {
        "running": status,
        "paused": W.train.paused.format(status=status),
        "finished": done if ready else W.train.stopped_early,
        "failed": W.train.it_stopped.format(reason=html.escape(training.words)),
    }[training.state]
    words = f"### {html.escape(training.name)}\n\n{words}{alarmed(folder)}"
    preview, curves = str(previews[-1]) if previews else None, log.curves() if len(log.lines) > 1 else None
    return dict(
        words=words, preview=preview, curves=curves, state=training.state, ready=ready,
        command=training.shown, seen=(training.state, training.name, len(log.lines), preview),
    )  # fmt: skip


# --- the page ---------------------------------------------------------------------------------------------


def tab(studio: Studio, here: gr.Tab, others: list[gr.Tab], trainer: Trainer) -> None:
    """Build the tab `here`; nothing is looked at while one of the others is open."""
    shelf, keys = studio.shelf, list(LESSONS)
    first = LESSONS[keys[0]]
    with gr.Row(equal_height=False):
        with gr.Column(min_width=320):
            what = gr.Radio(
                [(lesson.title, key) for key, lesson in LESSONS.items()], value=keys[0],
                label=W.train.what_to_learn, elem_id="train-what",
            )  # fmt: skip
            a = gr.Files(
                label=W.train.or_a_zip.format(label=first.sides[0]),
                elem_id="train-a",
                elem_classes="folders",
                height=170,
            )
            folders("train-a", AT_ONCE)
            b = gr.Files(
                label=W.train.or_a_zip.format(label=first.sides[1]),
                elem_id="train-b",
                elem_classes="folders",
                height=170,
            )
            folder_b = folders("train-b", AT_ONCE)
            look = gr.Button(W.train.look_at_the_pictures, elem_id="train-look")
            message = line("train-message")
            found = gr.Markdown(elem_id="train-found")
            sheet = gr.Image(
                show_label=False, elem_id="train-sheet", interactive=False, visible=False,
                buttons=["fullscreen"], container=False,
            )  # fmt: skip
            name = gr.Textbox(label=W.train.name, value="my-model", max_length=40, elem_id="train-name")
            length = gr.Radio(
                list(LENGTHS), value=W.train.recommended, label=W.train.how_long, elem_id="train-length"
            )
            ahead = gr.Markdown(elem_id="train-ahead")
            start = gr.Button(W.train.start, variant="primary", elem_id="train-start", interactive=False)
        with gr.Column(min_width=320):
            status = gr.Markdown(W.train.nothing_is_in_training, elem_id="train-status")
            watch_message = line("train-watch-message")
            with gr.Row():
                pause = gr.Button(W.common.pause, elem_id="train-pause", visible=False)
                go_on = gr.Button(W.train.go_on, elem_id="train-continue", visible=False)
                stop = gr.Button(W.train.stop_and_use_now, elem_id="train-stop", visible=False)
                use = gr.Button(W.train.use_it, variant="primary", elem_id="train-use", visible=False)
            preview = gr.Image(
                label=W.train.what_it_makes_now, elem_id="train-preview", interactive=False, visible=False,
                buttons=["fullscreen"],
            )  # fmt: skip
            plot = gr.LinePlot(
                x="step", y="value", color="loss", title=W.common.losses, elem_id="train-plot", visible=False,
                height=260,
            )  # fmt: skip
            command = gr.Textbox(
                label=W.train.terminal, elem_id="train-command", interactive=False, lines=3,
                buttons=["copy"], visible=False,
            )  # fmt: skip
    data = gr.State()  # lesson, folder with the pictures, how many, seconds an update takes
    seen = gr.State()
    timer = gr.Timer(LOOK, active=False)

    def choose(key: str):
        lesson = lesson_of(key)
        labels = [W.train.or_a_zip.format(label=label) if least > 1 else label for label, least in
                  zip(lesson.sides, lesson.least, strict=True)]  # fmt: skip
        two = len(labels) > 1
        return {
            a: gr.update(label=labels[0]),
            b: gr.update(label=labels[-1], visible=two),
            folder_b: gr.update(visible=two),
            **nothing(),
        }

    def nothing() -> dict:
        return {found: "", sheet: gr.update(visible=False), ahead: "", start: gr.update(interactive=False)}

    def unseen(error: UserError) -> dict:
        return {data: None, **nothing()}

    def looked(key, files_a, files_b):
        folder = gathered(trainer, key, files_a, files_b)
        report = trainer.look(lesson_of(key), folder)
        picture = report.contact_sheet
        return {
            data: (key, str(folder), report.count, None),
            found: summary(report),
            sheet: gr.update(value=picture, visible=picture is not None),
            ahead: W.train.trying,
            start: gr.update(interactive=False),
        }

    def planned(held, long, request: gr.Request, progress=gr.Progress()):  # noqa: B008  Gradio reads it
        if not held:  # nothing was found; the line says why
            return {message: gr.skip()}
        key, folder, count, seconds = held
        lesson = lesson_of(key)
        if seconds is None:
            progress(0, desc=W.train.timing_updates)
            report = reporter(progress, W.train.timing)
            with shelf.lanes.beside(request.session_hash or "", report) as job:
                seconds = trainer.pace(lesson, Path(folder), job)
        words = f"**{forecast(seconds, updates(lesson, count, long)).capitalize()}.**"
        return {
            data: (key, folder, count, seconds),
            ahead: words,
            start: gr.update(interactive=True),
        }

    def updates(lesson: Lesson, count: int, long: str) -> int:
        return max(1, round(lesson.steps(count) * LENGTHS.get(long, 1.0)))

    def begun(held, called, long):
        if not held:
            raise Hint(W.train.look_first)
        key, folder, count, _ = held
        lesson = lesson_of(key)
        trainer.begin(lesson, (called or "").strip(), Path(folder), updates(lesson, count, long))
        look_on = gr.Timer(active=True)  # again: the answer that woke it may have been lost
        return {data: None, start: gr.update(interactive=False), timer: look_on, **view(None)}

    def view(before) -> dict:
        now = shown(trainer, trainer.now())
        state = now["state"]
        alive = {pause: ["running"], go_on: ["paused", "failed"]}
        alive |= {stop: ["running", "paused"], use: ["finished", "paused"]}
        buttons = {part: gr.update(visible=state in states) for part, states in alive.items()}
        buttons[use] = gr.update(visible=state in alive[use] and now["ready"])
        changed = {status: now["words"], **buttons}
        if now.get("seen") == before and before is not None:
            return changed
        curves = now["curves"]
        return {
            **changed,
            seen: now.get("seen"),
            preview: gr.update(value=now["preview"], visible=now["preview"] is not None),
            plot: gr.update(visible=curves is not None, **({} if curves is None else {"value": curves})),
            command: gr.update(value=now["command"], visible=bool(now["command"])),
        }

    def asked(what):
        def handler():
            what()
            return view(None)

        return handler

    def used():
        now = trainer.now()
        if now is None:
            raise Hint(W.train.nothing_trained)
        place = TABS[now.command[now.command.index("--task") + 1]]
        there, chooser = {studio.tabs: gr.Tabs(selected=place)}, studio.choosers.get(place)
        return there | ({chooser.model: chooser.chosen(now.name)} if chooser else {})

    live = [status, pause, go_on, stop, use, preview, plot, command, seen]
    on(what.input, choose, what, [a, b, folder_b, found, sheet, ahead, start], message)
    outputs = [data, found, sheet, ahead, start]
    tried = on(look.click, looked, [what, a, b], outputs, message, work=True, failed=unseen)
    plan = dict(work=True, show_progress_on=ahead, failed=lambda _: {ahead: ""})
    on(tried.success, planned, [data, length], [data, ahead, start], message, **plan)
    on(length.input, planned, [data, length], [data, ahead, start], message, **plan)
    on(start.click, begun, [data, name, length], [data, start, timer, *live], message)
    on(timer.tick, view, seen, live, trigger_mode="multiple")  # an answer that got lost stops no other
    on(here.select, lambda: (gr.Timer(active=True), *in_order(view(None), live)), None, [timer, *live])
    asleep(timer, others)
    for button, act in ((pause, trainer.pause), (go_on, trainer.go_on), (stop, trainer.stop)):
        on(button.click, asked(act), None, live, watch_message)
    places = [studio.tabs, *(chooser.model for chooser in studio.choosers.values())]
    on(use.click, used, None, places, watch_message)


def in_order(values: dict, parts: list) -> list:
    return [values.get(part, gr.skip()) for part in parts]
