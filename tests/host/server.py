"""A real ComfyUI server in a process of its own, with nothing in it but this pack."""

import itertools
import json
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from websocket import ABNF, create_connection

PACK = Path(__file__).parents[2]
START_LIMIT_S = 240
RUN_LIMIT_S = 300
_SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
}
_OPENER = build_opener(ProxyHandler({}))

Workflow = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """Status, decoded JSON (None for other content) and raw body of one request."""

    status: int
    json: Any
    body: bytes


@dataclass(frozen=True)
class Message:
    """What the host sent: JSON with a type and its data, or bytes (a preview picture)."""

    kind: str
    data: dict[str, Any]
    binary: bytes = b""


@dataclass
class Run:
    """What the host said about one prompt.

    Attributes:
        prompt_id: the host's name for it.
        refused: node id to what is wrong with a node; the host leaves out what needs it.
        events: all messages about the prompt.
    """

    prompt_id: str
    refused: dict[str, Any] = field(default_factory=dict[str, Any])
    events: list[Message] = field(default_factory=list[Message])

    @property
    def error(self) -> str | None:
        """Message of the node that failed, or None."""
        failed = self.of_kind("execution_error")
        return failed[0]["exception_message"] if failed else None

    @property
    def interrupted(self) -> bool:
        return bool(self.of_kind("execution_interrupted"))

    @property
    def cached(self) -> set[str]:
        """Ids of the nodes that the host did not run again."""
        return {node for data in self.of_kind("execution_cached") for node in data["nodes"]}

    @property
    def outputs(self) -> dict[str, Any]:
        """Node id to what it shows in the interface."""
        return {data["node"]: data["output"] for data in self.of_kind("executed")}

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.kind == kind]

    @property
    def previews(self) -> list[bytes]:
        return [event.binary for event in self.events if event.kind == "binary"]


