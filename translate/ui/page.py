"""The whole page: its look, its tabs, its limits."""

import os
import signal
import sys
import tempfile
from pathlib import Path

import gradio as gr
from gradio.routes import App, ORJSONResponse
from starlette.types import ASGIApp

from translate.config import UserError
from translate.inference.catalog import HERE
from translate.ui import (
    api,
    caption,
    compare,
    enhance,
    erase,
    explore,
    mcp,
    models,
    playground,
    samples,
    several,
    train,
    translate,
    wall,
)
from translate.ui.gate import Gate
from translate.ui.opening import Opening, Sessions
from translate.ui.parts import THREADS, on
from translate.ui.pictures import folder as page_folder
from translate.ui.result import STATIC, Studio
from translate.ui.shelf import MAX_PIXELS, Shelf
from translate.ui.trainer import Trainer
from translate.ui.values import SHOWN, Page
from translate.ui.words import W, script

UPLOAD_LIMIT = "64mb"
WAITING = 1000  # events in the queue, of which most are answered at once; `lanes` limits jobs

WALLS = ("translate", "caption", "enhance", "erase", "samples")  # sections of tab Start

CSS = """
.gradio-container, .gradio-container > main { width: 100%; }
/* Tabs are measured here: so small that none goes into a menu. */
.visually-hidden.tab-container button { font-size: 1px; padding: 0; }
#tabs > .tab-wrapper, #tabs > .tab-wrapper .tab-container { height: auto; flex-wrap: wrap; }
#tabs > .tab-wrapper .tab-container:not(.visually-hidden) button { height: 38px; padding: 0 14px; }
#tabs > .tab-wrapper button.selected { color: var(--primary-800); }
.dark #tabs > .tab-wrapper button.selected { color: var(--primary-200); }
@media (max-width: 800px) {
  #tabs > .tab-wrapper .tab-container:not(.visually-hidden) { gap: 6px; padding-bottom: 8px; }
  #tabs > .tab-wrapper .tab-container:not(.visually-hidden) button { border-radius: 19px; padding: 0 12px;
    border: 1px solid var(--border-color-primary); background: var(--background-fill-primary); }
  #tabs > .tab-wrapper .tab-container button.selected::after { display: none; }
  #tabs > .tab-wrapper .tab-container:not(.visually-hidden) button.selected { background: var(--primary-600);
    color: #fff; border-color: transparent; }
}
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
#head h1 { margin-bottom: 0; }
#head p { margin-top: 4px; color: var(--body-text-color-subdued); }
#alive { position: sticky; top: 0; z-index: 1000; padding: 8px 16px; text-align: center; color: #fff;
  background: #9a3412; }
#alive button { margin-left: 8px; padding: 2px 12px; border: 1px solid #fff; border-radius: 6px; }
.block.line { margin-top: -16px; }  /* of the gap above it; see .line p */
#caption-result:not(:has(.viewer.filled)) ~ #caption-again { display: none; }
.image-container, .block.folders, .block > .empty {
  border: 1px dashed var(--border-color-primary) !important; }
.block.folders [data-testid="block-label"] { position: static; max-width: calc(100% - 72px); }
.prose table { display: block; overflow-x: auto; }
.prose :is(th, td) { min-width: 72px; overflow-wrap: normal; word-break: normal; }
.form, .gr-group, .styler { gap: 14px !important; background: transparent !important; border: 0 !important; }
.styler button.lg { border: 1px solid var(--button-secondary-border-color);
  border-radius: var(--button-large-radius); }
.line p { margin: 16px 0 0; padding: 6px 10px; border-radius: 8px; }
.line .problem { background: color-mix(in srgb, #d97706 14%, transparent); border-left: 3px solid #d97706; }
.line .remark { color: var(--body-text-color-subdued); padding-left: 0; }
#description p { margin: 0 0 2px; }
#description small { color: var(--body-text-color-subdued); }
#models-head { align-items: center; flex-wrap: nowrap; }
#models-refresh { min-height: 42px; }
#models-gallery .grid-wrap { height: auto; min-height: 0; max-height: 420px; overflow-y: auto; }
#models-gallery .grid-container { grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); }
#models-gallery .thumbnail-item { width: 100%; height: auto; aspect-ratio: 1; }
.examples .grid-wrap { height: auto; min-height: 0; max-height: 216px; overflow-y: auto; }
.examples .grid-container { grid-template-columns: repeat(auto-fill, minmax(72px, 1fr));
  align-content: start; padding: 0; }
.examples .thumbnail-item { width: 100%; height: auto; aspect-ratio: 1; }
.pictures .grid-wrap { height: auto !important; min-height: 0; max-height: none; }
.pictures .grid-container { grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); height: auto; }
.pictures .thumbnail-item { width: 100%; height: auto; aspect-ratio: 1; }
#caption-moving img { width: 100%; height: 100%; object-fit: contain; }
input[type="range"]::-webkit-slider-thumb { border: 2px solid var(--primary-600); }
input[type="range"]::-moz-range-thumb { border: 2px solid var(--primary-600); }
.portrait { display: block; max-width: 100%; max-height: 480px; margin: 0 auto; border-radius: 8px; }
.ends { align-items: end; }
.chips { display: flex; flex-wrap: wrap; gap: 6px; }
.chips span { padding: 2px 10px; border-radius: 12px; font-size: 13px;
  background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary); }
.chips i { display: inline-block; width: 11px; height: 11px; border-radius: 50%; margin-right: 6px;
  border: 1px solid #0003; vertical-align: -1px; }
.chips .lost { opacity: 0.6; }
#input img { width: 100%; height: 100%; object-fit: contain; }
footer { display: none !important; }
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { animation: none !important; transition: none !important; }
}
"""


