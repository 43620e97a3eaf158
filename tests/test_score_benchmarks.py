"""The benchmark scripts that score models: what is evaluated is `translate.metrics`, tables are theirs."""

import dataclasses

import pytest
import torch
from PIL import Image

import datasets
import datasets.birds
from benchmarks import captions, emoji, superresolution
from datasets.birds import ATTRIBUTES
from tests.conftest import build
from translate import inputs, metrics
from translate.metrics import captions as metric
from translate.metrics import evidence, frechet
from translate.metrics import reader as readers
from translate.task import find
from translate.training import checkpoint

STYLES = ("line", "openmoji", "noto", "twemoji")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_CACHE", str(tmp_path / "cache"))


def reader(path, heads) -> str:
    torch.manual_seed(0)
    made = readers.Reader(heads, size=32, width=4)
    with torch.no_grad():
        for module in made.modules():  # so that what is seen reaches the features of this untrained network
            if isinstance(module, torch.nn.Conv2d):
                module.weight *= 3
    readers.save(made, path, {})
    return str(path)


def model(name: str, folder, samples, **settings):
    config = dataclasses.replace(find(name).tiny(), **settings)
    return checkpoint.write_model(folder, build(find(name), samples, config), steps=7)


def rows(text: str, first: str = "") -> dict[str, list[str]]:
    """Of the Markdown tables in a text: the cells of each row whose name begins so."""
    found = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return {name: cells for name, *cells in found if name.startswith(first)}


def test_emoji(tmp_path, capsys, monkeypatch):
    """MAE, pooled PSNR and sharpness by hand, of pictures that the model makes in float32."""
    for part, count in (("train", 3), ("test", 5)):
        for shift, style in enumerate(STYLES):
            (tmp_path / "emoji" / part / style).mkdir(parents=True)
            for i in range(count):
                colour = (40 * i, 30 * shift, 99)
                picture = Image.new("RGB", (16, 16), colour)
                picture.putpixel((i, shift), (255, 255, 255))
                picture.save(tmp_path / "emoji" / part / style / f"{i}.png")
    data = str(tmp_path / "emoji")
    sides = dict(a=f"{data}/train/line", b=f"{data}/train/openmoji")
    sketch = model("pix2pix", tmp_path / "sketch", datasets.load("paired", data, size=16, **sides), **sides)
    sides = dict(a=f"{data}/train/noto", b=f"{data}/train/twemoji")
    both = datasets.load("unpaired", data, size=16, **sides)
    unpaired = model("cyclegan", tmp_path / "unpaired", both, **sides)
    styles = reader(tmp_path / "styles.safetensors", {"style": STYLES})
    monkeypatch.setattr(emoji, "FEATURES", styles)
    emoji.main(
        emoji.Settings(
            data=data, sketch=sketch, unpaired=unpaired, reader=styles, sheets=tmp_path / "sheets",
            output=tmp_path / "numbers.json",
        )
    )  # fmt: skip
    told = capsys.readouterr().out
    first, second, third = told.split(", 5 test emoji, 128 px")[1:]
    sides = dict(a=f"{data}/test/line", b=f"{data}/test/openmoji")
    pairs = datasets.load("paired", data, size=16, split="test", resize="resize", flip=False, **sides)
    samples = [pairs.sample(i, torch.Generator()) for i in range(5)]
    a, b = (torch.stack([s[key] for s in samples]) for key in "ab")
    with torch.inference_mode():
        made = checkpoint.read_model(sketch)(image=a)
    for name, ours in (("copied", a), ("L1 + cGAN", made)):
        of_hand = [metrics.mae([ours], [b]), metrics.psnr([ours], [b]), metrics.sharpness([ours], [b])]
        cells = list(map(float, rows(first)[name]))
        assert cells[:3] == pytest.approx([score.value for score in of_hand], rel=2e-2), name
        assert cells[3] == pytest.approx(cells[0] / float(rows(first)["copied"][0]), abs=2e-3)
    assert rows(first)["truth"][:3] == ["0.000", "inf", "1.000"]
    for part, style in ((second, "twemoji"), (third, "noto")):
        assert f"| read as {style} | mae | pooled psnr | sharpness | fid[styles] | mae / copied |" in part
        assert float(rows(part)["truth"][4]) < 1e-3 and float(rows(part)["CycleGAN"][1]) > 1
    assert len(list((tmp_path / "sheets").iterdir())) == 3 and (tmp_path / "numbers.json").exists()


