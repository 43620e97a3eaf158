"""Measurements; each prints a table. Never run as tests: they want a quiet machine."""

from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Write `text` between the marks of the benchmark `name` in a page of the docs, where there is one."""
    if page.is_file():
        begin, end = f"<!-- results of benchmarks.{name} -->", "<!-- end of results -->"
        before, _, rest = page.read_text().partition(begin)
        page.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.partition(end)[2]}")
