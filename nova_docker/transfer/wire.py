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

"""What sender and receiver say to each other, over TLS.

Messages, each with its kind and its length before it: a JSON object, or data.
The sender begins with the token; then, for each part, come an object with its
name and the bytes to have room for, its data, and an object with its size and
digest; at last, an object with nothing. The receiver answers to each part with
its size and digest when it is on the disk, and at last with all of them. It
says something else only when it ends: why.

It imports nothing but Python's own modules, as do those who use it: they are
programs of their own.
"""

import hashlib
import json
import socket
import ssl
import struct
import typing

Json = dict[str, typing.Any]

#: Bytes of data in one message, at most.
PIECE = 1 << 18
#: In place of a part: the next one is not ready yet.
MORE = {'more': True}
_HEADER = struct.Struct('>cI')
_JSON, _DATA = b'J', b'D'
#: Of the answer, and of no other message, the size depends on its parts.
_LONGEST = 1 << 20
#: In struct tcp_info, the bytes that the other side has acknowledged. Source:
#: include/uapi/linux/tcp.h
_ACKNOWLEDGED = struct.Struct('=120xQ')


class Failed(Exception):
    """The transfer has failed; says why, to be read by people."""


class Messages:
    """The messages on one connection, which is closed by whoever made it.

    What takes too long, by the timeout of the connection, raises TimeoutError.
    """

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self._connection = connection

    def tell(self, message: Json) -> None:
        """Send an object.

        :raises OSError: it can't be
        """
        self._send(_JSON, json.dumps(message).encode())

    def give(self, data: bytes) -> None:
        """Send data, of one message."""
        self._send(_DATA, data)

    def hear(self) -> Json | bytes:
        """The next message.

        :raises OSError: it did not come
        :raises Failed: it is none
        """
        kind, size = _HEADER.unpack(self._receive(_HEADER.size))
        if kind == _DATA and 0 < size <= PIECE:
            return self._receive(size)
        if kind != _JSON or size > _LONGEST:
            raise Failed('the other host does not keep to the protocol')
        found = json.loads(self._receive(size))
        if not isinstance(found, dict):
            raise Failed('the other host does not keep to the protocol')
        return found

    def hear_object(self) -> Json:
        """The next message, which is to be an object.

        :raises Failed: it is none
        """
        found = self.hear()
        if isinstance(found, bytes):
            raise Failed('the other host does not keep to the protocol')
        return found

    def _send(self, kind: bytes, data: bytes) -> None:
        self._connection.sendall(_HEADER.pack(kind, len(data)) + data)

    def _receive(self, size: int) -> bytes:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._connection.recv_into(view)
            if not count:
                raise ConnectionError('the other host closed the connection')
            view = view[count:]
        return bytes(data)


class Digest:
    """Size and digest of data that passes."""

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """The next of it."""
        self.size += len(data)
        self._sha256.update(data)

    def told(self) -> Json:
        """As messages have it."""
        return {'size': self.size, 'sha256': self._sha256.hexdigest()}


def acknowledged(connection: socket.socket) -> int:
    """Bytes that went over a TCP connection to its other side."""
    info = connection.getsockopt(
        socket.IPPROTO_TCP, socket.TCP_INFO, _ACKNOWLEDGED.size)
    if len(info) < _ACKNOWLEDGED.size:
        return 0
    return int(_ACKNOWLEDGED.unpack(info)[0])


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate.

    :param certificate: as DER
    """
    return hashlib.sha256(certificate).hexdigest()


def context(server: bool) -> ssl.SSLContext:
    """TLS 1.3, without an authority for certificates."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server
                          else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if server:
        # Nobody comes again, and whatever the client can read is a message.
        made.num_tickets = 0
    return made


def reason(error: Exception) -> str:
    """Why something failed, in words."""
    if isinstance(error, TimeoutError):
        return 'nothing went on for too long'
    return str(error) or type(error).__name__