# The page asks now and then whether the server is the one it was opened from: after a restart its session and
# its uploads are gone, and Gradio says nothing.
ALIVE = """<script>
(() => {
  let first = null, lost = 0;
  function say(sentence, again) {
    let bar = document.getElementById("alive");
    if (!sentence) { bar?.remove(); return; }
    if (!bar) {
      bar = document.createElement("div");
      bar.id = "alive";
      bar.setAttribute("role", "alert");
      document.body.prepend(bar);
    }
    bar.textContent = sentence + " ";
    if (again) {
      const button = document.createElement("button");
      button.textContent = words.alive.reload;
      button.onclick = () => location.reload();
      bar.append(button);
    }
  }
  async function look() {
    try {
      const soon = AbortSignal.timeout(8000);
      const answer = await fetch("./gradio_api/app_id", {cache: "no-store", signal: soon});
      const id = (await answer.json()).app_id;
      first ??= id;
      lost = 0;
      say(id == first ? "" : words.alive.started_anew, true);
    } catch { if (++lost > 1) say(words.alive.no_answer); }
    setTimeout(look, lost ? 2000 : document.hidden ? 30000 : 6000);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden && lost) look(); });
  look();
})();
</script>"""


def static(pattern: str) -> str:
    """The files of the page's own parts, in one."""
    return "\n".join(file.read_text() for file in sorted(STATIC.glob(pattern)))


def theme() -> gr.themes.Base:
    """System fonts only: the page fetches nothing from elsewhere."""
    fonts = ("ui-sans-serif", "system-ui", "sans-serif")
    soft = gr.themes.Soft(
        primary_hue="indigo", neutral_hue="slate", font=fonts, font_mono=("ui-monospace", "monospace")
    )
    readable = dict(  # contrasts of 4.5 and more, by axe-core
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_300",
        block_label_text_color="*primary_800", block_label_text_color_dark="*primary_100",
        block_title_text_color="*primary_800", block_title_text_color_dark="*primary_100",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_secondary_background_fill_hover_dark="*neutral_700",
        checkbox_label_background_fill_selected="*primary_600",
        checkbox_label_background_fill_selected_dark="*primary_600",
        checkbox_label_text_color_selected="white", checkbox_label_text_color_selected_dark="white",
        color_accent="*primary_600",
    )  # fmt: skip
    edges = dict(  # what can be written in or pressed has an edge that is seen; blocks begin where columns do
        block_padding="0px", block_background_fill="transparent", block_background_fill_dark="transparent",
        block_border_width_dark="0px", block_title_padding="0px", block_title_background_fill="none",
        block_title_background_fill_dark="none", block_title_text_weight="600",
        input_border_width="1px", input_border_color="*neutral_400", input_border_color_dark="*neutral_500",
        input_border_width_dark="1px", checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_400", checkbox_label_border_width="1px",
        checkbox_label_border_width_dark="1px", checkbox_label_border_color="*neutral_300",
        checkbox_label_border_color_dark="*neutral_600", button_border_width="1px",
        button_border_width_dark="1px", button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600", button_primary_border_color="transparent",
        button_primary_border_color_dark="transparent",
    )  # fmt: skip
    return soft.set(**readable | edges)


class Guarded(App):
    """Gradio's application behind the gate, which sees every request first."""

    def __init__(self, *gate):
        """gate: what `Gate` is given beside the application."""
        super().__init__(default_response_class=ORJSONResponse)
        self.gate = gate

    def build_middleware_stack(self) -> ASGIApp:
        return Gate(super().build_middleware_stack(), *self.gate)


