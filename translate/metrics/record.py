"""`scores.json`, tables of it, and the scores on a model's card."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translate.config import UserError
from translate.metrics.evaluation import Row
from translate.training.checkpoint import replace_file

BEGIN, END = "<!-- scores: python -m translate evaluate -->", "<!-- end of scores -->"


@dataclass(frozen=True)
class Record:
    """The scores of one model.

    update: how far it was trained; weights: live or a moving average; fingerprint: of the weights' file.
    """

    model: str
    task: str
    data: str
    update: int
    weights: str
    fingerprint: str
    seconds: float  # for a picture, as it was scored
    rows: list[Row]


def fingerprint(folder: Path) -> str:
    """The first 16 digits of the SHA-256 of a model folder's weights."""
    with open(Path(folder) / "weights.safetensors", "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def write(record: Record, folder: Path) -> Path:
    """`folder/scores.json`; scores of the same weights not taken again are kept. Raises UserError."""
    path = Path(folder) / "scores.json"
    rows = list(record.rows)
    if path.exists():
        before = read(path)
        if before.fingerprint == record.fingerprint:
            taken = {(row.metric, json.dumps(row.protocol, sort_keys=True)) for row in rows}
            rows += [
                row for row in before.rows
                if (row.metric, json.dumps(row.protocol, sort_keys=True)) not in taken
            ]  # fmt: skip
    facts = dataclasses.asdict(dataclasses.replace(record, rows=rows))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda new: new.write_text(json.dumps(facts, indent=1, ensure_ascii=False)))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; choose another --output") from None
    return path


def read(path: Path) -> Record:
    """The inverse of `write`. Raises UserError where the file holds no scores."""
    try:
        facts = json.loads(Path(path).read_text())
        return Record(**facts | {"rows": [Row(**row) for row in facts["rows"]]})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} holds no scores ({str(error).splitlines()[0]}); `evaluate` writes them"
        ) from None


def differing(rows: Iterable[Row]) -> str:
    """`size 64x64 and 128x128` where the protocols of rows differ, else nothing."""
    protocols = [row.protocol for row in rows]
    for key in dict.fromkeys(key for p in protocols for key in p):
        values = list(dict.fromkeys(str(p.get(key, "none")) for p in protocols))
        if len(values) > 1:
            return f"{key}: {values[0]!r} and {values[1]!r}"
    return ""


def comparison(records: list[Record]) -> str:
    """A Markdown table, a row a score, a column a model.

    Raises UserError where a score was taken by different protocols: such values say nothing beside each
    other.
    """
    lines = [f"| | {' | '.join(r.model for r in records)} | floor | trivial |"]
    lines.append("|---" * (len(records) + 3) + "|")
    names = dict.fromkeys(row.metric for r in records for row in r.rows)
    for name in names:
        found = [next((row for row in r.rows if row.metric == name), None) for r in records]
        there = [row for row in found if row]
        if what := differing(there):
            who = " and ".join(r.model for r, row in zip(records, found, strict=True) if row)
            raise UserError(
                f"{name} of {who} was not taken alike ({what}), so one table cannot hold both; "
                "evaluate them in one command"
            )
        cells = [number(row.value) + "*" * bool(row.remarks) if row else "" for row in found]
        lines.append(
            f"| {arrow(there[0])} | {' | '.join(cells)} | {cell(there[0].floor)} | {least(there[0])} |"
        )
    lines.append(f"| ms a picture | {' | '.join(number(1000 * r.seconds) for r in records)} | | |")
    notes = {
        f"{r.model}, {row.metric}: {remark}" for r in records for row in r.rows for remark in row.remarks
    }
    return "\n".join(lines + [""] + [f"\\* {note}" for note in sorted(notes)]).strip()


def arrow(row: Row) -> str:
    return row.metric + {"lower": " ↓", "higher": " ↑"}.get(row.better, "")


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def cell(value: float | None) -> str:
    return "" if value is None else number(value)


def least(row: Row) -> str:
    return "" if row.trivial is None else f"{number(row.trivial)} ({row.trivial_is})"


def table(record: Record) -> str:
    """One model's scores as Markdown, then their protocols; what was taken differently has its own table."""
    groups: list[list[Row]] = []
    for row in record.rows:
        fits = (g for g in groups if not differing([g[0], with_measure(row, g[0])]))
        group = next((g for g in fits if row.metric not in [other.metric for other in g]), None)
        groups.append([row]) if group is None else group.append(row)
    tables = []
    for group in groups:
        shared = group[0].protocol
        tables.append(comparison([dataclasses.replace(record, rows=group)]))
        tables.append(
            f"{record.data}, {shared['split']} part, {shared['made']} pictures against {shared['real']} real "
            f"ones, {shared['size']} px, {shared['direction']}, seed {shared['seed']}; update "
            f"{record.update:,}, {record.weights} weights."
        )
        tables += [f"- {row.metric}: {in_words(row.protocol)}" for row in group]
    return (
        "\n\n".join(t for t in tables if not t.startswith("- "))
        + "\n\n"
        + "\n".join(t for t in tables if t.startswith("- "))
    )


def with_measure(row: Row, like: Row) -> Row:
    """The row as if it measured the same: what is left are the circumstances."""
    own = ("measure", "implementation", "network", "resize")
    return dataclasses.replace(row, protocol=row.protocol | {k: like.protocol.get(k) for k in own})


def in_words(protocol: dict[str, Any]) -> str:
    looks = f"; {protocol['network']}, {protocol['resize']}" if protocol["network"] != "none" else ""
    return f"{protocol['measure']}; {protocol['implementation']}{looks}"


def on_card(record: Record, folder: Path) -> None:
    """Put the table on the card, in place of an earlier one; everything else stays. Raises UserError."""
    path = Path(folder) / "README.md"
    try:
        text = path.read_text() if path.exists() else f"# {record.model}\n"
        block = f"{BEGIN}\n{table(record)}\n{END}"
        if BEGIN in text and END in text:
            text = text.split(BEGIN)[0] + block + text.split(END, 1)[1]
        elif heading := re.search(r"^## Scores\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE):
            text = text[: heading.end()].rstrip() + f"\n\n{block}\n\n" + text[heading.end() :]
        else:
            text = text.rstrip() + f"\n\n## Scores\n\n{block}\n"
        text = text.replace(
            "Not yet written: the terms of the data, scores, what",
            "Not yet written: the terms of the data, what",
        )
        replace_file(path, lambda new: new.write_text(text.rstrip() + "\n"))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}; use --no-card") from None


WHY = {"disentanglement": ": nobody reads what such pictures show (--reader)"}


def report(record: Record) -> str:
    """The five questions of a good model, from a lecture: each with its score where it was taken."""
    found = {row.metric.partition("[")[0]: row for row in record.rows}
    lines = [f"speed: {1000 * record.seconds:.1f} ms a picture"]
    for question, name in (
        ("quality", "precision"), ("coverage", "recall"), ("smoothness", "path length"),
        ("disentanglement", "disentanglement"),
    ):  # fmt: skip
        row = found.get(name)
        value = f"{number(row.value)} ({row.metric})" if row else f"not taken{WHY.get(name, '')}"
        lines.append(f"{question}: {value}")
    return "\n".join(lines)
