"""Tab Playground: a GAN of points trains in the page; one sees why games go well or wrong. See games.py."""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator

import gradio as gr

from translate.config import UserError
from translate.ui.games import DATA, GAMES, NETWORKS, PENALTIES, PRESETS, RATES, VIEWS, Rules, Table, one_of
from translate.ui.lanes import Stopped
from translate.ui.parts import QUICK, line, on, problem, remark
from translate.ui.result import Studio
from translate.ui.words import W

SLICE = 0.04  # seconds of training between two pictures
PLAYED = 180.0  # seconds until a game pauses by itself
PLAYERS = 8  # games that may train at once; they take turns with everybody's jobs
KEPT = 64  # games in memory, the newest
FAST = W.playground.fast
PACES = {FAST: 10**6, W.playground.one_turn_a_picture: 1}
STILL = 0.12  # seconds a picture stays at the slow pace
LEAST = 0.07  # at any pace: a browser that gets more than it can show answers no button any more
BOARD = """
const board = window.playground(element);
const take = () => { try { board.show(JSON.parse(props.value || "null")); } catch { board.show(null); } };
watch("value", take);
take();
"""


class Tables:
    """Every visitor's game."""

    def __init__(self):
        self.known: OrderedDict[str, Table] = OrderedDict()
        self.lock = threading.Lock()

    def of(self, session: str, rules: Rules) -> Table:
        """The session's game, now by these rules once it is its turn; a new one where there is none."""
        with self.lock:
            table = self.known.get(session)
            if table is None:
                table = self.known[session] = Table(rules)
            self.known.move_to_end(session)
            while len(self.known) > KEPT:
                self.known.popitem(last=False)
            return table


def shown(table: Table) -> str:
    return json.dumps(table.frame(), separators=(",", ":"))


