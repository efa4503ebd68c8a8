"""Every link of the manuals leads somewhere."""

import re

import pytest

from tests.manual.markdown import DOCS, ROOT, without_blocks

FILES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md"))]


def slug(title):
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_relative_link_leads_somewhere(file):
    """To a file of the repository, and to a heading that is there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(file.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (file.parent / path).resolve() if path else file
        assert place.exists(), f"{file.name}: {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", without_blocks(place.read_text()), re.MULTILINE)
            assert anchor in map(slug, titles), f"{file.name}: {target}"
