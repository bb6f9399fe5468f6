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

"""TLS of a connection whose bytes somebody else moves."""

import ssl


def context(cert_file: str, key_file: str,
            ca_file: str | None) -> ssl.SSLContext:
    """The server's side.

    :param ca_file: what signs the certificates of clients; None for clients
        without one
    :raises OSError: a file cannot be used
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(cert_file, key_file)
    if ca_file:
        made.load_verify_locations(ca_file)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


class Channel:
    """One connection."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._in, self._out, server_side=True)
        self._is_up = False
        self._waiting = b''

    def received(self, data: bytes) -> bytes:
        """What encrypted bytes say; there may be some to be sent.

        :raises OSError: it is no TLS, or not of somebody trusted
        """
        self._in.write(data)
        said = bytearray()
        try:
            if not self._is_up:
                self._tls.do_handshake()
                self._is_up = True
                self.send(self._waiting)
            while part := self._tls.read(1 << 16):
                said += part
        except ssl.SSLWantReadError:
            pass
        return bytes(said)

    def send(self, data: bytes) -> None:
        """Encrypt; before the handshake's end, later."""
        if not self._is_up:
            self._waiting += data
        elif data:
            self._tls.write(data)

    def taken(self) -> bytes:
        """The encrypted bytes to be sent, once."""
        return self._out.read()
