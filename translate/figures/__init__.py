"""Pictures of what a training does."""

import textwrap

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from translate.figures.scatter import scatter


def to_rgb(pictures: Tensor) -> Tensor:
    """[B, 1|3|4, H, W] in [-1, 1] to [B, 3, H, W]; transparent parts become white."""
    if pictures.shape[1] == 1:
        return pictures.expand(-1, 3, -1, -1)
    if pictures.shape[1] == 4:
        alpha = (pictures[:, 3:] + 1) / 2
        return pictures[:, :3] * alpha + (1 - alpha)
    return pictures[:, :3]


NOTE = 240  # pixels, width of the sentences beside the rows


def grid(columns: dict[str, Tensor], gap: int = 4, notes: list[str] | None = None) -> Image.Image:
    """One row per sample, one titled column per entry; entries are [B, C, H, W] in [-1, 1].

    A single column (samples of an unconditional model) is laid out as a square. notes: a sentence beside
    each row. Points [N, D] become one scatter plot.
    """
    if all(column.dim() == 2 for column in columns.values()):
        return scatter(columns)
    pictures = {title: to_rgb(p.detach().float().cpu().clamp(-1, 1)) for title, p in columns.items()}
    if len(pictures) == 1:
        (title, only), *_ = pictures.items()
        across = max(1, round(len(only) ** 0.5))
        cells = [list(only[i : i + across]) for i in range(0, len(only), across)]
        titles = [title]
    else:
        cells = [list(row) for row in zip(*pictures.values(), strict=True)]
        titles = list(pictures)
    font = ImageFont.load_default(12)
    height = max(c.shape[1] for row in cells for c in row)
    width = max(c.shape[2] for row in cells for c in row)
    head, left = 18, gap + len(cells[0]) * (width + gap)
    size = left + NOTE * (notes is not None), head + gap + len(cells) * (height + gap)
    canvas = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(canvas)
    for y, note in enumerate(notes or []):
        lines = textwrap.wrap(note, 36, max_lines=max(1, height // 15))
        pen.text((left + 4, head + gap + y * (height + gap)), "\n".join(lines), fill="black", font=font)
    for x, title in enumerate(titles):
        pen.text((gap + x * (width + gap), 3), title, fill="black", font=font)
    for y, row in enumerate(cells):
        for x, cell in enumerate(row):
            bytes_ = ((cell.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
            canvas.paste(Image.fromarray(bytes_), (gap + x * (width + gap), head + gap + y * (height + gap)))
    return canvas


def curve(points: list[tuple[int, float]], title: str, best: int | None = None) -> Image.Image:
    """A line through (update, value), its ends and its best point named; 480 x 270 px."""
    width, height, left, top, right, bottom = 480, 270, 64, 28, 16, 28
    canvas = Image.new("RGB", (width, height), "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(12)
    steps, values = [t for t, _ in points], [v for _, v in points]
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - margin, high + margin

    def place(t: int, value: float) -> tuple[float, float]:
        across = (t - steps[0]) / max(1, steps[-1] - steps[0])
        up = (value - low) / (high - low)
        return left + across * (width - left - right), height - bottom - up * (height - top - bottom)

    pen.text((left, 8), title, fill="black", font=font)
    for value in (low + margin, (low + high) / 2, high - margin):
        y = place(steps[0], value)[1]
        pen.line([(left, y), (width - right, y)], fill="#dddddd")
        pen.text((4, y - 7), f"{value:.4g}", fill="#555555", font=font)
    for t in dict.fromkeys((steps[0], steps[-1])):
        wide = pen.textlength(f"{t:,}", font=font)
        pen.text(
            (min(place(t, low)[0], width - right - wide), height - bottom + 6), f"{t:,}", fill="#555555",
            font=font,
        )  # fmt: skip
    path = [place(t, v) for t, v in points]
    if len(path) > 1:
        pen.line(path, fill="#1f5fa8", width=2)
    for number, (x, y) in enumerate(path):
        size, colour = (5, "#c2410c") if number == best else (2, "#1f5fa8")
        pen.ellipse([x - size, y - size, x + size, y + size], fill=colour)
    if best is not None:
        x, y = path[best]
        words = f"best: {values[best]:.4g} at {steps[best]:,}"
        wide = pen.textlength(words, font=font)
        across = min(max(left, x - wide / 2), width - right - wide)
        pen.text((across, y - 22 if y > top + 24 else y + 8), words, fill="#c2410c", font=font)
    return canvas
