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

"""A terminal of a container: a connection that is no longer HTTP."""

import collections.abc
import contextlib
import socket
import ssl
import typing

import requests

from nova_docker.engine import client
from nova_docker.engine import stream

#: Asks the engine for the raw connection.
UPGRADE = {'Connection': 'Upgrade', 'Upgrade': 'tcp'}

#: The keys that detach: what nobody types. The engine takes Ctrl-P Ctrl-Q
#: where none are said, and holds the first key of several back until the next.
#: No text in UTF-8 has the byte of the former; JSON can't say it.
NO_KEYS = b','.join([b'\xff'] * 8)
EXEC_NO_KEYS = ','.join(['ctrl-^'] * 8)


class Terminal(client.Terminal):
    """The open answer to an attach or to the start of an exec."""

    def __init__(self, response: requests.Response,
                 release: collections.abc.Callable[[], object],
                 resize: collections.abc.Callable[[int, int], object],
                 process: collections.abc.Callable[
                     [], tuple[int, str] | None]) -> None:
        """Take over an answer of which only the headers were read.

        :param release: closes what the answer came from
        """
        self._response = response
        self._release = release
        self._resize = resize
        self._process = process
        self._socket = stream.plain_socket(response)
        self._socket.setblocking(False)
        # What came together with the headers.
        body: typing.Any = response.raw
        with contextlib.suppress(OSError):
            self._early: bytes = b''
            self._early = body._fp.fp.peek()
        self._closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def recv(self, size: int) -> bytes | None:
        if self._early:
            data, self._early = self._early[:size], self._early[size:]
            return data
        try:
            return self._socket.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        except OSError:
            return b''

    def pending(self) -> bool:
        return bool(self._early) or (
            isinstance(self._socket, ssl.SSLSocket) and
            self._socket.pending() > 0)

    def send(self, data: bytes) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except OSError:
            # The end is read.
            return len(data)

    def resize(self, rows: int, columns: int) -> None:
        self._resize(rows, columns)

    def process(self) -> tuple[int, str] | None:
        return self._process()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        # requests leaves the socket open as long as something refers to it.
        self._socket.close()
        self._response.close()
        self._release()
