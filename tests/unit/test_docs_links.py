"""Links and pictures of the node pages lead to files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / "nodes.md", *sorted((ROOT / "web" / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_relative_link_leads_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    missing = [target for target in local if not (page.parent / target).resolve().is_file()]
    assert not missing


def test_the_overview_links_the_help_of_every_node():
    text = PAGES[0].read_text(encoding="utf-8")
    assert all(f"../web/docs/{page.name}" in text for page in PAGES[1:])
