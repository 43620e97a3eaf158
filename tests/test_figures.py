"""translate.figures: sheets of pictures."""

import numpy as np
import torch

from translate import figures


def test_rows_columns_and_sentences_beside_them():
    columns = {"real": torch.full((2, 3, 30, 40), -1.0), "output": torch.ones(2, 1, 30, 40)}
    plain = figures.grid(columns)
    assert plain.size == (4 + 2 * 44, 18 + 4 + 2 * 34)
    assert plain.getpixel((10, 30)) == (0, 0, 0) and plain.getpixel((60, 30)) == (255, 255, 255)
    told = figures.grid(columns, notes=["a bird that is red " * 20, ""])
    assert told.size == (plain.width + figures.NOTE, plain.height)
    assert np.array_equal(np.asarray(told)[:, : plain.width], np.asarray(plain))
    beside = np.asarray(told.convert("L"))[:, plain.width :]
    first, second = beside[22:52], beside[56:]
    assert (first < 128).any() and (second == 255).all() and (beside[:, -2:] == 255).all(), "wrapped and cut"


def test_one_column_is_a_square():
    assert figures.grid({"output": torch.zeros(9, 3, 10, 10)}).size == (4 + 3 * 14, 18 + 4 + 3 * 14)
