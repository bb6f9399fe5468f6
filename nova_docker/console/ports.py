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

"""The TCP ports of consoles: each is one instance's, for as long as it counts.

A user's token has a port in it. So the port stays that of the instance over
reboots of it and restarts of nova-compute, and when the instance has gone, no
other one gets the port before the last token must have expired: its owner
would find himself on somebody else's console (CVE-2014-8750).
"""

import collections.abc
import dataclasses
import errno
import json
import os
import socket
import threading
import time

from nova import exception
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

#: Connections that wait to be accepted.
_BACKLOG = 16


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the consoles of a kind are.

    :ivar kind: serial or vnc
    :ivar listen: address that they listen on
    :ivar address: address that proxies connect to
    :ivar ports: those that they may have
    :ivar is_offered: whether there are any
    """
    kind: str
    listen: str
    address: str
    ports: range
    is_offered: bool = True


@dataclasses.dataclass(frozen=True)
class _Port:
    """:ivar until: Unix time from which it is anybody's; None while in use"""
    instance: str
    kind: str
    until: float | None = None


class Ports:
    """The ports of one nova-compute, as they are in a file. Thread-safe."""

    def __init__(self, path: str, token_ttl: int,
                 now: collections.abc.Callable[[], float] = time.time
                 ) -> None:
        """:param path: of the file
        :param token_ttl: seconds that a token counts
        :param now: the Unix time
        """
        self._path = path
        self._token_ttl = token_ttl
        self._now = now
        self._lock = threading.Lock()
        self._ports = self._read()

    def instances(self) -> set[str]:
        """The instances that have a port."""
        with self._lock:
            return {port.instance for port in self._ports.values()
                    if port.until is None}

    def known(self) -> list[tuple[str, str]]:
        """(instance, kind) of each console that has a port."""
        with self._lock:
            return [(port.instance, port.kind)
                    for port in self._ports.values() if port.until is None]

    def listen(self, instance: str, place: Place) -> socket.socket:
        """Listen on the port of an instance; it gets one that has none.

        It gets another one where something else on this host has taken its
        own, and where that is no longer within the configured range.

        :raises nova.exception.SocketPortRangeExhaustedException: none is free
        """
        with self._lock:
            own = [number for number, port in self._ports.items()
                   if port == _Port(instance, place.kind)]
            for number in own:
                listener = (_listen(place.listen, number)
                            if number in place.ports else None)
                if listener:
                    return listener
                LOG.warning('The console of instance %s gets another port '
                            'than %s', instance, number)
                self._release(number)
            for number in place.ports:
                listener = (_listen(place.listen, number)
                            if self._is_free(number) else None)
                if listener:
                    self._ports[number] = _Port(instance, place.kind)
                    self._write()
                    return listener
        raise exception.SocketPortRangeExhaustedException(host=place.listen)

    def release(self, instance: str) -> None:
        """An instance has gone from this host (idempotent)."""
        with self._lock:
            for number, port in list(self._ports.items()):
                if port.instance == instance and port.until is None:
                    self._release(number)

    def _is_free(self, number: int) -> bool:
        port = self._ports.get(number)
        return port is None or (
            port.until is not None and port.until <= self._now())

    def _release(self, number: int) -> None:
        self._ports[number] = dataclasses.replace(
            self._ports[number], until=self._now() + self._token_ttl)
        self._write()

    def _read(self) -> dict[int, _Port]:
        try:
            with open(self._path, encoding='utf-8') as file:
                return {int(number): _Port(**port)
                        for number, port in json.load(file).items()}
        except FileNotFoundError:
            return {}

    def _write(self) -> None:
        # Of those that are anybody's nothing needs to be known.
        self._ports = {number: port for number, port in self._ports.items()
                       if not self._is_free(number)}
        new = f'{self._path}.new'
        with open(new, 'w', encoding='utf-8') as file:
            json.dump({number: dataclasses.asdict(port)
                       for number, port in self._ports.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)


def _listen(address: str, number: int) -> socket.socket | None:
    """A listening socket; None where the port is in use.

    :raises OSError: the address is none of this host
    """
    family = socket.getaddrinfo(address, number, type=socket.SOCK_STREAM)[0][0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Connections of before a restart do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, number))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return listener
