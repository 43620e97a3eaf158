"""Tab Explore: what lies in a model's latent space. Samples, ways, arithmetic, sliders, several decodings."""

import base64
import io
import json
import math
import random
import re
import time
from pathlib import Path

import gradio as gr
import torch

from translate.config import UserError
from translate.inference import exploring, images
from translate.inference.images import Picture
from translate.inference.sampling import Sampler
from translate.ui.lanes import Job, Report
from translate.ui.nearest import nearest
from translate.ui.parts import Chooser, Hint, Runner, line, on
from translate.ui.pictures import lay, opened
from translate.ui.result import Result, Studio
from translate.ui.samples import EVERY, PER_PICTURE, classes
from translate.ui.shelf import Shelf, title
from translate.ui.translate import elapsed
from translate.ui.visit import Made
from translate.ui.words import W

MOST, FRAMES, SEEDS = 64, 12, 2**31
DIMENSIONS = 24  # sliders at the most
LONGEST = 4.0  # deviations, ends of a slider
LARGE = 192  # pixels, least side of a picture of the sliders
SLIDERS = """
const sliders = window.sliders(element, values => { props.value = values; trigger("input"); });
const take = () => sliders.show(JSON.parse(props.picture || "null"));
watch("picture", take);
take();
"""
CALM = """
const calm = window.calm(element, () => trigger("click"));
const take = () => { try { calm.show(JSON.parse(props.value || "null")); } catch { calm.show(null); } };
watch("value", take);
take();
"""


def whole(value, what: str, least: int, most: int) -> int:
    if value is None or not least <= value <= most or value != int(value):
        raise UserError(W.common.number_out_of_range.format(what=what, least=least, most=most))
    return int(value)


def given(pipeline: Sampler, label: str | None) -> dict:
    """The class to ask for: nothing where all are meant in turn."""
    return {} if label in (None, "", EVERY) or "label" not in pipeline.takes else {"label": label}


def seeds(text: str | None) -> list[int]:
    """Three numbers, or more. Raises UserError."""
    found = [int(word) for word in re.findall(r"\d+", (text or "")[:200])]
    if not 1 <= len(found) <= 9 or max(found) >= SEEDS:
        raise UserError(W.explore.give_seeds.format(most=SEEDS, given=(text or "")[:40]))
    return found


def reporting(job: Job):
    return lambda share: job.tell(share, W.explore.looking_for_it)


def end(shelf: Shelf, pipeline: Sampler, source: str | None, seed, job: Job):
    """Latents of a picture that was given, else of the seed."""
    if source:
        return exploring.end(pipeline, opened(source, shelf.max_pixels), reporting(job))
    return exploring.end(pipeline, whole(seed, W.common.seed_in_sentences, 0, SEEDS - 1))


def samples(shelf: Shelf, model, count, seed, cut, label, session="", report: Report | None = None) -> Made:
    count, pipeline = whole(count, W.common.pictures_in_sentences, 1, MOST), shelf.pipeline(model)
    seed = whole(seed, W.common.seed_in_sentences, 0, SEEDS - 1)
    with shelf.lanes.job(session, model, count, report, guess=PER_PICTURE):
        start = time.perf_counter()
        pictures = pipeline.sample(count, seed=seed, truncation=cut or 0.0, **given(pipeline, label))
        seconds = time.perf_counter() - start
    words = W.common.pictures_made_in.format(count=count, time=elapsed(seconds), seed=seed) + (
        W.explore.and_truncation.format(cut=cut) if cut else ""
    )
    return Made(tuple(pictures), words, f"{model}-seed-{seed}", title(shelf.entry(model)))


def way(
    shelf: Shelf, model, first, second, seed, seed_2, label, session="", report=None
) -> tuple[Made, Path]:
    """A strip from one picture or seed to another, and the same as a moving picture."""
    pipeline = shelf.pipeline(model)
    with shelf.lanes.job(session, model, FRAMES + 8, report, guess=PER_PICTURE) as job:
        a, b = end(shelf, pipeline, first, seed, job), end(shelf, pipeline, second, seed_2, job)
        made = exploring.way(pipeline, a, b, FRAMES, **given(pipeline, label))
    names = [
        W.explore.from_seed.format(seed=int(s)) if not given else W.explore.your_picture
        for given, s in ((first, seed), (second, seed_2))
    ]
    note = W.explore.way_made.format(count=FRAMES, first=names[0], second=names[1])
    return Made(tuple(made), note, f"{model}-way", title(shelf.entry(model))), lay(
        f"{model}-way.gif", exploring.moving(made)
    )


