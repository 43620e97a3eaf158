"""What may differ when a run is continued: what is no part of its result, and what is changed on purpose."""

import re
from pathlib import Path

from translate.config import UserError
from translate.training import checkpoint

# Settings that may differ when a run is continued; all others belong to its result.
FREE = {"output", "workers", "cache", "save_every", "save_minutes", "keep_states", "preview_every"}
FREE |= {"preview_count", "log_every", "report_to", "steps", "doctor", "silence", "eval_every", "eval_metric"}
FREE |= {"eval_features", "eval_count", "allow_change"}
ON_PURPOSE = ("batch_size", "learning_rate", "rate_d")  # may differ with --allow-change; rate_d: of D

TITLE = "## Changed while training"


def changes(folder: Path, before: dict, now: dict, t: int) -> list[dict]:
    """The settings that --allow-change lets differ from update `t` on, as JSON values.

    before, now: all settings, as JSON values. Raises UserError for another setting that belongs to the result
    of the run so far, and without --allow-change for these too.
    """
    found = []
    for name in now:
        if name in FREE or name not in before or before[name] == now[name]:
            continue
        allowed = name in ON_PURPOSE
        if not (allowed and now["allow_change"]):
            mend = "add --allow-change to go on with the new value, " if allowed else ""
            raise UserError(
                f"{folder} holds a run with {flag(name)} {before[name]}, this command says {now[name]}; "
                f"{mend}use the same value to continue it or another --output to start anew"
            )
        found.append({"t": t, "setting": name, "before": before[name], "now": now[name]})
    return found


def flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def sentence(change: dict) -> str:
    """`--batch-size 8, before 4, from update 1,000 on`."""
    name, before, now = flag(change["setting"]), change["before"], change["now"]
    return f"{name} {now}, before {before}, from update {change['t']:,} on"


def on_card(folder: Path, found: list[dict]) -> None:
    """Put all changes of a run on its card, in place of earlier ones; the rest stays. Raises OSError."""
    path = folder / "README.md"
    text, block = path.read_text(), "\n".join([TITLE, "", *(f"- {sentence(change)}" for change in found)])
    if TITLE in text:
        new = re.sub(rf"^{TITLE}\n.*?(?=^## |\Z)", block + "\n\n", text, flags=re.DOTALL | re.MULTILINE)
    else:
        new = f"{text.rstrip()}\n\n{block}\n"
    if new.rstrip() != text.rstrip():
        checkpoint.replace_file(path, lambda file: file.write_text(new.rstrip() + "\n"))
