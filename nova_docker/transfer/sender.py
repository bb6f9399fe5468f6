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

"""Send the parts of one server to a host that waits for them.

A program for the same reason as :mod:`nova_docker.transfer.receiver`, and
used in the same way. It is told where to and then of each part, with the bytes
that it may have; what comes out of a FIFO, or is in the file that it names,
is sent, and is whole when it is told so. Between the parts may be any time::

    {"address": "192.0.2.1", "port": 49152, "fingerprint": "...",
     "token": "...", "fifo": "/...", "timeout": 60}
    {"part": "root", "size": 10000}
    {"packed": true}
    {"part": "image", "size": 10000, "path": "/..."}
    {"packed": true}
    {}

It says when it is connected, when it has that open and when the other host has
the part, and at its end what that one has on its disk, and how many bytes went
over the wire. A part that could not be packed ends it too::

    {"connected": "192.0.2.1"}
    {"opened": "root"}
    {"sent": "root"}
    {"stopped": "root"}
    {"done": {"root": {"size": 10240, "sha256": "..."}}, "wire": 10800}
    {"error": "..."}
"""

import collections.abc
import contextlib
import fcntl
import hmac
import os
import select
import socket
import ssl
import sys

from nova_docker.transfer import parent
from nova_docker.transfer import wire

#: Seconds to be told what next.
_PATIENCE = 60
#: Seconds, less than any host waits for, after which the other one is told
#: that there will be more.
_PULSE = 2
#: Of pipe(7); the default is a quarter of what is sent at once.
_F_SETPIPE_SZ = 1031


@contextlib.contextmanager
def _connected(wanted: wire.Json
               ) -> collections.abc.Iterator[ssl.SSLSocket]:
    """A connection to the host that has the certificate, and no other one.

    :raises OSError: there is none
    :raises wire.Failed: another one answers
    """
    with socket.create_connection(
            (wanted['address'], wanted['port']),
            timeout=wanted['timeout']) as plain:
        with wire.context(server=False).wrap_socket(plain) as connection:
            certificate = connection.getpeercert(binary_form=True) or b''
            if not hmac.compare_digest(wire.fingerprint(certificate),
                                       wanted['fingerprint']):
                raise wire.Failed(
                    f'who answers at {wanted["address"]} port '
                    f'{wanted["port"]} is not the host that was asked')
            wire.Messages(connection).give(wanted['token'].encode())
            yield connection


class _Sender:

    def __init__(self, told: parent.Parent, connection: ssl.SSLSocket,
                 fifo: str, timeout: float) -> None:
        self._told = told
        self._connection = connection
        self._messages = wire.Messages(connection)
        self._fifo = fifo
        self._timeout = timeout

    def send(self) -> wire.Json:
        """Send what it is told to; the answer of the other host.

        :raises OSError: the connection fails
        :raises wire.Failed: the other host refuses, or has something else
        """
        sent = {}
        while part := self._next():
            name = part['part']
            sent[name] = self._part(part)
            self._told.tell(sent=name)
        self._messages.tell({})
        self._hear({'received': sent})
        return sent

    def _next(self) -> wire.Json:
        """The next part, which a server may have to be stopped for."""
        while True:
            try:
                return self._told.hear(_PULSE)
            except TimeoutError:
                self._messages.tell(wire.MORE)

    def _part(self, part: wire.Json) -> wire.Json:
        name = part['part']
        descriptor = os.open(part.pop('path', self._fifo),
                             os.O_RDONLY | os.O_NONBLOCK)
        try:
            with contextlib.suppress(OSError):
                # It is a file, or a user may have no more such pipes.
                fcntl.fcntl(descriptor, _F_SETPIPE_SZ, wire.PIECE)
            self._told.tell(opened=name)
            self._messages.tell(part)
            digest = wire.Digest()
            while data := self._read(descriptor):
                digest.add(data)
                self._messages.give(data)
        finally:
            os.close(descriptor)
        # The FIFO ends in the same way when that was not all.
        if not self._told.hear(_PATIENCE)['packed']:
            self._told.tell(stopped=name)
            sys.exit(1)
        self._messages.tell(digest.told())
        self._hear(digest.told())
        return digest.told()

    def _hear(self, expected: wire.Json) -> None:
        """See that the other host has what was sent."""
        answer = self._messages.hear_object()
        if 'error' in answer:
            raise wire.Failed(answer['error'])
        if answer != expected:
            raise wire.Failed('the other host has received something else')

    def _read(self, descriptor: int) -> bytes:
        """What comes next of a part; nothing at its end only.

        :raises TimeoutError: nothing comes
        :raises wire.Failed: the other host says why it does not want more
        """
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(self._connection, select.POLLIN)
        ready = dict(poll.poll(self._timeout * 1000))
        if not ready:
            raise TimeoutError
        if self._connection.fileno() in ready:
            raise wire.Failed(
                self._messages.hear_object().get('error', 'nothing'))
        return os.read(descriptor, wire.PIECE)


def main() -> None:
    """What whoever started it says."""
    told = parent.Parent()
    try:
        wanted = told.hear(_PATIENCE)
        with _connected(wanted) as connection:
            told.tell(connected=wanted['address'])
            sent = _Sender(told, connection, wanted['fifo'],
                           wanted['timeout']).send()
            told.tell(done=sent, wire=wire.acknowledged(connection))
    except (OSError, ValueError, wire.Failed) as error:
        told.tell(error=wire.reason(error))
        sys.exit(1)


if __name__ == '__main__':
    main()
