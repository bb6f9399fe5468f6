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

"""The programs that receive and send, as nova-compute has them.

They are talked with over a pair of sockets and no pipes, which would keep
everybody waiting under eventlet: see :mod:`nova_docker.transfer.parent`. They
end with nova-compute, which has the only other end.
"""

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import types
import typing

Json = dict[str, typing.Any]


class Failed(Exception):
    """A program has failed; says why."""


class Program:
    """A program that runs as long as this is used as a context manager.

    :param name: of its module in this package
    """

    def __init__(self, name: str) -> None:
        self._socket, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, '-m', f'{__package__}.{name}'],
                    stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    # What it has to say it says here.
                    stderr=subprocess.DEVNULL,
                    cwd=pathlib.Path(__file__).parents[2])
        except BaseException:
            self._socket.close()
            raise
        self._lines = b''

    def tell(self, **message: typing.Any) -> None:
        """Say something to it. That it has gone, :meth:`hear` says."""
        with contextlib.suppress(OSError):
            self._socket.sendall(json.dumps(message).encode() + b'\n')

    def hear(self, expected: str, timeout: float | None = None) -> Json:
        """What it says next.

        :param expected: a key of it
        :param timeout: seconds; None where it has its own
        :raises Failed: it has failed, has gone or says nothing
        """
        self._socket.settimeout(timeout)
        while b'\n' not in self._lines:
            try:
                data = self._socket.recv(1 << 16)
            except TimeoutError:
                raise Failed('it does not answer') from None
            except OSError:
                data = b''
            if not data:
                raise Failed(f'it ended: {self._process.wait()}')
            self._lines += data
        line, _newline, self._lines = self._lines.partition(b'\n')
        found: Json = json.loads(line)
        if expected not in found:
            raise Failed(found.get('error', 'it says something else'))
        return found

    def end(self) -> None:
        """End it (idempotent); whoever waits to hear from it learns so."""
        self._process.kill()
        # Until it is gone it may still do something.
        self._process.wait()

    def __enter__(self) -> 'Program':
        return self

    def __exit__(self, kind: type[BaseException] | None,
                 error: BaseException | None,
                 trace: types.TracebackType | None) -> None:
        self.end()
        self._socket.close()
