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

"""Receive the parts of one server, from the one host that knows the token.

A program, as Nova 2026.1 runs nova-compute on eventlet, which has neither TLS
nor files that do not keep everybody waiting. It has the rights of its user and
writes to one directory. See :mod:`nova_docker.transfer.parent` for how it is
told what to do::

    {"address": "192.0.2.1", "ports": [0], "directory": "/...",
     "token": "...", "timeout": 60}

It says where it listens, and at its end what has come::

    {"port": 49152, "fingerprint": "..."}
    {"done": {"root": {"size": 10240, "sha256": "..."}}}
    {"error": "..."}
"""

import contextlib
import datetime
import errno
import hmac
import os
import queue
import socket
import ssl
import sys
import threading
import typing

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509
from cryptography.x509 import oid

from nova_docker.transfer import parent
from nova_docker.transfer import spool
from nova_docker.transfer import wire

#: Seconds in which a host must show that it knows the token.
_PATIENCE = 10
#: Of those that have not done so yet, all but these are sent away.
_STRANGERS = 64
#: Bytes that may be on their way to the disk: they are waited for at once, so
#: that the end does not take longer than whoever sends waits for it.
_UNWRITTEN = 1 << 26
#: Seconds for the other side to read why it was not received.
_LINGER = 5


def _certificate() -> tuple[ssl.SSLContext, str]:
    """A certificate for this transfer, whose key is in no file of a disk."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME,
                                         'nova-docker transfer')])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(
        name).public_key(key.public_key()).serial_number(
            x509.random_serial_number()).not_valid_before(
                now - datetime.timedelta(days=1)).not_valid_after(
                    now + datetime.timedelta(days=30)).sign(
                        key, hashes.SHA256())
    context = wire.context(server=True)
    with open(os.memfd_create('certificate'), 'w+b') as file:
        file.write(made.public_bytes(serialization.Encoding.PEM))
        file.write(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        file.flush()
        context.load_cert_chain(f'/proc/self/fd/{file.fileno()}')
    return context, wire.fingerprint(
        made.public_bytes(serialization.Encoding.DER))


def _listen(address: str, ports: list[int]) -> socket.socket:
    """Listen at the first of some ports that is free.

    :raises OSError: none is, or the address is not of this host
    """
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    for port in ports:
        try:
            return socket.create_server((address, port), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, 'no port is free')


class _Door:
    """Lets in the first that knows the token, and nobody after it.

    Who says nothing, or something else, does not keep others from coming in.
    """

    def __init__(self, listener: socket.socket, context: ssl.SSLContext,
                 token: str) -> None:
        self._listener = listener
        self._context = context
        self._token = token.encode()
        self._strangers = threading.BoundedSemaphore(_STRANGERS)
        self._room = threading.Semaphore(1)
        self._let_in: queue.Queue[ssl.SSLSocket] = queue.Queue()
        threading.Thread(target=self._open, daemon=True).start()

    def wait(self, timeout: float) -> ssl.SSLSocket:
        """The one that is in.

        :raises wire.Failed: nobody came
        """
        try:
            return self._let_in.get(timeout=timeout)
        except queue.Empty:
            raise wire.Failed('the other host did not connect') from None
        finally:
            # Wakes the thread that waits for more of them.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _open(self) -> None:
        while True:
            try:
                stranger, _address = self._listener.accept()
            except OSError:
                return
            if self._strangers.acquire(blocking=False):
                threading.Thread(target=self._ask, args=(stranger,),
                                 daemon=True).start()
            else:
                stranger.close()

    def _ask(self, stranger: socket.socket) -> None:
        connection = stranger
        try:
            stranger.settimeout(_PATIENCE)
            connection = self._context.wrap_socket(stranger, server_side=True)
            told = wire.Messages(connection).hear()
            if isinstance(told, bytes) and hmac.compare_digest(
                    told, self._token) and self._room.acquire(blocking=False):
                self._let_in.put(connection)
                return
        except (OSError, ValueError, wire.Failed):
            # As of a port scan.
            pass
        finally:
            self._strangers.release()
        connection.close()


def _receive(messages: wire.Messages, directory: str) -> wire.Json:
    """Write all parts to the disk, and say what they are.

    :raises OSError: the connection or the disk fails
    :raises wire.Failed: something else comes
    """
    received = {}
    while part := messages.hear_object():
        if part == wire.MORE:
            continue
        name, size = str(part.get('part')), part.get('size')
        if not (spool.NAME.fullmatch(name) and isinstance(size, int)):
            raise wire.Failed('there is no such part')
        with open(os.open(
                os.path.join(directory, name),
                os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'wb') as file:
            if size:
                # That there is no room for it is seen at once.
                os.posix_fallocate(file.fileno(), 0, size)
            received[name] = _write(messages, file, name)
        messages.tell(received[name])
    return received


def _write(messages: wire.Messages, file: typing.BinaryIO,
           name: str) -> wire.Json:
    digest = wire.Digest()
    unwritten = 0
    while isinstance(data := messages.hear(), bytes):
        digest.add(data)
        file.write(data)
        unwritten += len(data)
        if unwritten >= _UNWRITTEN:
            file.flush()
            os.fdatasync(file.fileno())
            unwritten = 0
    if data != digest.told():
        raise wire.Failed(f'{name} did not come as it was sent')
    file.truncate()
    file.flush()
    os.fsync(file.fileno())
    return digest.told()


def _refuse(connection: ssl.SSLSocket, why: str) -> None:
    """Tell the other side why, as far as it still listens."""
    with contextlib.suppress(OSError, wire.Failed):
        connection.settimeout(_LINGER)
        wire.Messages(connection).tell({'error': why})
        # Closed with data unread, a connection loses what was sent on it.
        while connection.recv(wire.PIECE):
            pass


def main() -> None:
    """What whoever started it says."""
    told = parent.Parent()
    try:
        wanted = told.hear(_PATIENCE)
        context, fingerprint = _certificate()
        listener = _listen(wanted['address'], wanted['ports'])
        door = _Door(listener, context, wanted['token'])
        told.tell(port=listener.getsockname()[1], fingerprint=fingerprint)
        with door.wait(wanted['timeout']) as connection:
            connection.settimeout(wanted['timeout'])
            try:
                messages = wire.Messages(connection)
                received = _receive(messages, wanted['directory'])
                spool.finish(wanted['directory'])
                messages.tell({'received': received})
            except (OSError, ValueError, wire.Failed) as error:
                _refuse(connection, wire.reason(error))
                raise
        told.tell(done=received)
    except (OSError, ValueError, wire.Failed) as error:
        told.tell(error=wire.reason(error))
        sys.exit(1)


if __name__ == '__main__':
    main()
