"""Tab Compare: models on the same picture, caption or seed side by side; their scores; a blind vote."""

import json
import random
import re
import time

import gradio as gr
import torch.nn.functional as F

from translate.config import UserError
from translate.inference import images
from translate.inference.catalog import Entry
from translate.inference.images import Picture
from translate.reading import LONGEST
from translate.ui.explore import SEEDS, inline, whole
from translate.ui.lanes import Report
from translate.ui.nearest import nearest
from translate.ui.parts import Hint, Runner, line, on
from translate.ui.pictures import opened
from translate.ui.result import Result, Studio
from translate.ui.shelf import Shelf, title
from translate.ui.translate import elapsed, translate
from translate.ui.visit import Made
from translate.ui.words import W

FEWEST, MOST = 2, 4  # models side by side; all of them where that is asked for
SIDE = 512  # pixels, the longer side at which pictures go through many styles
PER_PICTURE = 0.3
PICTURE, CAPTION, SEED = W.compare.a_picture, W.compare.a_caption, W.compare.a_seed
KINDS = {PICTURE: "translators", CAPTION: "drawers", SEED: "samplers"}
REAL, FITS = W.compare.which_is_real, W.compare.which_fits_better
QUESTIONS = (REAL, FITS)
VOTE = """
const vote = window.vote(element, () => trigger("click"));
const take = () => { try { vote.show(JSON.parse(props.value || "null")); } catch { vote.show(null); } };
watch("value", take);
take();
"""


def offered(shelf: Shelf, kind: str) -> list[Entry]:
    """The models for a kind of input. Raises UserError for another kind."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise UserError(W.compare.no_such_kind.format(given=str(kind)[:40], known=", ".join(KINDS)))
    return getattr(shelf, KINDS[kind])()


def chosen(shelf: Shelf, kind: str, names, everything: bool) -> list[Entry]:
    """Two to four of them, or all. Raises UserError."""
    known = offered(shelf, kind)
    if everything:
        if not known:
            raise UserError(W.compare.no_model_for_it.format(kind=kind))
        return known
    choices = names if isinstance(names, list) else []
    found = [entry for entry in known if entry.name in choices]
    if not FEWEST <= len(found) <= MOST:
        raise Hint(W.compare.choose_some_models.format(fewest=FEWEST, most=MOST))
    return found


def compared(
    shelf: Shelf, kind, names, everything, source, caption, seed, session="", report: Report | None = None
) -> Made:
    """One picture of each model, from the same input."""
    found, seed, start = (
        chosen(shelf, kind, names, bool(everything)),
        whole(seed, "seed", 0, SEEDS - 1),
        time.perf_counter(),
    )
    pictures, before, words = [], None, [title(entry) for entry in found]
    if kind == PICTURE:
        if not source:
            raise Hint(W.common.give_a_picture_first)
        for entry in found:
            made = translate(shelf, entry.name, source, size="auto", session=session, report=report)
            pictures.append(made.pictures[0])
        before = opened(source, shelf.max_pixels)
        pictures, words = [before, *pictures], [W.compare.yours, *words]
    elif kind == CAPTION:
        text = (caption or "").strip()[: 2 * LONGEST]
        if not text:
            raise Hint(W.compare.type_a_caption_first)
        for entry in found:
            pipeline = shelf.pipeline(entry.name)
            with shelf.lanes.job(session, entry.name, 1, report, guess=PER_PICTURE):
                pictures += pipeline.imagine(text, 1, seed=seed)
    else:
        for entry in found:
            pipeline = shelf.pipeline(entry.name)
            with shelf.lanes.job(session, entry.name, 4, report, guess=PER_PICTURE):
                sheet = images.grid([one.tensor for one in pipeline.sample(4, seed=seed)])
            pictures.append(Picture(tensor=sheet))
    note = W.compare.made_in.format(count=len(found), time=elapsed(time.perf_counter() - start))
    note += "" if kind == PICTURE else W.compare.and_seed.format(seed=seed)
    note += W.compare.and_four_of_each if kind == SEED else ""
    return Made(alike(pictures), note, "compared", W.compare.title, alt=tuple(words))


def alike(pictures: list[Picture]) -> tuple[Picture, ...]:
    """In RGB, of one size: a download lays them in a grid."""
    height, width = (max(p.tensor.shape[axis] for p in pictures) for axis in (2, 3))
    scaled = []
    for picture in pictures:
        x = images.with_channels(picture, 3).float()
        if x.shape[2:] != (height, width):
            x = F.interpolate(x, (height, width), mode="nearest-exact")
        scaled.append(Picture(tensor=x))
    return tuple(scaled)


def scores(shelf: Shelf, kind, names, everything) -> str:
    """What is known of them, with its protocol, as Markdown. Scores taken differently are not mixed."""
    from translate.metrics import record

    found = chosen(shelf, kind, names, bool(everything))
    taken = [
        record.read(entry.folder / "scores.json")
        for entry in found
        if (entry.folder / "scores.json").exists()
    ]
    parts = []
    if taken:
        try:
            parts.append(record.comparison(taken))
        except UserError as error:  # protocols differ
            parts += [str(error), *(f"### {one.model}\n\n{record.table(one)}" for one in taken)]
    scored = {one.model for one in taken}
    for entry in found:
        if entry.name not in scored:
            on_record = on_card(entry) or W.compare.no_scores_yet.format(name=entry.name)
            parts.append(W.compare.scores_on_card.format(model=title(entry), scores=on_record))
    return "\n\n".join(parts)


def on_card(entry: Entry) -> str:
    """The section Scores of a model's card."""
    try:
        text = (entry.folder / "README.md").read_text()
    except OSError:
        return ""
    found = re.search(r"^##+ .*?[Ss]cores.*?\n(.*?)(?=^##? |\Z)", text, re.DOTALL | re.MULTILINE)
    return found[1].strip()[:3000] if found else ""


