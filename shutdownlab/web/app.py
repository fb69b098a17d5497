"""The web application of a live page: its routes and their responses. ASGI, by Starlette."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from subprocess import TimeoutExpired
from typing import Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from shutdownlab.config.problems import BadInput
from shutdownlab.country.lab import Lab, LabEnded, LabError
from shutdownlab.web.door import Door, Guest
from shutdownlab.web.files import static_files
from shutdownlab.web.shell import shell
from shutdownlab.web.somebody import fetched, subscriber, traced
from shutdownlab.web.source import Source
from shutdownlab.web.steering import VERBS, Steering
from shutdownlab.web.terminal import serve_terminal

_ALIVE_S: Final = 15.0
"""Interval of keep-alive events in an idle event stream: proxies keep it open, and a page that hears none knows that it
was cut off."""
_MOST_BODY: Final = 4096
_VERSION: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
ANSWERS_AT_ONCE: Final = 16
"""Most concurrent requests to the country, which can take half a minute each; other requests do not wait for them."""


class PageApp:
    """The application for one source and its guests; `asgi` is the ASGI application for a server."""

    def __init__(self, source: Source, guests: Iterable[Guest], hosts: Iterable[str], lab: Lab | None = None) -> None:
        """`lab`: that of a steered source; None for a run."""
        self._source, self._lab = source, lab
        self._steering = source if isinstance(source, Steering) else None
        self._files = static_files()
        self._epoch = secrets.token_hex(4)
        self._turns = asyncio.Semaphore(ANSWERS_AT_ONCE)
        routes = [
            Route("/", self._page),
            Route("/static/{name:path}", self._file),
            Route("/events", self._events),
            Route("/cell", self._cell),
            Route("/happened", self._happened),
            Route("/subscriber", self._subscriber),
            Route("/order", self._order, methods=["POST"]),
            Route("/trace", partial(self._be_somebody, traced), methods=["POST"]),
            Route("/fetch", partial(self._be_somebody, fetched), methods=["POST"]),
            WebSocketRoute("/terminal", self._terminal),
        ]
        self.asgi = Door(Starlette(routes=routes), guests, hosts)

    # --- for everybody ---

    async def _page(self, request: Request) -> Response:
        guest: Guest = request.scope["guest"]
        steers = guest.steers and self._steering is not None
        return HTMLResponse(shell(steers=steers, name=guest.name))

    async def _file(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        return _nothing() if found is None else Response(found.content, media_type=found.kind)

    async def _events(self, request: Request) -> Response:
        """Streams the board and its changes as server-sent events (HTML Living Standard, 9.2)."""
        epoch, _, version = request.headers.get("last-event-id", "").partition("-")
        known = epoch == self._epoch and _VERSION.fullmatch(version) is not None
        since = int(version) if known else 0
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(since), media_type="text/event-stream", headers=headers)

    async def _stream(self, version: int) -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        while True:
            if await self._source.board.changed(version, _ALIVE_S):
                version, text = await run_in_threadpool(self._source.board.since, version)
                yield f"id: {self._epoch}-{version}\ndata: {text}\n\n"
            elif self._source.board.is_closed:
                yield "event: over\ndata: over\n\n"  # so that the browser does not try again for ever
                return
            else:
                yield "event: alive\ndata: alive\n\n"

    async def _cell(self, request: Request) -> Response:
        asked = [request.query_params.get(name, "") for name in ("phase", "vantage", "target", "family")]
        return JSONResponse(await run_in_threadpool(self._source.cell, *asked))

    async def _happened(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(self._source.happened, request.query_params.get("phase", "")))

    async def _subscriber(self, request: Request) -> Response:
        if self._lab is None:
            return _nothing()
        return await answered(partial(subscriber, self._lab, request.query_params.get("vantage", "")))

    # --- for those who steer ---

    async def _order(self, request: Request) -> Response:
        given = await self._asked(request)
        if isinstance(given, Response):
            return given
        verb, name = given.get("do"), given.get("name", "")
        if verb not in VERBS or not isinstance(name, str):
            return JSONResponse({"error": f"do must be one of {', '.join(VERBS)}, and name a text"}, 400)
        assert self._steering is not None
        guest: Guest = request.scope["guest"]
        return await answered(partial(self._steering.order, verb, name, guest.name), self._turns)

    async def _be_somebody(self, what: Callable[[Lab, Mapping[str, Any]], Any], request: Request) -> Response:
        given = await self._asked(request)
        if isinstance(given, Response):
            return given
        assert self._lab is not None
        return await answered(partial(what, self._lab, given), self._turns)

    async def _terminal(self, socket: WebSocket) -> None:
        guest: Guest = socket.scope["guest"]
        if not guest.steers or self._lab is None:
            await socket.close(1008)
            return
        await serve_terminal(socket, self._lab, socket.query_params.get("node", ""))

    async def _asked(self, request: Request) -> dict[str, Any] | Response:
        """Returns the JSON object of an order, or the error response: only a guest who steers may give orders."""
        guest: Guest = request.scope["guest"]
        if not guest.steers:
            return JSONResponse({"error": "this link only lets you follow; orders need the link for steering"}, 403)
        if self._steering is None:
            return JSONResponse({"error": "a run cannot be steered"}, 409)
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            return JSONResponse({"error": "an order is application/json"}, 415)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY:
                return JSONResponse({"error": "the order is too long"}, 413)
        try:
            given = json.loads(body)
        except (ValueError, RecursionError):
            given = None
        return given if isinstance(given, dict) else JSONResponse({"error": "an order is a JSON object"}, 400)


async def answered(ask: Callable[[], Any], turns: asyncio.Semaphore | None = None) -> Response:
    """Runs a request to the country, which may take a while, in a thread; answers errors with a message.

    turns: a semaphore that it waits for before it takes a thread, so that threads are left for the page.
    """
    try:
        async with turns or nullcontext():
            found = await run_in_threadpool(ask)
    except BadInput as mistake:
        return JSONResponse({"error": "; ".join(mistake.lines())}, 400)
    except LabEnded as error:
        return JSONResponse({"error": str(error)}, 410)
    except LabError as error:
        return JSONResponse({"error": str(error)}, 409)
    except TimeoutExpired as late:  # the program has a shorter timeout of its own, so the machine is busy
        return JSONResponse({"error": f"not done within {late.timeout:g} s; try again"}, 504)
    return JSONResponse(found or {})


def _nothing() -> Response:
    return Response("There is nothing here.\n", 404, media_type="text/plain")
