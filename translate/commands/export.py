"""python -m translate export."""

from pathlib import Path

from translate.commands import Model, Overwrite, check_free, opened
from translate.config import UserError


def export(*, model: Model, output: str, direction: str = "AtoB", overwrite: Overwrite = False) -> None:
    """Write a model as an ONNX file of any batch, checked against PyTorch: pictures [B, C, H, W] in [-1, 1].

    Captions come as the numbers of their pieces [B, 48]; the vocabulary is in the file's metadata.

    Args:
        output: the file, ending in .onnx
        direction: BtoA for models that also translate back
    """
    target = Path(output)
    if target.suffix.lower() != ".onnx":
        raise UserError(f"--output {output} must end in .onnx")
    check_free([target], overwrite)
    pipeline = opened(model, "cpu", "fp32")
    pipeline.check(pipeline.takes[0], direction)

    from translate.inference.export import to_onnx

    worst = to_onnx(pipeline.task, direction, target)
    print(f"{target}: exported, at most {worst:.1g} away from PyTorch")
