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

"""What a viewer of a picture says: the server's side of the protocol RFB 3.8.

Sources: RFC 6143; https://github.com/rfbproto/rfbproto for VeNCrypt and for
clients that change the size. nova-novncproxy speaks the part before ClientInit
(nova.console.securityproxy.rfb).
"""

import collections.abc
import struct
import typing

from nova_docker.console import pixels

VERSION = b'RFB 003.008\n'
NONE, VENCRYPT = 1, 19
_VENCRYPT_VERSION = b'\0\2'
_X509_NONE = 260
#: The most encodings and screens that a client names.
_MANY = 256


class Violation(Exception):
    """The client does not keep to the protocol, or to this part of it."""


class Side(typing.Protocol):
    """What the protocol is a conversation with.

    :ivar encoder: of what this client sees
    """
    encoder: pixels.Encoder

    def send(self, data: bytes) -> None:
        """Send to the client."""

    def start_tls(self) -> None:
        """From here on, whatever either side sends is encrypted."""

    def joined(self) -> bytes:
        """ServerInit: the client is let in."""

    def encodings(self, supported: collections.abc.Set[int]) -> None:
        """The encodings that the client understands."""

    def wanted(self, incremental: bool) -> None:
        """The client wants a FramebufferUpdate, once there is something."""

    def key(self, down: bool, keysym: int) -> None:
        """A key goes down or up."""

    def size_wanted(self, width: int, height: int) -> None:
        """The client wants another size."""


#: Asks for a number of bytes and is given them.
_Talk = collections.abc.Generator[int, bytes, None]


class Conversation:
    """The state of the protocol with one client."""

    def __init__(self, side: Side,
                 security: collections.abc.Sequence[int]) -> None:
        """:param security: types that are offered, the best first"""
        self._side = side
        self._security = security
        self._got = bytearray()
        self._talk = self._all()
        self._need = next(self._talk)

    def feed(self, data: bytes) -> None:
        """Go on with what the client has sent.

        :raises Violation: the connection must be closed
        """
        self._got += data
        while len(self._got) >= self._need:
            part = bytes(self._got[:self._need])
            del self._got[:self._need]
            self._need = self._talk.send(part)

    def _all(self) -> _Talk:
        side = self._side
        side.send(VERSION)
        if (yield len(VERSION)) != VERSION:
            raise Violation('only version 3.8 is spoken')
        side.send(bytes([len(self._security), *self._security]))
        chosen = (yield 1)[0]
        if chosen not in self._security:
            raise Violation(f'security type {chosen} was not offered')
        if chosen == VENCRYPT:
            yield from self._vencrypt()
        side.send(struct.pack('!I', 0))
        # Every screen is shared, so that flag says nothing.
        yield 1
        side.send(side.joined())
        while True:
            kind = (yield 1)[0]
            if kind not in self._MESSAGES:
                raise Violation(f'message {kind} is unknown')
            yield from self._MESSAGES[kind](self)

    def _vencrypt(self) -> _Talk:
        self._side.send(_VENCRYPT_VERSION)
        if (yield 2) != _VENCRYPT_VERSION:
            self._side.send(b'\xff')
            raise Violation('only version 0.2 of VeNCrypt is spoken')
        self._side.send(struct.pack('!BBI', 0, 1, _X509_NONE))
        if struct.unpack('!I', (yield 4)) != (_X509_NONE,):
            self._side.send(b'\0')
            raise Violation('that type of VeNCrypt was not offered')
        self._side.send(b'\1')
        if self._got:
            raise Violation('the client did not wait for TLS')
        self._side.start_tls()

    def _pixel_format(self) -> _Talk:
        data = yield 19
        try:
            self._side.encoder.pixels = pixels.PixelFormat.parse(data[3:])
        except ValueError as error:
            raise Violation(str(error)) from error

    def _encodings(self) -> _Talk:
        number, = struct.unpack('!xH', (yield 3))
        if number > _MANY:
            raise Violation(f'{number} encodings')
        if number:
            data = yield 4 * number
            self._side.encodings({*struct.unpack(f'!{number}i', data)})
        else:
            self._side.encodings(set())

    def _update_request(self) -> _Talk:
        # Of the rectangle that it names, nothing is made: all is sent.
        data = yield 9
        self._side.wanted(bool(data[0]))

    def _key(self) -> _Talk:
        down, keysym = struct.unpack('!BxxI', (yield 7))
        self._side.key(bool(down), keysym)

    def _pointer(self) -> _Talk:
        yield 5

    def _cut_text(self) -> _Talk:
        # A clipboard is none of a terminal's.
        left, = struct.unpack('!3xI', (yield 7))
        while left:
            part = min(left, 1 << 16)
            yield part
            left -= part

    def _desktop_size(self) -> _Talk:
        width, height, screens = struct.unpack('!xHHBx', (yield 7))
        if screens:
            yield 16 * screens
        self._side.size_wanted(width, height)

    _MESSAGES: dict[int, collections.abc.Callable[
        ['Conversation'], _Talk]] = {
            0: _pixel_format, 2: _encodings, 3: _update_request, 4: _key,
            5: _pointer, 6: _cut_text, 251: _desktop_size}