def build(shelf: Shelf, trainer: Trainer | None = None) -> Page:
    """The page, not yet served. trainer: who trains; None for a page that only uses models."""
    # Uploads and results older than a day are deleted, looked for every hour.
    with Page(title=W.page.translate, analytics_enabled=False, delete_cache=(3600, 86400)) as page:
        gr.Markdown(W.page.heading, elem_id="head")
        studio = Studio(shelf, page)
        with gr.Tabs(elem_id="tabs") as studio.tabs:
            with gr.Tab(W.page.start, id="start") as first:
                start = [wall.section(f"wall-{name}") for name in WALLS]
            with gr.Tab(W.page.translate, id="translate") as second:
                translate.tab(studio, second, start[0])
            with gr.Tab(W.page.from_words, id="caption") as third:
                caption.tab(studio, third, start[1])
            with gr.Tab(W.page.enlarge, id="enhance") as fourth:
                enhance.tab(studio, fourth, start[2])
            with gr.Tab(W.page.erase, id="erase") as fifth:
                erase.tab(studio, fifth, start[3])
            with gr.Tab(W.page.from_noise, id="samples") as sixth:
                samples.tab(studio, sixth, start[4])
            with gr.Tab(W.page.several_pictures, id="several") as seventh:
                several.tab(shelf, page)
            with gr.Tab(W.page.explore, id="explore") as explored:
                explore.tab(studio, explored)
            with gr.Tab(W.page.compare, id="compare") as compared:
                compare.tab(studio, compared)
            with gr.Tab(W.page.playground, id="playground") as played:
                playground.tab(studio, played)
            rest = [first, second, third, fourth, fifth, sixth, seventh, explored, compared, played]
            if trainer:
                with gr.Tab(W.page.train, id="train") as teach:
                    pass
            with gr.Tab(W.page.models, id="models") as eighth:
                models.tab(shelf, eighth, [*rest, *([teach] if trainer else [])])
            if trainer:
                with teach:
                    train.tab(studio, teach, [*rest, eighth], trainer)
        studio.finish()

        def walls():
            return (
                wall.filled(W.page.pictures_into_pictures, shelf.translators()),
                wall.filled(W.page.words_into_pictures, shelf.drawers()),
                wall.filled(W.page.small_into_large, shelf.enlargers()),
                wall.filled(W.page.something_gone, shelf.fillers()),
                wall.filled(W.page.out_of_chance, shelf.samplers()),
            )

        on(page.load, walls, None, start)
        on(start[0].returned, walls, None, start)
        api.endpoints(shelf)
    return page.queue(max_size=WAITING, api_open=False)


def serve(
    host: str,
    port: int | None,
    auth: str | None,
    share: bool,
    folder: Path | None,
    max_pixels: int = MAX_PIXELS,
    trains: bool = True,
    tools: bool = False,
) -> None:
    """Show the page until Ctrl-C. Raises UserError for what cannot be served."""
    user, colon, password = (auth or "").partition(":")
    if auth is not None and not (user and colon and password):
        raise UserError("--auth must be user:password")
    if folder is not None and not folder.is_dir():
        raise UserError(f"--models {folder} is no folder")
    if share:
        known = "" if auth else " Give --auth user:password unless that is what you want."
        print(f"--share: whoever knows the public address can use this page.{known}", flush=True)
    with tempfile.TemporaryDirectory(prefix="translate-") as temporary:
        os.environ["GRADIO_TEMP_DIR"] = temporary  # uploads and results; nothing else is written
        os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)  # or a table of all is sorted each time
        shelf = Shelf([folder] if folder else None, max_pixels)
        trainer = Trainer(folder or HERE / "runs") if trains else None
        page = build(shelf, trainer)
        shown = page_folder() / SHOWN  # where the wall's pictures come one by one
        shown.mkdir()
        opening = Opening(page, lambda: (shelf.stamp(), shown.stat().st_mtime_ns))
        try:
            _, local, public = page.launch(
                server_name=host,
                server_port=port,
                auth=(user, password) if auth else None,
                share=share,
                max_file_size=UPLOAD_LIMIT,
                max_threads=THREADS,
                allowed_paths=[],
                footer_links=[],
                theme=theme(),
                css=CSS + static("*.css"),
                head=f"<script>{script()}\n{static('*.js')}</script>" + ALIVE,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
                _app=Guarded(page, opening, mcp.Tools(shelf, page) if tools else None),
                _frontend=False,  # or Gradio gives up where its own HEAD / takes 3 s, on a busy machine
            )
        except OSError as error:
            taken = f"port {port} is taken or not allowed; choose another --port" if port else str(error)
            raise UserError(f"cannot listen on {host}: {taken}") from None
        if trainer:
            trainer.recover()
        page.app.state_holder = Sessions(page, opening)
        wall.painted_in_background(shelf, page_folder())
        where = local + (f" and {public}" if public else "")
        print(f"Translate is open at {where} (Ctrl-C closes it)", flush=True)
        if tools:
            print(f"Assistants find its tools at {local.rstrip('/')}/mcp", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the folder is deleted then, too
        try:
            page.block_thread()
        finally:
            if trainer:
                trainer.close()