def ballot(shelf: Shelf, question, kind, names, everything, caption, seed, session="", report=None) -> str:
    """Two pictures in a random order, and what they are."""
    if not isinstance(question, str) or question not in QUESTIONS:
        raise UserError(W.compare.no_such_question.format(known=", ".join(QUESTIONS)))
    if kind == PICTURE:
        raise Hint(W.compare.votes_are_about_drawn)
    found = (
        offered(shelf, kind)
        if everything
        else [e for e in offered(shelf, kind) if isinstance(names, list) and e.name in names]
    )
    least = 1 if question == REAL else 2
    if len(found) < least:
        raise Hint(W.compare.choose_a_model if least == 1 else W.compare.choose_two_models)
    dice = random.Random()
    if question == REAL:
        entry = dice.choice(found)
        made, words = one(shelf, entry, dice, caption, session)
        known = nearest(shelf.lanes, shelf.pipeline(entry.name), session, report)
        real = Picture(tensor=known.picture(dice.choice(known.numbers))[None])
        pair = [(W.compare.real, real), (entry.name, made)]
        words = ""  # the real one has another caption
    else:
        two = dice.sample(found, 2)
        dice_seed = dice.randrange(SEEDS)
        pair = [(entry.name, *one(shelf, entry, random.Random(dice_seed), caption, session)) for entry in two]
        words = pair[0][2]
        pair = [(name, picture) for name, picture, _ in pair]
    dice.shuffle(pair)
    return json.dumps(dict(
        id=dice.randrange(SEEDS), question=question, words=words,
        pictures=[inline(Picture(tensor=images.with_channels(picture, 3))) for _, picture in pair],
        names=[name for name, _ in pair],
        real=[name for name, _ in pair].index(W.compare.real) if question == REAL else -1,
    ))  # fmt: skip


def one(shelf: Shelf, entry: Entry, dice: random.Random, caption, session: str) -> tuple[Picture, str]:
    """A picture of a model for a vote, and the caption it was drawn for."""
    pipeline, seed = shelf.pipeline(entry.name), dice.randrange(SEEDS)
    with shelf.lanes.job(session, entry.name, 1, guess=PER_PICTURE):
        if "text" not in pipeline.takes:
            return pipeline.sample(1, seed=seed)[0], ""
        text = (caption or "").strip()[: 2 * LONGEST] or dice.choice(pipeline.task.info.captions or ("",))
        return pipeline.imagine(text, 1, seed=seed)[0], text


def tab(studio: Studio, here: gr.Tab) -> None:
    """Build the tab `here`."""
    shelf = studio.shelf
    with gr.Row(elem_classes="result-first", equal_height=False):
        with gr.Column(min_width=320):
            kind = gr.Radio(list(KINDS), value=PICTURE, label=W.compare.given, elem_id="compare-kind")
            names = gr.CheckboxGroup(
                [], label=W.compare.how_many_models.format(fewest=FEWEST, most=MOST), elem_id="compare-names"
            )
            everything = gr.Checkbox(False, label=W.compare.all_of_them, elem_id="compare-all")
            source = gr.Image(
                label=W.common.picture,
                type="filepath",
                elem_id="compare-source",
                height=200,
                sources=["upload", "clipboard"],
            )
            caption = gr.Textbox(
                label=W.compare.caption, elem_id="compare-caption", max_length=2 * LONGEST, visible=False
            )
            seed = gr.Number(0, label=W.common.seed, precision=0, elem_id="compare-seed", visible=False)
            runner = Runner(shelf, "compare", W.compare.compare)
        with gr.Column(min_width=320):
            result = Result(studio, "compare", W.compare.hint)
            with gr.Accordion(W.compare.scores, open=False):
                scored = gr.Button(W.compare.show_their_scores, elem_id="compare-score")
                scores_message = line("compare-scores-message")
                table = gr.Markdown(elem_id="compare-scores")
            with gr.Accordion(W.compare.blind_vote, open=False):
                question = gr.Radio(
                    list(QUESTIONS), value=FITS, label=W.compare.question, elem_id="compare-question"
                )
                vote = gr.HTML("", elem_id="compare-vote", html_template="<div></div>", js_on_load=VOTE)
                vote_message = line("compare-vote-message")

    def listed(which):
        known = [(title(entry), entry.name) for entry in offered(shelf, which)]
        return {
            names: gr.update(choices=known, value=[name for _, name in known[:FEWEST]]),
            source: gr.update(visible=which == PICTURE),
            caption: gr.update(visible=which == CAPTION),
            seed: gr.update(visible=which != PICTURE),
        }

    def make(*values, session="", report=None):
        return compared(shelf, *values, session=session, report=report)

    def asked(request: gr.Request, *values):
        return ballot(shelf, *values, session=request.session_hash or "")

    # The last: a choice made while the tab is still being listed counts.
    shown = [names, source, caption, seed]
    on([here.select, kind.input], listed, kind, shown, runner.message, trigger_mode="always_last")
    chosen_ones = [kind, names, everything]
    result.of(
        [runner.go.click, caption.submit],
        make,
        [*chosen_ones, source, caption, seed],
        runner.message,
        what=W.compare.comparing,
    )
    on(scored.click, lambda *values: scores(shelf, *values), chosen_ones, table, scores_message)
    on(
        vote.click,
        asked,
        [question, *chosen_ones, caption, seed],
        vote,
        vote_message,
        work=True,
        show_progress="hidden",
    )