class HostServer:
    """Start, ask, watch and stop one server. Folders outlive it, so that another can follow."""

    def __init__(
        self, comfyui: Path, python: str, base: Path, packs: tuple[str, ...] = ("metastyle",)
    ) -> None:
        self.base, self.packs = base, packs
        self._log_path = base / "server.log"
        self._command = [python, "main.py", "--cpu", "--base-directory", str(base)]
        self._command += ["--disable-all-custom-nodes", "--whitelist-custom-nodes", *packs]
        self._command += ["--disable-api-nodes", "--database-url", "sqlite:///:memory:"]
        self._comfyui = comfyui
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        _prepare_folders(base, packs)

    def start(self) -> "HostServer":
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it ended or stayed silent; the end of its log is in the message.
        """
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, "--port", str(self.port)],
                cwd=self._comfyui, env=environment, stdout=log, stderr=log,
            )  # fmt: skip
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            if self._answers():
                return self
            time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"The host did not start:\n{self.log[-4000:]}")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    @property
    def log(self) -> str:
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def memory_mb(self, entry: str = "VmRSS") -> float:
        """What the process holds now (VmRSS) or held at most (VmHWM)."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith(entry))
        return int(line.split()[1]) / 1024

    def forget_peak_memory(self) -> None:
        """Let VmHWM begin anew."""
        assert self._process is not None
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5", encoding="ascii")

    def ask(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """GET, or POST when there is a body."""
        data = None if body is None else json.dumps(body).encode()
        kind = {} if data is None else {"Content-Type": "application/json"}
        return self._ask(path, data, kind | (headers or {}))

    def send(self, path: str, data: bytes) -> Answer:
        """POST the bytes of a file."""
        return self._ask(path, data, {"Content-Type": "application/octet-stream"})

    def _ask(self, path: str, data: bytes | None, headers: dict[str, str]) -> Answer:
        request = Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with _OPENER.open(request, timeout=60) as response:
                return _answer(response.status, response.read())
        except HTTPError as error:
            return _answer(error.code, error.read())

    def node_info(self, node: str) -> Any:
        return self.ask(f"/object_info/{quote(node)}").json[node]

    def run(self, workflow: Workflow, *, interrupt_at_step: int | None = None) -> Run:
        """Queue one workflow in API form and follow it to its end.

        Args:
            workflow: node id to class_type and inputs.
            interrupt_at_step: ask the host to stop when a node reports this progress.
        """
        with Listener(self) as listener:
            return listener.follow(listener.queue(workflow), interrupt_at_step)

    def _answers(self) -> bool:
        try:
            return self.ask("/system_stats").status == 200
        except (URLError, OSError):
            return False


class RefusedError(ValueError):
    """The host takes no part of a workflow; `node_errors` says why, by node."""

    def __init__(self, answer: Any) -> None:
        super().__init__(json.dumps(answer))
        self.node_errors: dict[str, Any] = (answer or {}).get("node_errors") or {}


class Listener:
    """One client of the host: it queues prompts and hears what becomes of them."""

    def __init__(self, server: HostServer) -> None:
        self._server = server
        self._client = uuid.uuid4().hex
        self.interrupt_latency_s = 0.0

    def __enter__(self) -> "Listener":
        address = f"ws://127.0.0.1:{self._server.port}/ws?clientId={self._client}"
        self._socket = create_connection(address, timeout=30, http_no_proxy=["127.0.0.1"])
        flags = {"supports_preview_metadata": True}
        self._socket.send(json.dumps({"type": "feature_flags", "data": flags}))
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def queue(self, workflow: Workflow) -> Run:
        """Queue a workflow.

        Raises:
            RefusedError: no output of it can run.
        """
        answer = self._server.ask("/prompt", {"prompt": workflow, "client_id": self._client})
        if answer.status != 200:
            raise RefusedError(answer.json)
        return Run(answer.json["prompt_id"], answer.json.get("node_errors") or {})

    def follow(
        self,
        run: Run,
        interrupt_at_step: int | None = None,
        asking: tuple[str, Any] = ("/interrupt", {}),
    ) -> Run:
        """Collect messages until the prompt has ended; at a step ask the host to end it."""
        asked_at = 0.0
        for message in self._messages():
            if message.data.get("prompt_id", run.prompt_id) != run.prompt_id:
                continue
            run.events.append(message)
            step = message.data.get("value", 0) if message.kind == "progress" else 0
            if interrupt_at_step is not None and step >= interrupt_at_step and not asked_at:
                asked_at = time.monotonic()
                self._server.ask(*asking)
            if message.kind in {"execution_error", "execution_success", "execution_interrupted"}:
                self.interrupt_latency_s = time.monotonic() - asked_at
                return run
        return run

    def heard(self, kind: str, count: int) -> list[dict[str, Any]]:
        """Data of the first messages of a kind, to whomever they went."""
        found = (message.data for message in self._messages() if message.kind == kind)
        return list(itertools.islice(found, count))

    def _messages(self) -> Iterator[Message]:
        """Messages as they come, until the host closes the connection.

        Raises:
            WebSocketTimeoutException: nothing came for `RUN_LIMIT_S`.
        """
        self._socket.settimeout(RUN_LIMIT_S)
        while True:
            code, payload = self._socket.recv_data()
            if code == ABNF.OPCODE_TEXT:
                content = json.loads(payload)
                yield Message(content["type"], content.get("data") or {})
            elif code == ABNF.OPCODE_BINARY:
                yield Message("binary", {}, payload)
            else:
                return


def _prepare_folders(base: Path, packs: tuple[str, ...]) -> None:
    for name in ("custom_nodes", "input", "output", "models", "user/default"):
        (base / name).mkdir(parents=True, exist_ok=True)
    for name in packs:
        link = base / "custom_nodes" / name
        if not link.exists():
            link.symlink_to(PACK, target_is_directory=True)
    settings = base / "user" / "default" / "comfy.settings.json"
    settings.write_text(json.dumps(_SETTINGS), encoding="utf-8")


def _answer(status: int, body: bytes) -> Answer:
    try:
        return Answer(status, json.loads(body), body)
    except ValueError:
        return Answer(status, None, body)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
