#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.

"""The one thread that moves the bytes of all consoles of a host.

Nothing that it calls may wait, least of all for the engine. It runs as a
native thread and, with Nova 2026.1, as a green one: there ``selectors`` and
``socket`` are eventlet's.
"""

import collections
import collections.abc
import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
import typing

from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: Seconds that stop() waits for the thread.
_STOP_WAIT = 2.0

_Call = collections.abc.Callable[[], object]


class Watched(typing.Protocol):
    """What the thread waits for."""

    def fileno(self) -> int:
        """Its file descriptor."""

    def ready(self, readable: bool, writable: bool) -> bool:
        """Move some bytes; whether there is more that needs no waiting."""

    def failed(self) -> None:
        """Called after it raised: it must forget itself."""


class Loop:
    """Waits for sockets and for times, and calls.

    All but :meth:`call`, :meth:`start` and :meth:`stop` are for its thread.
    """

    def __init__(self) -> None:
        self._selector: selectors.BaseSelector = selectors.DefaultSelector()
        self._calls: collections.deque[_Call] = collections.deque()
        self._timers: list[tuple[float, int, _Call]] = []
        self._count = itertools.count()
        self._watched: set[Watched] = set()
        self._more: set[Watched] = set()
        self._stopped = False
        self._woken, self._waker = socket.socketpair()
        for end in (self._woken, self._waker):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(
            target=self._run, name='docker-consoles', daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after what it was told to call."""
        def stop() -> None:
            self._stopped = True
        self.call(stop)
        if self._thread.is_alive():
            self._thread.join(_STOP_WAIT)
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def call(self, function: _Call) -> None:
        """Have the thread call something, soon. From any thread."""
        self._calls.append(function)
        # It is awake anyway when the buffer is full; or it was stopped.
        with contextlib.suppress(OSError):
            self._waker.send(b'.')

    def later(self, seconds: float, function: _Call) -> None:
        """Call something after a while."""
        heapq.heappush(self._timers, (
            time.monotonic() + seconds, next(self._count), function))

    def watch(self, watched: Watched, write: bool = False) -> None:
        """Wait until it can be read, or also written."""
        events = selectors.EVENT_READ | (
            selectors.EVENT_WRITE if write else 0)
        if watched in self._watched:
            self._selector.modify(watched, events)
        else:
            self._selector.register(watched, events)
            self._watched.add(watched)

    def forget(self, watched: Watched) -> None:
        """Wait for it no more, before it is closed (idempotent)."""
        self._more.discard(watched)
        if watched in self._watched:
            self._watched.remove(watched)
            self._selector.unregister(watched)

    def _run(self) -> None:
        while not self._stopped:
            found = {key.fileobj: events for key, events in
                     self._selector.select(self._timeout())}
            if found.pop(self._woken, None):
                with contextlib.suppress(OSError):
                    self._woken.recv(4096)
            more, self._more = self._more, set()
            for watched in {*more, *found}:
                events = found.get(watched, 0)
                self._ready(
                    typing.cast(Watched, watched),
                    watched in more or bool(events & selectors.EVENT_READ),
                    bool(events & selectors.EVENT_WRITE))
            self._call_all()

    def _timeout(self) -> float | None:
        if self._more or self._calls:
            return 0
        if self._timers:
            return max(0, self._timers[0][0] - time.monotonic())
        return None

    def _ready(self, watched: Watched, readable: bool,
               writable: bool) -> None:
        # An earlier one may have closed it.
        if watched not in self._watched:
            return
        try:
            if watched.ready(readable, writable):
                self._more.add(watched)
        except Exception:
            LOG.exception('A console failed')
            self._try(watched.failed)

    def _call_all(self) -> None:
        due = []
        while self._timers and self._timers[0][0] <= time.monotonic():
            due.append(heapq.heappop(self._timers)[2])
        # Those that are added meanwhile have their turn after the sockets.
        due += [self._calls.popleft() for _ in range(len(self._calls))]
        for function in due:
            self._try(function)

    @staticmethod
    def _try(function: _Call) -> None:
        try:
            function()
        except Exception:
            LOG.exception('A console failed')
