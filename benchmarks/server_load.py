"""Many people at one server: eight clients that adapt, stylize, list, rename and delete.

    python main.py --cpu                                          # in ComfyUI
    python -m benchmarks.server_load --url http://127.0.0.1:8188 --pid PID --minutes 10

Every answer must be an answer: a result, or a refusal in words. What is counted as a failure
are statuses from 500 up, broken connections, prompts that never end and errors that are not
the pack's own. Memory of the process is read once a minute. The server's input folder needs
`painting.png` and `photo.png`.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from metastyle_core.cli.options import positive_int

_CLIENTS = 8
_NAMES = 25
_PROMPT_LIMIT_S = 300
_OWN_ERRORS = "metastyle"
_ACTIONS = ("adapt", "stylize", "list", "thumbnail", "rename", "delete")
_SHARES = (1, 3, 2, 2, 1, 1)


@dataclass
class Tally:
    """What came of all requests.

    Attributes:
        done: action to how often it gave what was asked for.
        refused: action to how often it was refused in words.
        failures: what was neither, a line each.
        memory_mb: of the server, once a minute.
    """

    done: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    failures: list[str] = field(default_factory=list[str])
    memory_mb: list[float] = field(default_factory=list[float])


class Client:
    """One person, who does one thing after another."""

    def __init__(self, session: aiohttp.ClientSession, number: int, tally: Tally) -> None:
        """Take part in the tally; the number seeds what this client does."""
        self._session = session
        self._random = random.Random(number)  # noqa: S311 - no secret
        self._tally = tally

    async def work(self, until: float) -> None:
        """Act until the clock (`time.monotonic`) says so."""
        while time.monotonic() < until:
            action = self._random.choices(_ACTIONS, _SHARES)[0]
            try:
                refusal = await getattr(self, f"_{action}")()
            except (aiohttp.ClientError, TimeoutError, _FailedError) as error:
                self._tally.failures.append(f"{action}: {type(error).__name__} {error}")
                continue
            (self._tally.refused if refusal else self._tally.done)[action] += 1

    async def _adapt(self) -> str | None:
        adapt = {
            "model": ["1", 0], "style_images": ["2", 0], "steps": 2, "style_weight": 20.0,
            "brush_size": 64, "mode": "norm", "encoder": "compact",
            "seed": self._random.randrange(2**32),
        }  # fmt: skip
        save = {"style": ["3", 0], "name": self._name(), "fp16": True, "overwrite": True}
        return await self._prompt({
            "3": {"class_type": "MetaStyleAdaptToStyle", "inputs": adapt},
            "4": {"class_type": "MetaStyleSaveStyle", "inputs": save},
        })  # fmt: skip

    async def _stylize(self) -> str | None:
        inputs = {
            "model": ["1", 0], "style": ["3", 0], "images": ["2", 0],
            "strength": self._random.random(), "precision": "auto",
        }  # fmt: skip
        load = {"style": self._name()}
        return await self._prompt({
            "3": {"class_type": "MetaStyleLoadStyle", "inputs": load},
            "4": {"class_type": "MetaStyleStylize", "inputs": inputs},
            "5": {"class_type": "PreviewImage", "inputs": {"images": ["4", 0]}},
        })  # fmt: skip

    async def _list(self) -> str | None:
        return await self._ask("/metastyle/styles")

    async def _thumbnail(self) -> str | None:
        return await self._ask(f"/metastyle/styles/thumbnail?name={self._name()}")

    async def _rename(self) -> str | None:
        names = {"name": self._name(), "new_name": self._name()}
        return await self._ask("/metastyle/styles/rename", names)

    async def _delete(self) -> str | None:
        return await self._ask("/metastyle/styles/delete", {"name": self._name()})

    def _name(self) -> str:
        """One of few, so that clients meet."""
        return f"load/{self._random.randrange(_NAMES)}"

    async def _prompt(self, nodes: dict[str, Any]) -> str | None:
        """Run a workflow on one of two pictures; the words of its refusal, or None."""
        picture = self._random.choice(["painting.png", "photo.png"])
        loaders = {
            "1": {"class_type": "LoadMetaStyle", "inputs": {"base": "shipped"}},
            "2": {"class_type": "LoadImage", "inputs": {"image": picture}},
        }
        status, answer = await self._request("/prompt", {"prompt": loaders | nodes})
        if status != 200 or answer.get("node_errors"):
            return str(answer["node_errors"] or answer["error"])
        deadline = time.monotonic() + _PROMPT_LIMIT_S
        while time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            _, history = await self._request(f"/history/{answer['prompt_id']}")
            if history:
                return _outcome(history[answer["prompt_id"]]["status"])
        raise _FailedError("the prompt did not end")

    async def _ask(self, path: str, body: object = None) -> str | None:
        status, answer = await self._request(path, body)
        return None if status == 200 else answer["error"]

    async def _request(self, path: str, body: object = None) -> tuple[int, Any]:
        """Status and JSON of an answer, {} for a picture."""
        method = "GET" if body is None else "POST"
        async with self._session.request(method, path, json=body) as response:
            if response.status >= 500:
                raise _FailedError(f"{path} answered {response.status}")
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else {}


class _FailedError(Exception):
    """What came is no answer."""


def _outcome(status: dict[str, Any]) -> str | None:
    if status["status_str"] == "success":
        return None
    errors = [data for kind, data in status["messages"] if kind == "execution_error"]
    if not errors:
        raise _FailedError(f"the prompt ended as {status['status_str']}")
    kind, words = errors[0]["exception_type"], errors[0]["exception_message"].strip()
    if _OWN_ERRORS not in kind.lower():
        raise _FailedError(f"{kind} {words}")
    return words


async def load(url: str, pid: int, minutes: int) -> Tally:
    """Let all clients work at once."""
    tally, until = Tally(), time.monotonic() + 60 * minutes
    async with aiohttp.ClientSession(url) as session:
        clients = [Client(session, number, tally).work(until) for number in range(_CLIENTS)]
        await asyncio.gather(_watch(pid, until, tally), *clients)
    return tally


async def _watch(pid: int, until: float, tally: Tally) -> None:
    while time.monotonic() < until:
        await asyncio.sleep(60)
        text = await asyncio.to_thread(Path(f"/proc/{pid}/status").read_text, encoding="utf-8")
        resident = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        tally.memory_mb.append(int(resident.split()[1]) / 1024)


def main() -> None:
    """Load the server and print the tally."""
    parser = argparse.ArgumentParser(description="Load a ComfyUI server from eight clients.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--pid", type=int, required=True, help="process whose memory is read")
    parser.add_argument("--minutes", type=positive_int, default=10)
    arguments = parser.parse_args()
    tally = asyncio.run(load(arguments.url, arguments.pid, arguments.minutes))
    for action in _ACTIONS:
        sys.stdout.write(f"{action}: {tally.done[action]} done, {tally.refused[action]} refused\n")
    memory = ", ".join(f"{value:.0f}" for value in tally.memory_mb)
    sys.stdout.write(f"memory, MB a minute: {memory}\n")
    sys.stdout.write("\n".join([f"failures: {len(tally.failures)}", *tally.failures]) + "\n")
    sys.exit(bool(tally.failures))


if __name__ == "__main__":
    main()
