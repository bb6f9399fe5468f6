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

"""The consoles of a host: where they listen, and for whom."""

import collections.abc
import dataclasses
import os
import queue
import socket
import ssl
import threading

from oslo_log import log as logging

from nova_docker.console import hub
from nova_docker.console import loop
from nova_docker.console import ports
from nova_docker.console import rfb
from nova_docker.console import viewer

LOG = logging.getLogger(__name__)

#: Seconds that stop() waits for the thread that asks the engine.
_STOP_WAIT = 2.0


@dataclasses.dataclass(frozen=True)
class Options:
    """How consoles are reached.

    :ivar serial: where those are that are made of bytes
    :ivar vnc: where those are that are made of pictures
    :ivar security: types of nova_docker.console.rfb for the latter, the best
        first
    :ivar context: of TLS; needed for one of them
    :ivar token_ttl: seconds that a token for a console counts
    """
    serial: ports.Place
    vnc: ports.Place
    security: tuple[int, ...] = (rfb.NONE,)
    context: ssl.SSLContext | None = None
    token_ttl: int = 600

    def place(self, kind: str) -> ports.Place:
        return next(place for place in (self.serial, self.vnc)
                    if place.kind == kind)


class _Door:
    """A listening socket."""

    def __init__(self, loop: loop.Loop, listener: socket.socket,
                 enter: collections.abc.Callable[[socket.socket], object]
                 ) -> None:
        self._loop = loop
        self.listener = listener
        self._enter = enter

    def fileno(self) -> int:
        return self.listener.fileno()

    def ready(self, readable: bool, writable: bool) -> bool:
        try:
            connection, _address = self.listener.accept()
        except BlockingIOError:
            return False
        except OSError:
            # There are no more file descriptors: it would be ready for ever.
            self._loop.forget(self)
            self._loop.later(1, self.open)
            return False
        try:
            self._enter(connection)
        except Exception:
            connection.close()
            raise
        return False

    def open(self) -> None:
        """Let people in."""
        if self.listener.fileno() >= 0:
            self._loop.watch(self)

    def failed(self) -> None:
        """It stays open for others."""

    def close(self) -> None:
        self._loop.forget(self)
        self.listener.close()


class Consoles:
    """The consoles of all instances of one nova-compute.

    One thread moves bytes (nova_docker.console.loop), another one asks the
    engine, however many consoles there are.
    """

    def __init__(self, options: Options, state_dir: str,
                 source: hub.Source) -> None:
        """:param state_dir: where the ports are kept, in a file"""
        self._options = options
        self.ports = ports.Ports(os.path.join(state_dir, 'consoles.json'),
                                 options.token_ttl)
        self._source = source
        self._loop = loop.Loop()
        self._work: queue.Queue[
            collections.abc.Callable[[], object] | None] = queue.Queue()
        self._worker = threading.Thread(
            target=self._run, name='docker-consoles-engine', daemon=True)
        self._lock = threading.Lock()
        #: By instance and kind; changed under the lock.
        self._doors: dict[tuple[str, str], _Door] = {}
        #: Of the loop's thread.
        self._hubs: dict[str, hub.Hub] = {}

    def start(self) -> None:
        """Listen where consoles were before: their tokens still count."""
        self._loop.start()
        self._worker.start()
        for instance, kind in self.ports.known():
            try:
                if self.offers(kind):
                    self.listen(instance, kind)
            except Exception:
                LOG.exception('Cannot listen for the %s console of instance '
                              '%s', kind, instance)

    def offers(self, kind: str) -> bool:
        """Whether the operator wants such consoles."""
        return self._options.place(kind).is_offered

    def stop(self) -> None:
        """Send everybody away, and listen no more; the ports are kept."""
        def leave() -> None:
            for each in list(self._hubs.values()):
                each.close()
        self._loop.call(leave)
        with self._lock:
            doors, self._doors = self._doors, {}
        for door in doors.values():
            self._loop.call(door.close)
        self._loop.stop()
        self._work.put(None)
        if self._worker.is_alive():
            self._worker.join(_STOP_WAIT)

    def listen(self, instance: str, kind: str) -> tuple[str, int]:
        """The address and the port of a console, which listens.

        :param kind: serial or vnc
        :raises nova.exception.SocketPortRangeExhaustedException: no port
        """
        place = self._options.place(kind)
        with self._lock:
            door = self._doors.get((instance, kind))
            if door is None:
                listener = self.ports.listen(instance, place)
                door = self._doors[instance, kind] = _Door(
                    self._loop, listener,
                    lambda connection: self._enter(
                        instance, kind, connection))
                self._loop.call(door.open)
            return place.address, int(door.listener.getsockname()[1])

    def close(self, instance: str) -> None:
        """An instance goes from this host; its ports rest (idempotent)."""
        with self._lock:
            doors = [self._doors.pop(key) for key in list(self._doors)
                     if key[0] == instance]
            self.ports.release(instance)

        def leave() -> None:
            for door in doors:
                door.close()
            if instance in self._hubs:
                self._hubs[instance].close()
        self._loop.call(leave)

    def _enter(self, instance: str, kind: str,
               connection: socket.socket) -> None:
        found = self._hubs.get(instance)
        if found is None:
            found = self._hubs[instance] = hub.Hub(
                instance, self._loop, self._work.put, self._source,
                lambda: self._hubs.pop(instance, None))
        try:
            self._join(found, kind, connection)
        finally:
            if not found.viewers:
                self._hubs.pop(instance, None)

    def _join(self, found: hub.Hub, kind: str,
              connection: socket.socket) -> None:
        if found.viewers >= hub.MOST_VIEWERS:
            LOG.warning('The console of %s has %s viewers; one more is sent '
                        'away', found.title, found.viewers)
            connection.close()
        elif kind == self._options.serial.kind:
            found.join(viewer.Serial(self._loop, connection, found))
        else:
            found.join(viewer.Vnc(
                self._loop, connection, found, self._options.security,
                self._options.context))

    def _run(self) -> None:
        for call in iter(self._work.get, None):
            try:
                call()
            except Exception:
                LOG.exception('A console failed')
