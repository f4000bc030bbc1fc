"""What is at which path, and in which form.

A probe answers 200 or 503. The body is plain text, a line for each thing that is wrong, or `ok`; with `Accept:
application/json` it is `{"status": "ok" | "failing", "problems": [...], "warnings": [...], "partitions": [...]}`, with
those partitions, as `/status` has them, that are halted, stalled or have a failing record, if it fails.
`/status` is the status of the runtime; with several, `{"runtimes": [...]}`.
"""

import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from humus.health._facts import Facts, RuntimeFacts, Watch
from humus.health._heartbeat import Heartbeat
from humus.health._http import Request, Response
from humus.health._own_checks import OwnChecks
from humus.health._verdicts import Verdict, liveness, readiness, startup
from humus.queue._describe import error_type

__all__ = ["Pages"]

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"
_OK, _NOT_FOUND, _NOT_ALLOWED, _FAILED, _UNAVAILABLE = 200, 404, 405, 500, 503
_METHODS: Final = ("GET", "HEAD")

_log = logging.getLogger("humus.health")

Page = Callable[[Request], Awaitable[Response]]


class Pages:
    """Answers requests; on the server's loop. `metrics` makes the page of that name, `None` where there is none."""

    def __init__(self, watch: Watch, heartbeat: Heartbeat, own: Callable[[], OwnChecks], metrics: Page | None) -> None:
        """`own` makes the user's checks, once the application runs."""
        self._watch = watch
        self._heartbeat = heartbeat
        self._make_own = own
        self._own: OwnChecks | None = None
        self._pages: dict[str, Page] = {
            "/health/liveness": self._liveness,
            "/health/readiness": self._readiness,
            "/health/startup": self._startup,
            "/status": self._status,
        }
        if metrics is not None:
            self._pages["/metrics"] = metrics

    async def answer(self, request: Request) -> Response:
        """Answer a request, whatever happens."""
        page = self._pages.get(request.path)
        if page is None:
            there = "\n".join(self._pages)
            return Response(_NOT_FOUND, TEXT, f"not found; there are:\n{there}\n".encode())
        if request.method not in _METHODS:
            allowed = ", ".join(_METHODS)
            return Response(_NOT_ALLOWED, TEXT, f"use {allowed}\n".encode(), [("Allow", allowed)])
        try:
            return await page(request)
        except Exception as error:  # noqa: BLE001 - a runtime's status is perhaps the user's own
            _log.exception("%s failed", request.path)
            return Response(_FAILED, TEXT, f"internal error: {error_type(error)}\n".encode())

    async def _liveness(self, request: Request) -> Response:
        facts = self._facts()
        return _probe(request, liveness(facts), facts)

    async def _startup(self, request: Request) -> Response:
        facts = self._facts()
        return _probe(request, startup(facts), facts)

    async def _readiness(self, request: Request) -> Response:
        own: list[str] = []
        if self._watch.phase == "running":  # before, nothing is there to be checked; after, it is being closed
            self._own = self._own or self._make_own()
            own = await self._own.problems()
        facts = self._facts()
        return _probe(request, readiness(facts, own), facts)

    async def _status(self, _request: Request) -> Response:
        facts = self._facts()
        statuses = [_status(runtime) for runtime in facts.runtimes]
        body: dict[str, Any]
        if not statuses:
            body = {"state": facts.phase, "partitions": []}
        else:
            body = statuses[0] if len(statuses) == 1 else {"runtimes": statuses}
        return Response(_OK, JSON, _encode(body))

    def _facts(self) -> Facts:
        now = time.monotonic()
        return Facts(self._watch.phase, now, self._heartbeat.silent_for(now), self._watch.runtimes())


def _probe(request: Request, verdict: Verdict, facts: Facts) -> Response:
    status = _OK if verdict.passes else _UNAVAILABLE
    if JSON in request.accept:
        # To look through all partitions takes its time, 30 us each: only where something is wrong.
        troubled = () if verdict.passes else facts.runtimes
        body = {
            "status": "ok" if verdict.passes else "failing",
            "problems": verdict.problems,
            "warnings": verdict.warnings,
            "partitions": [partition for runtime in troubled for partition in _in_trouble(runtime)],
        }
        return Response(status, JSON, _encode(body))
    lines = [*(verdict.problems or ("ok",)), *(f"warning: {line}" for line in verdict.warnings)]
    return Response(status, TEXT, "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))


def _in_trouble(runtime: RuntimeFacts) -> list[Any]:
    partitions = _status(runtime).get("partitions", ())
    return [one for one in partitions if one.get("failure") or one.get("state") in {"halted", "stalled"}]


def _status(runtime: RuntimeFacts) -> dict[str, Any]:
    return {"runtime": runtime.name} if runtime.as_dict is None else runtime.as_dict()


def _encode(body: object) -> bytes:
    return json.dumps(body, default=str).encode() + b"\n"
