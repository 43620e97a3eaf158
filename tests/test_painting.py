"""Styles at the size where strokes show; what stays of the photograph."""

import numpy as np
import pytest
import torch

from translate.inference import painting
from translate.inference.images import Picture


def test_mixing_is_the_line_between_two_colours_in_oklab():
    """Against Ottosson's own matrices, to numbers from his page: red is L 0.628, a 0.225, b 0.126."""
    cone = torch.tensor([
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ])  # fmt: skip

    def lab(colour):
        x = torch.tensor(colour).float().view(1, 3, 1, 1) * 2 - 1
        return cone @ painting.cones(x).flatten()

    assert np.allclose(lab([1, 0, 0]), [0.628, 0.225, 0.126], atol=1e-3)
    red, blue = (torch.tensor(c).float().view(1, 3, 1, 1) * 2 - 1 for c in ([1, 0, 0], [0, 0, 1]))
    middle = painting.mixed(red, blue, 0.5).flatten().add(1).div(2).tolist()
    assert np.allclose(lab(middle), (lab([1, 0, 0]) + lab([0, 0, 1])) / 2, atol=2e-3)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_strength_is_the_picture_and_all_of_it_the_painting(channels):
    x, y = torch.rand(1, channels, 300, 4) * 2 - 1, torch.rand(1, 3, 300, 4) * 2 - 1
    assert torch.allclose(painting.mixed(x, y, 0.0), x.expand(-1, 3, -1, -1), atol=2e-3)
    assert torch.allclose(painting.mixed(x, y, 1.0), y, atol=2e-3)


def test_a_painted_copy_comes_back_whole_with_the_pictures_own_outline():
    cover = torch.zeros(1, 1, 40, 60)
    cover[..., 10:30, 10:50] = 1
    picture = Picture(
        tensor=torch.where(cover > 0, 0.5, 1.0).expand(1, 3, -1, -1), alpha=cover, name="cut-out"
    )
    copy = painting.smaller(picture, 30)
    assert copy.size == (30, 20) and copy.alpha.shape[-2:] == (20, 30)
    assert painting.smaller(picture, 60) is picture
    found = painting.whole(copy, picture)
    assert found.size == (60, 40) and torch.equal(found.alpha, cover) and found.name == "cut-out"
    assert (found.tensor - picture.tensor).abs().mean() < 0.03
    grey = Picture(tensor=torch.zeros(1, 1, 40, 60))
    assert painting.whole(Picture(tensor=torch.ones(1, 3, 20, 30)), grey, strength=0.5).tensor.shape[1] == 3
