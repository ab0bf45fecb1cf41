"""Links and pictures of the pages lead to files that are there, and no page is half written."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HELP = sorted((ROOT / "web" / "docs").glob("*.md"))
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "metastyle_core" / "weights" / "MODEL_CARD.md",
    *HELP,
]
LINK = re.compile(r"\]\(([^)#]+)")
ANCHORED = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PLACEHOLDER = re.compile(r"@[A-Z]+@|TODO|TBD")


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_relative_link_leads_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    missing = [target for target in local if not (page.parent / target).resolve().is_file()]
    assert not missing


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_anchor_is_a_heading(page):
    links = ANCHORED.findall(page.read_text(encoding="utf-8"))
    missing = [
        f"{path}#{anchor}"
        for path, anchor in links
        if anchor not in anchors((page.parent / path).resolve() if path else page)
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_nothing_is_left_to_fill_in(page):
    assert not PLACEHOLDER.findall(page.read_text(encoding="utf-8"))


def test_the_overview_links_the_help_of_every_node():
    text = (ROOT / "docs" / "nodes.md").read_text(encoding="utf-8")
    assert all(f"../web/docs/{page.name}" in text for page in HELP)
