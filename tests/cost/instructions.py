"""Counts the instructions that Python executes, in every thread that is started through it."""

import itertools
import sys
import threading
from collections.abc import Callable, Collection
from types import CodeType, FrameType
from typing import Any

__all__ = ["Instructions"]

_Tracer = Callable[[FrameType, str, Any], Any]


class Instructions:
    """Counts while `run` calls something, and in threads that are started within it as long as they live.

    `but` are the functions whose own instructions do not count; those of what they call do.
    """

    def __init__(self, but: Collection[CodeType] = ()) -> None:
        self._ticks = itertools.count()  # its `next` is one call into C: no thread loses what another one counts
        self._read = 0
        self._but = frozenset(but)

    @property
    def executed(self) -> int:
        """How many there were so far."""
        self._read += 1
        return next(self._ticks) - self._read

    def run(self, call: Callable[[], object], *, here: bool = True) -> None:
        """Call this, counting; what this thread does itself only if it is `here`."""
        before, in_threads = sys.gettrace(), threading.gettrace()
        threading.settrace(self._enter)
        if here:
            sys.settrace(self._enter)
        try:
            call()
        finally:
            sys.settrace(before)
            threading.settrace(in_threads)

    def _enter(self, frame: FrameType, _event: str, _arg: Any) -> _Tracer | None:
        if frame.f_code in self._but:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._executed

    def _executed(self, _frame: FrameType, event: str, _arg: Any) -> _Tracer:
        if event == "opcode":
            next(self._ticks)
        return self._executed
