"""Errors as the host shows them: what to do comes first.

The messages of the core say what arrived, what is needed and what to do. The host shows the
first words of a message, behind the name of the error's class and the path of its module.
"""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ...metastyle_core.errors import MetaStyleError

_SENDER = "MetaStyle"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z'])")
_Node = TypeVar("_Node", bound=type[Any])


def advice_first(message: str) -> str:
    """A message with its last sentence, which says what to do, in front.

    A message of one sentence has its advice behind the last semicolon.
    """
    facts, _, advice = _split(message.strip())
    return f"{advice} {facts}" if facts else advice


def _split(message: str) -> tuple[str, str, str]:
    *facts, advice = _SENTENCE_END.split(message)
    if facts:
        return " ".join(facts), " ", advice
    fact, semicolon, advice = message.rpartition("; ")
    return (f"{fact}." if fact else ""), semicolon, advice[:1].upper() + advice[1:]


def in_plain_words(error: MetaStyleError) -> MetaStyleError:
    """The same error, of the same kind, as the host should show it."""
    kind = type(error)
    # The host writes module and name of the class before the message, unless it is built in.
    shown = type(_SENDER, (kind,), {"__module__": "builtins", "__doc__": kind.__doc__})
    return shown(advice_first(str(error)))


def speaking(node: _Node) -> _Node:
    """A node whose errors are in plain words."""
    execute: Callable[..., object] = node.__dict__["execute"].__func__

    @wraps(execute)
    def told(cls: type[Any], *args: object, **inputs: object) -> object:
        try:
            return execute(cls, *args, **inputs)
        except MetaStyleError as error:
            raise in_plain_words(error) from error

    node.execute = classmethod(told)
    return node