def arithmetic(shelf: Shelf, model, plus, minus, and_, label, session="", report=None) -> Made:
    pipeline, groups = shelf.pipeline(model), [seeds(text) for text in (plus, minus, and_)]
    with shelf.lanes.job(session, model, 4 + sum(map(len, groups)), report, guess=PER_PICTURE):
        one_by_one = torch.cat([pipeline.noise(1, seed) for group in groups for seed in group])
        parts = pipeline.from_noise(one_by_one, **given(pipeline, label))
        made = exploring.combined(pipeline, groups, **given(pipeline, label))
    words = [W.explore.from_seed.format(seed=seed) for group in groups for seed in group]
    words = [W.explore.the_sum, W.explore.first_mean, W.explore.second_mean, W.explore.third_mean, *words]
    pictures = (made[3], *made[:3], *parts)
    note = W.explore.sum_made
    return Made(pictures, note, f"{model}-arithmetic", title(shelf.entry(model)), alt=tuple(words))


def decoded(shelf: Shelf, model, source, count, seed, session="", report=None) -> Made:
    """A picture rebuilt, and several decodings of codes drawn for it where the model draws codes."""
    if not source:
        raise Hint(W.common.give_a_picture_first)
    count, seed, pipeline = (
        whole(count, W.common.pictures_in_sentences, 1, 16),
        whole(seed, W.common.seed_in_sentences, 0, SEEDS - 1),
        shelf.pipeline(model),
    )
    picture = opened(source, shelf.max_pixels)
    with shelf.lanes.job(session, model, count + 8, report, guess=PER_PICTURE) as job:
        again = pipeline.from_noise(exploring.end(pipeline, picture, reporting(job)))
        several = hasattr(pipeline.task, "posterior")
        made = exploring.decodings(pipeline, picture, count, seed) if several else []
    seen = Picture(tensor=pipeline.square(picture))
    error = float((again[0].tensor - seen.tensor).square().mean().sqrt())
    words = (W.explore.what_the_model_sees, W.explore.rebuilt, *[W.explore.another_code] * len(made))
    note = W.explore.rebuilt_with_error.format(error=error)
    note += W.explore.and_codes_drawn.format(count=count) if several else W.explore.and_one_code
    return Made((seen, *again, *made), note, f"{model}-decodings", title(shelf.entry(model)), alt=words)


def close(shelf: Shelf, model, seed, number, label, session="", report=None) -> tuple[Made, str]:
    """One sample and the training pictures most like it."""
    seed, number, pipeline = (
        whole(seed, W.common.seed_in_sentences, 0, SEEDS - 1),
        whole(number, W.common.picture_in_sentences, 1, MOST),
        shelf.pipeline(model),
    )
    with shelf.lanes.job(session, model, number, report, guess=PER_PICTURE):
        made = pipeline.sample(number, seed=seed, **given(pipeline, label))[-1]
    found = nearest(shelf.lanes, pipeline, session, report).of(made.tensor[0])
    near = [Picture(tensor=one[None]) for one in found.pictures]
    words = [W.explore.picture_of_seed.format(number=number, seed=seed)]
    words += [f"{file}: {d:.2f}" for file, d in zip(found.files, found.distances, strict=True)]
    return Made((made, *near), found.note, f"{model}-nearest", title(shelf.entry(model)), alt=tuple(words))


# --- sliders and the calm mode ----------------------------------------------------------------------------


