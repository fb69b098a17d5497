"""A terminal in the browser: a shell on a node with its own pseudo-terminal, over a WebSocket."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import struct
import termios
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from shutdownlab.config.problems import BadInput
from shutdownlab.country.lab import LabError

if TYPE_CHECKING:
    from shutdownlab.country.lab import Lab
    from shutdownlab.country.lab_program import Program

_CHUNK: Final = 1 << 15
_SIZE: Final = struct.Struct("4H")
_MOST_SIZE: Final = 1000
_SHELL: Final = ("setsid", "--ctty", "--wait", "bash", "--norc", "-i")
"""Makes the terminal the shell's controlling terminal, so that Ctrl-C, job control and full-screen programs work."""


async def serve_terminal(socket: WebSocket, lab: Lab, node: str) -> None:
    """Serves one terminal until either side ends it. It has the rights of `shutdownlab exec`.

    The browser sends JSON texts: `{"type": "the text typed"}` or `{"size": [rows, columns]}`; it receives bytes.
    """
    await socket.accept()
    loop = asyncio.get_running_loop()
    master, slave = pty.openpty()
    try:
        try:
            variables = {"TERM": "xterm-256color", "PS1": r"\[\e[1m\]" + _plain(node) + r"\[\e[0m\]:\w$ "}
            program = await loop.run_in_executor(None, lambda: _start(lab, node, slave, variables))
        except (BadInput, LabError, OSError) as error:
            await socket.send_bytes(f"{error}\r\n".encode())
            await socket.close()
            return
        finally:
            os.close(slave)
        os.set_blocking(master, False)
        try:
            await _both_ways(socket, master)
        finally:
            program.terminate()
    finally:
        os.close(master)  # processes still attached get SIGHUP


def _start(lab: Lab, node: str, slave: int, variables: dict[str, str]) -> Program:
    return lab.popen(node, _SHELL, stdin=slave, stdout=slave, stderr=slave, env=variables)


def _plain(node: str) -> str:
    return "".join(letter for letter in node if letter.isalnum() or letter in "-_/.")


async def _both_ways(socket: WebSocket, master: int) -> None:
    """Relays output and input until the shell ends or the browser disconnects."""
    shown = asyncio.ensure_future(_show(socket, master))
    typed = asyncio.ensure_future(_type(socket, master))
    done, pending = await asyncio.wait({shown, typed}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*done, *pending, return_exceptions=True)
    with suppress(RuntimeError):
        await socket.close()


async def _show(socket: WebSocket, master: int) -> None:
    while True:
        await _ready(master, write=False)
        try:
            data = os.read(master, _CHUNK)
        except BlockingIOError:
            continue
        except OSError:  # EIO: no process has the terminal open any more
            return
        if not data:
            return
        await socket.send_bytes(data)  # a slow browser blocks the shell


async def _type(socket: WebSocket, master: int) -> None:
    while True:
        try:
            message = json.loads(await socket.receive_text())
        except (WebSocketDisconnect, KeyError, ValueError, RecursionError):
            return
        if not isinstance(message, dict):
            return
        if isinstance(message.get("type"), str):
            await _write(master, message["type"].encode(errors="replace"))  # a lone surrogate cannot be encoded
        if size := _size(message.get("size")):
            with suppress(OSError):
                fcntl.ioctl(master, termios.TIOCSWINSZ, _SIZE.pack(*size, 0, 0))


async def _write(master: int, data: bytes) -> None:
    while data:
        await _ready(master, write=True)
        try:
            data = data[os.write(master, data) :]
        except BlockingIOError:
            continue
        except OSError:
            return


def _size(given: Any) -> tuple[int, int] | None:
    match given:
        case [int(rows), int(columns)] if 0 < rows <= _MOST_SIZE and 0 < columns <= _MOST_SIZE:
            return rows, columns
    return None


async def _ready(fd: int, *, write: bool) -> None:
    """Waits until `fd` is readable, or (`write`) writable."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)

    def be_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    add(fd, be_ready)
    try:
        await ready
    finally:
        remove(fd)
