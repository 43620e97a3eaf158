"""Next-frame prediction against its paper, and films continued."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import datasets
from models.common import objectives
from models.translation.next_frame import NextFrame, gdl, scales
from tests.conftest import build
from tests.test_methods import losses_of
from translate.config import UserError
from translate.inference.pipeline import Pipeline
from translate.training.checkpoint import write_model
from translate.training.observers import preview_batch


@pytest.fixture(scope="module")
def film():
    return datasets.load("frames", "bouncing-balls:6", size=16, length=3)


def test_the_gradient_difference_by_a_loop():
    """Equation 6, with means for sums: 5 x 6 pixels have 4 x 6 differences down and 5 x 5 across."""
    generator = torch.Generator().manual_seed(0)
    made, real = (torch.rand(1, 1, 5, 6, generator=generator) for _ in "mr")
    for alpha in (1, 2):
        down = across = 0.0
        for i in range(5):
            for j in range(6):
                y, z = real[0, 0], made[0, 0]
                if i:
                    down += abs(abs(y[i, j] - y[i - 1, j]) - abs(z[i, j] - z[i - 1, j])) ** alpha
                if j:
                    across += abs(abs(y[i, j - 1] - y[i, j]) - abs(z[i, j - 1] - z[i, j])) ** alpha
        assert gdl(made, real, alpha).item() == pytest.approx(float(down / 24 + across / 25), rel=1e-5)


def test_each_scale_adds_to_the_one_before(film):
    """Equation 3: with G' that give 1, 2, 3 and 4, the last picture is their sum."""
    task = build(NextFrame, film)
    for number, G in enumerate(task.G):
        torch.nn.init.zeros_(G[-1].weight)
        torch.nn.init.constant_(G[-1].bias, number + 1.0)
    X = scales(torch.zeros(1, 2, 16, 16))
    assert [tuple(x.shape[2:]) for x in X] == [(2, 2), (4, 4), (8, 8), (16, 16)]
    assert [y.unique().tolist() for y in task.predict(X)] == [[1], [3], [6], [10]]


@pytest.mark.parametrize("adversarial", [0.0, 0.5])
def test_the_objective(film, adversarial):
    config = dataclasses.replace(NextFrame.tiny(), lambda_adv=adversarial, p=1, alpha=2)
    task, frames = build(NextFrame, film, config), preview_batch(film, 2)["frames"]
    given, logs = losses_of(task, {"frames": frames})
    X, Y = scales(frames[:, :2].flatten(1, 2)), scales(frames[:, 2])
    made = task.predict(X)
    wanted = (made[-1] - Y[-1]).abs().mean() + gdl(made[-1], Y[-1], 2)
    if not adversarial:
        assert set(given) == {"G"} and not hasattr(task, "D")
    else:
        fool, loss_D = 0, 0
        for D, x, y, z in zip(task.D, X, Y, made, strict=True):
            real, fake = (D(torch.cat([x, picture], 1)) for picture in (y, z))
            fool += F.softplus(-fake).mean()
            loss_D += objectives.Minimax().discriminate(real, fake)
        wanted = wanted + adversarial * fool
        torch.testing.assert_close(given["D"], loss_D)
    torch.testing.assert_close(given["G"], wanted)


def test_it_learns(film, learn):
    """A few updates of squares alone, on films that were never shown."""
    task = learn(NextFrame, film, steps=20, lambda_adv=0.0, lambda_gdl=0.0, learning_rate=1e-2)
    test = datasets.load("frames", "bouncing-balls", size=16, length=3, split="test")
    frames = preview_batch(test, 20)["frames"]
    with torch.no_grad():
        before, after = (net.eval()(frames=frames[:, :2]) for net in (build(NextFrame, film), task))
    errors = [(made - frames[:, 2]).square().mean() for made in (before, after)]
    assert errors[1] < 0.8 * errors[0]


def test_films_are_continued_on_the_command_line(film, tmp_path, capsys):
    from translate.commands.frames import frames

    write_model(tmp_path / "model", build(NextFrame, film).eval(), 1)
    known = [Image.new("L", (20, 18), value) for value in (0, 80, 160)]
    known[0].save(tmp_path / "clip.gif", save_all=True, append_images=known[1:], duration=40)
    clip, model = str(tmp_path / "clip.gif"), str(tmp_path / "model")
    frames((clip,), model=model, output=f"{tmp_path}/more", count=2)
    assert [Image.open(tmp_path / "more" / f"000{n}.png").size for n in (0, 1)] == [(20, 18)] * 2
    frames((clip,), model=model, output=f"{tmp_path}/all.gif", count=2)
    with Image.open(tmp_path / "all.gif") as image:
        assert image.n_frames == 5 and image.info["duration"] == 40
    assert "3 frames and 2 that follow" in capsys.readouterr().out
    with pytest.raises(UserError, match="sees 2 frames to make the next one; 1 are too few"):
        Pipeline.from_pretrained(model)(frames=known[:1])


@pytest.mark.parametrize(
    ("settings", "said"),
    [(dict(size=24), "--size must be a multiple of 16"), (dict(length=1), "--length 1 leaves no frame")],
)
def test_settings_that_cannot_be(film, settings, said):
    with pytest.raises(UserError, match=said):
        build(NextFrame, film, dataclasses.replace(NextFrame.tiny(), **settings))
