"""python -m translate figure."""

import io
import sys
from pathlib import Path

from translate.commands import Overwrite, check_free
from translate.figures import lecture
from translate.inference.files import write

FORMATS = {".png": dict(dpi=100), ".svg": dict(metadata={"Date": None})}


def figure(
    name: str = "",
    /,
    *,
    list: bool = False,
    output: str = ".",
    data: str = "digits",
    budget: float = 1.0,
    seed: int = 0,
    overwrite: Overwrite = False,
) -> None:
    """Draw a figure of docs/lectures.md by the code it is about: NAME.png, NAME.svg, and its numbers.

    Args:
        name: of the figure, see --list; or all
        list: say which figures there are and what each claims
        output: a folder
        data: pictures for those that need some: digits (built in), or a folder with MNIST's files
        budget: share of the work; 1 is what the docs show, 0.1 a quick look
        seed: of everything random
    """
    if list or not name:
        wide = max(map(len, lecture.names()))
        for each in lecture.names():
            print(f"{each:{wide}}  {lecture.claim(each)}")
        return
    chosen = lecture.names() if name == "all" else [lecture.check(name)]
    check_free([Path(output, each + end) for each in chosen for end in FORMATS], overwrite)

    from translate import machine

    machine.tune()
    work = lecture.Work(budget, data, seed, lambda words: print(words, file=sys.stderr))
    for each in chosen:
        drawn = lecture.draw(each, work)
        for end, options in FORMATS.items():
            file = io.BytesIO()
            drawn.picture.savefig(file, format=end[1:], **options)
            write(Path(output, each + end), file.getvalue())
            print(Path(output, each + end))
        for what, value in drawn.numbers.items():
            print(f"  {what}: {value:.4g}")
