"""docs/methods: made from the methods, and as they are now."""

import pytest

from translate.commands import methods as pages
from translate.commands.methods import methods
from translate.config import UserError
from translate.inference import catalog
from translate.task import find


def test_the_pages_are_current():
    assert methods(output=str(pages.ROOT / "docs" / "methods"), check=True) == 0


def test_a_page_says_what_the_method_is_needs_and_offers():
    page = pages.page("cyclegan")
    assert "arXiv 1703.10593" in page and "    L_cyc = E ‖F(G(x)) - x‖₁" in page
    assert "of the kind `unpaired`" in page and "`--direction BtoA`" in page
    assert f"| `--lambda-cycle` | `{find('cyclegan').Config().lambda_cycle}` |" in page
    assert "`--batch-size`" not in page, "what it shares with all, with the same default, is in the list"
    assert "`--batch-size` | `64`" in pages.page("lsgan")
    shipped = [
        entry.name for entry in catalog.entries([pages.ROOT / "pretrained"]) if entry.task == "cyclegan"
    ]
    assert shipped and all(f"../../pretrained/{name}/README.md" in page for name in shipped)


def test_what_is_not_current_is_named_and_mended(tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "pages", lambda: {"a.md": "new", "b.md": "same"})
    (tmp_path / "a.md").write_text("old")
    (tmp_path / "b.md").write_text("same")
    (tmp_path / "gone.md").write_text(pages.MADE)
    (tmp_path / "by-hand.md").write_text("notes")
    with pytest.raises(UserError, match=r"not current: a.md, by-hand.md, gone.md; run"):
        methods(output=str(tmp_path), check=True)
    methods(output=str(tmp_path))
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "a.md": "new", "b.md": "same", "by-hand.md": "notes",
    }  # fmt: skip


def test_prose_stays_prose():
    assert pages.plain("w <- a * b, `x_*`\n    y <- [z]") == "w \\<- a \\* b, `x_*`\n    y <- [z]"