def tab(studio: Studio, here: gr.Tab) -> None:
    """Build the tab `here`."""
    shelf, tables = studio.shelf, Tables()
    first, (start, explanation) = next(iter(PRESETS)), next(iter(PRESETS.values()))
    gr.Markdown(
        W.playground.heading,
        elem_id="playground-head",
    )
    with gr.Row(equal_height=False, elem_id="playground-row"):
        with gr.Column(min_width=320, elem_id="playground-first"):
            preset = gr.Radio(
                list(PRESETS), value=first, label=W.playground.what_to_see, elem_id="playground-preset"
            )
            why = gr.Markdown(explanation, elem_id="playground-why")
            with gr.Row():
                play = gr.Button(
                    W.playground.play, variant="primary", elem_id="playground-play", min_width=60
                )
                pause = gr.Button(W.common.pause, elem_id="playground-pause", min_width=60)
                step = gr.Button(W.playground.step, elem_id="playground-step", min_width=60)
                reset = gr.Button(W.playground.reset, elem_id="playground-reset", min_width=60)
        with gr.Column(min_width=320, elem_id="playground-rules"):
            pace = gr.Radio(list(PACES), value=FAST, label=W.playground.pace, elem_id="playground-pace")
            view = gr.Radio(
                list(VIEWS), value=VIEWS[0], label=W.playground.surface, elem_id="playground-view"
            )
            data = gr.Dropdown(
                list(DATA), value=start.data, label=W.playground.data, elem_id="playground-data"
            )
            game = gr.Dropdown(
                list(GAMES), value=start.game, label=W.playground.game, elem_id="playground-game"
            )
            with gr.Row():
                penalty = gr.Dropdown(
                    list(PENALTIES), value=start.penalty, label=W.playground.penalty_on_d,
                    elem_id="playground-penalty", min_width=130,
                )  # fmt: skip
                strength = gr.Number(
                    start.strength, label=W.playground.its_weight, elem_id="playground-strength", min_width=90
                )
            k = gr.Slider(1, 20, start.k, step=1, label=W.playground.updates_of_d, elem_id="playground-k")
            unroll = gr.Slider(
                0,
                10,
                start.unroll,
                step=1,
                label=W.playground.updates_ahead,
                elem_id="playground-unroll",
            )
            with gr.Row():
                rate_g, rate_d = (
                    gr.Dropdown(
                        RATES, value=rate, label=W.playground.step_size_of.format(name=name),
                        elem_id=f"playground-rate-{name}", min_width=120,
                    )
                    for name, rate in (("G", start.rate_g), ("D", start.rate_d))
                )  # fmt: skip
            momentum = gr.Slider(
                0, 0.9, start.momentum, step=0.1, label=W.playground.momentum, elem_id="playground-momentum"
            )
            network = gr.Dropdown(
                list(NETWORKS), value=start.network, label=W.playground.networks, elem_id="playground-network"
            )
        with gr.Column(min_width=320, elem_id="playground-board"):
            board = gr.HTML("", elem_id="playground", html_template="<div></div>", js_on_load=BOARD)
            message = line("playground-message")
    controls = [data, game, penalty, strength, k, unroll, rate_g, rate_d, momentum, network]

    def sitting(request: gr.Request, view: str, values) -> tuple[Table, str]:
        """The visitor's game, told what the controls say."""
        one_of("surface", view, VIEWS)
        session, rules = request.session_hash or "", Rules(*values)
        table = tables.of(session, rules)
        table.view, table.wanted = view, rules
        return table, session

    def playing(request: gr.Request, pace, view, *values) -> Iterator:
        """Pictures until somebody presses Pause."""
        table = None
        try:
            one_of("pace", pace, PACES)
            table, session = sitting(request, view, values)
            if table.playing:
                return
            table.playing, table.most = True, PACES[pace]
            end = time.monotonic() + PLAYED
            while table.playing and (begun := time.monotonic()) < end:
                with shelf.lanes.job(session, "playground", 1, guess=SLICE):
                    table.follow(table.wanted)
                    table.play(SLICE, table.most)
                    frame = shown(table)
                yield {board: frame, message: ""}
                least = STILL if table.most == 1 else LEAST
                time.sleep(max(0.0, begun + least - time.monotonic()))
            if table.playing:
                yield {message: remark(W.playground.paused_by_itself)}
        except Stopped:
            pass
        except UserError as error:
            yield {message: problem(str(error))}
        finally:
            if table is not None:
                table.playing = False

    def once(table: Table, session: str, updates: int, anew: bool = False):
        """The picture after so many updates; one that plays shows it by itself."""
        if table.playing and not anew:
            return {board: gr.skip()}
        with shelf.lanes.job(session, "playground", 1, guess=SLICE):
            if anew:
                table.rules, table.seed = table.wanted, table.seed + 1
                table.begin()
            table.follow(table.wanted)
            if updates:
                table.play(0.0, updates)
            return shown(table)

    def looked(request: gr.Request, view, *values):
        return once(*sitting(request, view, values), 0)

    def stepped(request: gr.Request, view, *values):
        return once(*sitting(request, view, values), 1)

    def reset_(request: gr.Request, view, *values):
        return once(*sitting(request, view, values), 0, anew=True)

    def paused(request: gr.Request):
        if table := tables.known.get(request.session_hash or ""):
            table.playing = False

    def paced(request: gr.Request, pace):
        one_of("pace", pace, PACES)
        if table := tables.known.get(request.session_hash or ""):
            table.most = PACES[pace]

    def chosen(name):
        one_of("preset", name, PRESETS)
        rules, explanation = PRESETS[name]
        return {why: explanation, **dict(zip(controls, vars(rules).values(), strict=True))}

    all_of = [view, *controls]
    on(on(preset.input, chosen, preset, [why, *controls], message).then, reset_, all_of, board, message)
    options = QUICK | dict(concurrency_id="play", concurrency_limit=PLAYERS)
    play.click(playing, [pace, *all_of], [board, message], **options)
    on(pause.click, paused, None, None, message)
    on(pace.input, paced, pace, None, message)
    on(step.click, stepped, all_of, board, message)
    on(reset.click, reset_, all_of, board, message)
    changes = [c.release if isinstance(c, gr.Slider) else c.input for c in controls]
    on([*changes, view.input, here.select], looked, all_of, board, message, trigger_mode="always_last")
