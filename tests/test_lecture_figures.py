"""Every figure of a lecture, at a tiny budget: what its first line claims, as numbers."""

import math
import re
from pathlib import Path

import pytest

from translate import arguments, outline
from translate.config import UserError
from translate.figures import lecture

ROOT = Path(__file__).resolve().parent.parent
LECTURES = ROOT / "docs" / "lectures.md"


def near(x, y, off):
    return abs(x - y) < off


# name: (budget, what must hold of its numbers, in their order where a name says no more)
CLAIMS = {
    "adversarial_example": (0.05, lambda n: n["still read right with gradient's signs"]
                            < 0.5 * n["still read right with random signs"]),
    "adversarial_photograph": (0.1, lambda n: n["answers changed by gradient's signs"] > 0.9
                               > 0.5 > n["answers changed by random signs"]),
    "aggregate": (0.02, lambda n: n["MMD² of all codes to N(0, I), WAE"]
                  < 0.3 * n["MMD² of all codes to N(0, I), AE"] and n["mean width of a VAE's code"] > 0.02),
    "augmentations": (0.1, lambda n: n["samples that are the picture or its mirror image"] == 1
                      and 0.25 < n["of them mirrored"] < 0.75
                      and n["pixels that G's gradient reaches, color"] == 1
                      and near(n["pixels that G's gradient reaches, cutout"], 0.75, 0.1)),
    "batch_correlation": (0.05, lambda n: [*n.values()][0] > 0.01 > 1e-5 > max([*n.values()][1:])),
    "best_discriminator": (0.25, lambda n: [*n.values()][0] < 0.03 and [*n.values()][1] < 0.03
                           and n["best D there, both smoothed"] > 1.5 * [*n.values()][2]),
    "critic_loss": (0.25, lambda n: [*n.values()][0] > 0.7 > [*n.values()][2]),
    "digit_arithmetic": (0.05, lambda n: n["of a - b + c"] > n["slant of the zero"] + 0.05),
    "distances": (0.1, lambda n: near(n["JS at 0.25"], math.log(2), 1e-6) and n["JS at 0.25"] == n["JS at 1"]
                  and n["TV at 0.25"] == 1 and near(n["W at 0.25"], 0.25, 0.03) and near(n["W at 1"], 1, 0.01)
                  and near(n["JS by D at 0.5"], math.log(2), 0.05)
                  and near(n["W by the critic at 1"], 1, 0.1)),
    "elbo_gap": (0.05, lambda n: n["least gap of any update"] > -0.01
                 and n["gap at last"] < 0.5 * n["gap at first"] and n["log p at last"] > n["log p at first"]),
    "epoch_strips": (0.05, lambda n: [*n.values()][-1] < 0.95 * [*n.values()][0]),
    "fixed_discriminator": (0.05, lambda n: n["real pictures that the fixed D names right"] > 0.95
                            and n["M(A) that a fixed D takes for B"] > 0.9
                            and n["MMD² of M(A) to B, a fixed D"] > n["MMD² of A to B"]),
    "five_columns": (0.05, lambda n: n["reader is sure, GLANN"] > n["reader is sure, GLO"] + 0.15
                     and n["sharpness, IMLE"] < 0.5 * n["sharpness, GAN"]),
    "gaussian_by_epoch": (0.1, lambda n: [*n.values()][2] < 0.1 * [*n.values()][0]),
    "generator_losses": (0.1, lambda n: [round(v, 2) for v in n.values()] == [0.01, 0.99, 0.01]),
    "imle_modes": (0.1, lambda n: n["farthest mode from any sample, IMLE"] < 1),
    "infogan_codes": (0.03, lambda n: n["first code read off a sample"] > 0.8),
    "interpolation": (0.05, lambda n: [*n.values()][0] < [*n.values()][1]),
    "minibatch_features": (0.4, lambda n: n["named right at last, none"] < 0.65
                           and min([*n.values()][1:]) > 0.9),
    "nearest_training": (0.05, lambda n: [*n.values()][0] > 0.8 and [*n.values()][1] < 0.1),
    "next_frame": (0.0125, lambda n: n["PSNR, squares"] > n["PSNR, the adversary"]
                   and n["PSNR, squares"] > n["PSNR, the frame copied"] and n["sharpness, squares"] < 0.6),
    "panels": (0.1, lambda n: [*n.values()][3] < 0.1 * [*n.values()][0] and [*n.values()][4] < 0.1),
    "random_samples": (0.05, lambda n: n["MMD² of samples to the data, VAE"]
                       < n["MMD² of samples to the data, autoencoder"]
                       and n["MMD² of codes to N(0, I), VAE"] < n["MMD² of codes to N(0, I), autoencoder"]),
    "reconstructions": (0.05, lambda n: n["squared error"] < 0.4 * n["of the mean picture"]),
    "reed_pairs": (0.03, lambda n: n["D, its own sentence"] > 1.4 * max(n["D, another's"], n["D, made"])),
    "ring_map": (0.1, lambda n: n["least radius"] > 1 and near(n["mean radius"], 1.125, 0.02)),
    "sampling_methods": (0.1, lambda n: max([*n.values()][:2]) < 0.036
                         and near(n["share kept"], math.pi / 4, 0.03)),
    "saturation": (0.03, lambda n: all((v > 10) == ("log(1 - D)" in name) for name, v in n.items())),
    "several_decodings": (0.05, lambda n: n["among decodings of one picture"] < 0.5 * n["among pictures"]),
    "traversals": (0.03, lambda n: n["KL in nats, β = 6"] < 0.6 * n["KL in nats, β = 1"]
                   and n["latents in use, β = 6"] <= n["latents in use, β = 1"]),
    "two_captions": (0.3, lambda n: [*n.values()][0] > 0.05 > 5 * [*n.values()][1]),
    "unrolled": (0.003, lambda n: [*n.values()][0] < 0 < [*n.values()][1]),
    "upsampling": (0.2, lambda n: min([*n.values()][:2]) > 20 * [*n.values()][2]),
    "without_batch_norm": (0.25, lambda n: n["distance to the data, Wasserstein"]
                           < 0.9 * n["distance to the data, standard, step 2e-4"]
                           and n["samples differ, Wasserstein"] / 2
                           > n["samples differ, standard, step 2e-4"]),
    "wasserstein": (0.03, lambda n: n["farthest mode from any point, Wasserstein"]
                    < n["farthest mode from any point, standard"]),
}  # fmt: skip


