"""translate.training.update in a step: what comes after an update."""

import pytest
import torch

from tests.test_loop import INFO, Alone, Slope
from translate.training.loop import Update


def test_what_comes_after_an_update_in_a_step_sees_the_moved_weights():
    """Autocast keeps the weights that it has made bfloat16, for as long as it lasts: for a whole step."""
    task, x = Slope(Slope.tiny(), INFO), torch.ones(1, 1)
    update = Update(task, task.config, Alone(), torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        before = task.line(x)
        update("line", before.sum())
        after = task.line(x)
    assert before.item() == 1 and after.item() == pytest.approx(0.9, abs=0.01)
