"""Odd, damaged and hostile files: a picture or one sentence, nothing else. See hostile.py for the page."""

import pytest

from tests import hostile
from translate.config import UserError
from translate.inference import images


def test_every_file_is_a_picture_or_a_sentence(tmp_path):
    files = hostile.write(tmp_path / "in")
    assert len(files) > 190
    for file in files:
        try:
            picture = images.decode(file, max_pixels=40_000_000)
        except UserError as error:
            assert file.name not in hostile.WHOLE, error
            assert "Traceback" not in str(error) and len(str(error)) < 400 + len(str(file))
        else:
            assert images.encode(picture.tensor, picture)
    assert [path.name for path in tmp_path.iterdir()] == ["in"], "nothing is written elsewhere"


def test_bombs_are_refused_before_they_are_unpacked():
    for name, data in hostile.bombs().items():
        with pytest.raises(UserError):
            images.decode(data, name=name, max_pixels=40_000_000)