def test_captions(tmp_path, capsys, monkeypatch):
    """R-precision, fidelity, the Frechet distance and diversity, against the functions themselves."""
    monkeypatch.setattr(datasets.birds, "EPOCH", 20)  # birds whose attributes are known
    monkeypatch.setattr(evidence, "ALIKE", 2)  # captions of which several pictures are made
    data = datasets.load("captions", "birds:24", size=32)
    folder = model("gan_cls", tmp_path / "model", data, size=32, data="birds:24")
    torch.manual_seed(0)
    judge = metric.Judge(tuple(data.info["vocabulary"]), width=16)
    metric.save(judge, tmp_path / "judge.safetensors")
    attributes = reader(tmp_path / "attributes.safetensors", ATTRIBUTES)
    captions.main(
        captions.Settings(
            models=(str(folder),), data="birds:400", count=110, judge=tmp_path / "judge.safetensors",
            reader=attributes, features=(attributes,), sheets=tmp_path / "sheets",
        )
    )  # fmt: skip
    told = capsys.readouterr().out
    assert "model: D(match) - D(mismatch) unknown: no state, or no D" in told
    chosen = captions.held_out("birds:400", 110, 32)
    samples = [chosen.sample(i, None) for i in range(110)]
    real, texts = torch.stack([s["image"] for s in samples]), [s["caption"] for s in samples]
    task = checkpoint.read_model(folder)
    noise = inputs.draw_noise(task, 110, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        made = task(text=texts, noise=noise)
    net, _ = frechet.network(attributes)
    distance = frechet.frechet(frechet.described([made], net), frechet.described([real], net))
    last = rows(told.split("110 captions;")[1])
    kinds = chosen.kinds if hasattr(chosen, "kinds") else None
    judge = metric.load(tmp_path / "judge.safetensors")
    for name, pictures in (("real", real), ("model", made)):
        for cell, x in zip(last[name], (pictures, pictures.roll(55, 0)), strict=False):
            assert float(cell) == pytest.approx(metric.r_precision(judge, x, texts, kinds).value, abs=0.02)
    assert float(last["model"][2]) == pytest.approx(distance.value, abs=0.06)
    fidelity = rows(told.split("110 captions;")[0])
    assert len(fidelity["model"]) == len(ATTRIBUTES) + 1 and "chance: pictures of other captions" in fidelity
    assert (tmp_path / "sheets" / "captions.png").exists()


def test_superresolution(tmp_path, capsys):
    """Whole pictures of several sizes, beside bicubic; figures are those of `metrics.enlarged`."""
    from datasets.lowres import imresize, valued
    from translate.metrics import enlarged

    generator, truths, bicubic = torch.Generator().manual_seed(0), [], []
    for i, (height, width) in enumerate(((48, 64), (80, 52))):
        high = (torch.rand(3, height // 8, width // 4, generator=generator) * 255).byte()
        high = imresize(high, height, width).byte()
        low = imresize(high, height // 4, width // 4).byte()
        for part, picture in (("hr", high), ("lr_x4", low)):
            (tmp_path / "set" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / "set" / part / f"{i}.png")
        truths.append(valued(high)[None])
        bicubic.append(valued(imresize(low, height, width))[None])
    data = datasets.load("lowres", "birds:4", size=32)
    folder = model("srgan", tmp_path / "model", data, size=32)
    made = superresolution.scores(
        superresolution.Settings(data=str(tmp_path / "set"), models=(str(folder),), ensemble=False)
    )
    told = capsys.readouterr().out
    for name, pictures in (("bicubic", bicubic), ("model", made["model"])):
        by_hand = [
            enlarged.psnr(pictures, truths, 4), enlarged.ssim(pictures, truths, 4),
            enlarged.psnr(pictures, truths, 4, "RGB"),
        ]  # fmt: skip
        expected = [f"{by_hand[0].value:.2f}", f"{by_hand[1].value:.4f}", f"{by_hand[2].value:.2f}"]
        assert rows(told)[name][-3:] == expected
    assert "PSNR on Y (BT.601 studio range), border 4 cut, 8 bits, mean of 2 pictures" in told