def inline(picture: Picture) -> str:
    """A small picture as an address of its own; digits are enlarged, pixel by pixel."""
    image = images.to_image(picture.tensor)
    if (times := max(1, LARGE // max(image.size))) > 1:
        image = image.resize([times * side for side in image.size], 0)
    file = io.BytesIO()
    image.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def places(pipeline: Sampler) -> list[int]:
    """The dimensions that have sliders: first those that a method says mean something."""
    codes, all_of_them = pipeline.task.code_names, range(math.prod(pipeline.task.noise_shape))
    return [*codes, *(place for place in all_of_them if place not in codes)][:DIMENSIONS]


def latents(pipeline: Sampler, text: str | None) -> tuple[torch.Tensor, int]:
    """Of the sliders, "[seed, value, value, ...]", the rest being the seed's noise; and the seed."""
    try:
        seed, *values = json.loads((text or "[0]")[:2000])
        values = [min(LONGEST, max(-LONGEST, float(value))) for value in values]
        seed = int(seed) % SEEDS
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise UserError(W.explore.sliders_unreadable) from None
    z = pipeline.noise(1, seed)
    flat = z.flatten()
    for place, value in zip(places(pipeline), values, strict=False):
        flat[place] = value if value == value else 0.0
    return flat.reshape(z.shape), seed


def turned(shelf: Shelf, model, text, label, session="", fresh: bool = False) -> str:
    """What the sliders show: a picture, and their values. fresh: they are to be set to these."""
    pipeline = shelf.pipeline(model)
    with shelf.lanes.job(session, model, 1, guess=PER_PICTURE):
        z, seed = latents(pipeline, text)
        picture = pipeline.from_noise(z, **given(pipeline, label))[0]
    shown, flat = places(pipeline), z.flatten().tolist()
    names = [pipeline.task.code_names.get(place, f"z{place + 1}") for place in shown]
    values = [round(flat[place], 2) for place in shown]
    return json.dumps(dict(picture=inline(picture), values=values, names=names, fresh=fresh, seed=seed))


def existing(shelf: Shelf, model, session="") -> str:
    """A picture of something that does not exist."""
    pipeline, seed = shelf.pipeline(model), random.randrange(SEEDS)
    with shelf.lanes.job(session, model, 1, guess=PER_PICTURE):
        if "text" in pipeline.takes:
            known = pipeline.task.info.captions or ("",)
            caption = known[seed % len(known)]
            picture = pipeline.imagine(caption, 1, seed=seed)[0]
        else:
            caption, picture = "", pipeline.sample(1, seed=seed)[0]
    return json.dumps(
        dict(
            picture=inline(picture),
            title=what(f"{model} {title(shelf.entry(model))} {pipeline.task.info.name}"),
            words=W.explore.caption_and_seed.format(caption=caption, seed=seed).strip(),
        )
    )


def what(about: str) -> str:
    """That what a model draws does not exist; a picture, where its name does not say what it draws."""
    sentences = dict(
        bird=W.explore.no_such_bird, flower=W.explore.no_such_flower, digit=W.explore.no_such_digit,
        face=W.explore.no_such_face, dress=W.explore.no_such_dress,
    )  # fmt: skip
    return next((s for word, s in sentences.items() if word in about.lower()), W.explore.no_such_picture)


# --- the page ---------------------------------------------------------------------------------------------


def tab(studio: Studio, here: gr.Tab) -> None:
    """Build the tab `here`."""
    shelf = studio.shelf
    chooser = Chooser(shelf, shelf.samplers, "explore-model")
    model = chooser.model
    with gr.Row(elem_classes="result-first", equal_height=False):
        with gr.Column(min_width=320):
            with gr.Row():
                seed = gr.Number(0, label=W.common.seed, precision=0, elem_id="explore-seed", min_width=90)
                label = gr.Dropdown(
                    [EVERY],
                    value=EVERY,
                    label=W.common.class_asked_for,
                    elem_id="explore-label",
                    visible=False,
                )
            with gr.Accordion(W.explore.samples, open=True):
                count = gr.Slider(1, MOST, 16, step=1, label=W.common.pictures, elem_id="explore-count")
                cut = gr.Slider(0, 2, 0, step=0.1, label=W.common.truncation,
                                elem_id="explore-truncation")  # fmt: skip
                drawing = Runner(shelf, "explore", W.common.draw)
            with gr.Accordion(W.common.from_one_to_another, open=False):
                gr.Markdown(W.explore.between_what)
                with gr.Row():
                    first, second = (
                        gr.Image(
                            label=text, type="filepath", elem_id=f"explore-{place}",
                            height=150, sources=["upload", "clipboard"],
                        )
                        for place, text in (("first", W.explore.first_picture),
                                            ("second", W.explore.second_picture))
                    )  # fmt: skip
                seed_2 = gr.Number(1, label=W.common.second_seed, precision=0, elem_id="explore-seed-2")
                walking = Runner(shelf, "explore-way", W.common.show_the_way)
                moving = gr.Image(
                    label=W.explore.there_and_back_gif, elem_id="explore-moving", type="filepath", height=180
                )
            with gr.Accordion(W.explore.arithmetic, open=False):
                with gr.Row():
                    plus = gr.Textbox(
                        "1 2 3", label=W.explore.mean_of_seeds, elem_id="explore-plus", min_width=80
                    )
                    minus = gr.Textbox(
                        "4 5 6", label=W.explore.less_mean_of, elem_id="explore-minus", min_width=80
                    )
                    and_ = gr.Textbox(
                        "7 8 9", label=W.explore.plus_mean_of, elem_id="explore-and", min_width=80
                    )
                adding = Runner(shelf, "explore-sum", W.explore.add_up)
            with gr.Accordion(W.explore.decodings, open=False):
                source = gr.Image(label=W.common.picture, type="filepath", elem_id="explore-source",
                                  height=150, sources=["upload", "clipboard"])  # fmt: skip
                several = gr.Slider(1, 16, 8, step=1, label=W.explore.codes, elem_id="explore-several")
                decoding = Runner(shelf, "explore-decode", W.explore.rebuild)
            with gr.Accordion(W.explore.nearest_training_pictures, open=False):
                which = gr.Number(
                    1, label=W.explore.picture_of_this_seed, precision=0, elem_id="explore-which"
                )
                looking = Runner(shelf, "explore-near", W.common.is_it_a_copy)
        with gr.Column(min_width=320):
            result = Result(studio, "explore", W.explore.hint)
            with gr.Accordion(W.explore.latent_dimensions, open=True):
                sliders = gr.HTML(
                    "", elem_id="explore-sliders", html_template="<div></div>", js_on_load=SLIDERS, picture=""
                )
                turned_message = line("explore-sliders-message")
            subject = gr.Dropdown([], label=W.explore.what_does_not_exist, elem_id="explore-subject")
            calm = gr.HTML("", elem_id="explore-calm", html_template="<div></div>", js_on_load=CALM)

    def show(name: str | None):
        entry = chooser.entry(name)
        labelled = entry is not None and "label" in shelf.takes(entry)
        return {
            label: gr.update(
                choices=classes(entry) if entry else [EVERY],
                value=EVERY,
                visible=labelled,
                label=W.explore.first_code if entry and entry.task == "infogan" else W.common.class_asked_for,
            ),
            result.viewer: "",
            moving: None,
        }

    def beginning(request: gr.Request, name, start, kind):
        if not chooser.entry(name):
            return {sliders: gr.skip()}
        text, session = json.dumps([int(start or 0)]), request.session_hash or ""
        return {sliders: gr.update(picture=turned(shelf, name, text, kind, session, True))}

    def turn(request: gr.Request, name, text, kind):
        return {sliders: gr.update(picture=turned(shelf, name, text, kind, request.session_hash or ""))}

    def subjects(name, chosen):
        known = [(title(entry), entry.name) for entry in (*shelf.samplers(), *shelf.drawers())]
        value = chosen if chosen in dict(known).values() else name
        return {subject: gr.update(choices=known, value=value)}

    def another(request: gr.Request, name):
        return existing(shelf, name, request.session_hash or "")

    def walk(*values, session="", report=None):
        made, film = way(shelf, *values, session=session, report=report)
        return made, {moving: str(film)}

    def tied(handler):
        return lambda *values, session="", report=None: handler(
            shelf, *values, session=session, report=report
        )

    chooser.refresh_on([studio.page.load, here.select])
    on(model.change, show, model, [label, result.viewer, moving])
    inputs = [model, count, seed, cut, label]
    result.of(
        [drawing.go.click, count.release, cut.release, seed.submit, label.input],
        tied(samples),
        inputs,
        drawing.message,
        what=W.common.drawing,
    )
    result.of(
        [walking.go.click],
        walk,
        [model, first, second, seed, seed_2, label],
        walking.message,
        [moving],
        W.common.drawing,
    )
    result.of(
        [adding.go.click],
        tied(arithmetic),
        [model, plus, minus, and_, label],
        adding.message,
        what=W.common.drawing,
    )
    result.of(
        [decoding.go.click],
        tied(decoded),
        [model, source, several, seed],
        decoding.message,
        what=W.explore.rebuilding,
    )
    result.of(
        [looking.go.click], tied(close), [model, seed, which, label], looking.message, what=W.explore.looking
    )
    on(
        [model.input, here.select, seed.submit, label.input],
        beginning,
        [model, seed, label],
        sliders,
        turned_message,
        trigger_mode="always_last",
    )
    on(sliders.input, turn, [model, sliders, label], sliders, turned_message, trigger_mode="always_last")
    on(here.select, subjects, [model, subject], subject, turned_message)
    on(calm.click, another, subject, calm, turned_message)
