"""Open the page: `python app.py`, then http://127.0.0.1:7860."""

from pathlib import Path


def main(
    host: str = "127.0.0.1", port: int | None = None, auth: str | None = None, share: bool = False,
    models: Path | None = None, max_pixels: int = 40_000_000, train: bool = True, mcp: bool = False,
    words: Path | None = None,
) -> None:  # fmt: skip
    """Translate pictures in the browser.

    Args:
        host: address to listen on; 0.0.0.0 is every network this machine is in
        port: default the first free one from 7860 on
        auth: user:password that visitors must give
        share: also make a public link through Gradio's servers
        models: folder of model folders, instead of pretrained/ and runs/
        max_pixels: of a picture that is given; larger ones are refused with a sentence
        train: visitors may train models; --no-train for machines that others can reach
        mcp: assistants may call the models as tools, at /mcp (Model Context Protocol)
        words: of a page in another language: a translated copy of translate/ui/english.toml
    """
    from translate import machine

    machine.tune()  # before anything imports torch
    from translate.ui.words import ENGLISH, use

    use(words or ENGLISH)  # before anything imports the page
    from translate.ui import page

    page.serve(host, port, auth, share, models, max_pixels, train, mcp)


if __name__ == "__main__":
    import tyro

    from translate.cli import exit_code

    raise SystemExit(exit_code(lambda: tyro.cli(main)))
