"""What users read first of every error: what to do."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"cli", "training"}
PARTS = sorted(
    path
    for folder in ("nodes", "metastyle_core")
    for path in (ROOT / folder).rglob("*.py")
    if not ELSEWHERE & set(path.relative_to(ROOT).parts)
)


def text_of(node: ast.expr) -> str:
    """A message as it is written, X for what is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    return "X"


MESSAGES = [
    (f"{path.name}:{node.lineno}", text_of(node.exc.args[0]))
    for path in PARTS
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args
]


@pytest.fixture
def advice_first(pack):
    return pack.nodes.hosting.plain_words.advice_first


def test_the_last_sentence_comes_first(advice_first):
    told = advice_first("Input 'mask' is empty; paint one. Connect it, or leave it out.")
    assert told == "Connect it, or leave it out. Input 'mask' is empty; paint one."


def test_of_one_sentence_what_stands_behind_the_last_semicolon_comes_first(advice_first):
    assert advice_first("It is 3; it was 2; resize it.") == "Resize it. It is 3; it was 2."
    assert advice_first("Resize it.") == "Resize it."


def test_no_message_begins_with_a_path_or_a_name(advice_first):
    assert len(MESSAGES) > 100
    first = {place: advice_first(text) for place, text in MESSAGES if text.strip("X ")}
    named = ("X:", "X has", "X is damaged", "Input '")
    assert not {place: text for place, text in first.items() if text.startswith(named)}