def test_every_figure_has_a_claim_that_is_checked():
    assert set(CLAIMS) == set(lecture.names())


@pytest.mark.parametrize("name", CLAIMS)
def test_a_figure_bears_out_its_claim(name):
    budget, holds = CLAIMS[name]
    drawn = lecture.draw(name, lecture.Work(budget))
    assert holds(drawn.numbers), drawn.numbers
    assert drawn.picture.axes


def test_mistakes_get_a_sentence():
    with pytest.raises(UserError, match="no figure 'unroled', did you mean unrolled"):
        lecture.draw("unroled", lecture.Work())
    with pytest.raises(UserError, match="--budget 0 must be above 0"):
        lecture.draw("ring_map", lecture.Work(0))


def test_the_command_lists_and_writes(tmp_path, capsys):
    from translate.commands.figure import figure

    figure(list=True)
    assert "ring_map" in capsys.readouterr().out
    figure("ring-map", output=str(tmp_path), budget=0.1)
    assert "mean radius: 1.1" in capsys.readouterr().out
    assert (tmp_path / "ring_map.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "ring_map.svg").read_text().startswith("<?xml")
    with pytest.raises(UserError, match="exists; --overwrite"):
        figure("ring-map", output=str(tmp_path))


def cells():
    """The rows of docs/lectures.md's tables: item, files, commands, picture."""
    for line in LECTURES.read_text().splitlines():
        if line.startswith("| ") and not line.startswith("| |"):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def test_every_file_command_and_picture_of_the_lectures_exists():
    named, wrong = set(), []
    for item, files, commands, *picture in cells():
        if files == "not built":
            continue
        wrong += [f"{item}: no file {f}" for f in re.findall(r"`([^`]+)`", files) if not (ROOT / f).is_file()]
        shown = re.findall(r"\]\(([^)#]+)", f"{commands} {picture}")
        wrong += [f"{item}: no picture {p}" for p in shown if not (LECTURES.parent / p).is_file()]
        for command in re.findall(r"`([^`]+)`", commands):
            first, *words = command.split()
            try:
                if first == "figure":
                    named.add(lecture.check(words[0]))
                elif command.startswith("python -m translate "):
                    assert (ROOT / "translate" / "commands" / f"{words[2]}.py").is_file(), command
                elif command.startswith("python -m benchmarks."):
                    assert (ROOT / "benchmarks" / f"{words[1].partition('.')[2]}.py").is_file(), command
                elif first == "train.py":
                    arguments.parse(words)
                else:
                    arguments.check_flags(command.split(), outline.settings("dcgan"), "dcgan")
            except (AssertionError, UserError) as error:
                wrong.append(f"{item}: {error}")
    assert not wrong, wrong
    assert named == set(lecture.names()), "the page leaves out a figure"
