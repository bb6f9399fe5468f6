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

"""Connections of those who look at a console: by bytes, or by pictures."""

import collections.abc
import contextlib
import re
import socket
import ssl
import struct
import typing

from oslo_log import log as logging
from PIL import Image

from nova_docker.console import draw
from nova_docker.console import keys
from nova_docker.console import loop
from nova_docker.console import picture
from nova_docker.console import pixels
from nova_docker.console import rfb
from nova_docker.console import tls

LOG = logging.getLogger(__name__)

#: Bytes that are read at once.
_READ = 1 << 14
#: Bytes that wait for a viewer; what comes then is not for him.
MOST_WAITING = 1 << 18
#: Pixels of one update of a picture, about a usual one, and the seconds before
#: the next: clients may ask as fast as they like.
_MOST_PIXELS = 1 << 18
_PAUSE = 0.05
#: What a viewer sees who was too slow for the rest.
LEFT_OUT = b'\r\n\x1b[0m[console: output was left out]\r\n'
#: Seconds without a sign of the other end after which a connection is over.
_DEAD_AFTER = 60
#: What a terminal says about its size, xterm's CSI 8 ; rows ; columns t.
_SIZE = re.compile(rb'\x1b\[8;(\d{1,4});(\d{1,4})t')


class Console(typing.Protocol):
    """What viewers look at: see nova_docker.console.hub."""

    #: What its picture is called.
    title: str

    def leave(self, viewer: 'Viewer') -> None:
        """A viewer has gone."""

    def typed(self, data: bytes) -> None:
        """A viewer types."""

    def resize(self, rows: int, columns: int) -> None:
        """A viewer wants another size."""

    def history(self, size: int) -> bytes:
        """The last bytes that it has shown."""

    @property
    def picture(self) -> picture.Picture:
        """Its picture."""


class Viewer:
    """One connection. It is never waited for.

    :ivar is_closed: whether it is over
    """

    def __init__(self, loop: loop.Loop, connection: socket.socket,
                 console: Console) -> None:
        self._loop = loop
        self._connection = connection
        self._console = console
        self._waiting = bytearray()
        self._tls: tls.Channel | None = None
        self.is_closed = False
        connection.setblocking(False)
        for level, option, value in (
                (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
                (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
                (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _DEAD_AFTER // 2),
                (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _DEAD_AFTER // 6),
                (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT,
                 _DEAD_AFTER * 1000)):
            connection.setsockopt(level, option, value)
        loop.watch(self)

    def fileno(self) -> int:
        return self._connection.fileno()

    def ready(self, readable: bool, writable: bool) -> bool:
        try:
            if writable:
                self._flush()
            if readable and not self.is_closed:
                self._read()
        except (OSError, rfb.Violation) as error:
            LOG.debug('A viewer of a console is sent away: %s', error)
            self.failed()
        return False

    def failed(self) -> None:
        self.close()

    def close(self) -> None:
        """Hang up (idempotent)."""
        if self.is_closed:
            return
        self.is_closed = True
        self._loop.forget(self)
        self._connection.close()
        self._console.leave(self)

    def send(self, data: bytes) -> None:
        """Send now, or when it can be; to one who has gone, never."""
        try:
            if self._tls:
                self._tls.send(data)
                data = self._tls.taken()
            self._waiting += data
            self._flush()
        except OSError:
            self.close()

    def shown(self, output: bytes) -> None:
        """The terminal shows something."""

    def drawn(self, boxes: collections.abc.Iterable[draw.Box]) -> None:
        """The picture has changed here."""

    def _heard(self, data: bytes) -> None:
        raise NotImplementedError

    def _drained(self) -> None:
        """Called when nothing waits any more."""

    @property
    def _is_behind(self) -> bool:
        return bool(self._waiting)

    def _read(self) -> None:
        try:
            data = self._connection.recv(_READ)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        if self._tls:
            data = self._tls.received(data)
            self._waiting += self._tls.taken()
            self._flush()
        if data:
            self._heard(data)

    def _flush(self) -> None:
        if self.is_closed or not self._waiting:
            return
        with contextlib.suppress(BlockingIOError):
            sent = self._connection.send(self._waiting)
            del self._waiting[:sent]
        self._loop.watch(self, write=bool(self._waiting))
        if not self._waiting:
            self._drained()


class Serial(Viewer):
    """A viewer who has a terminal of his own: nova-serialproxy's client."""

    def __init__(self, *args: typing.Any) -> None:
        super().__init__(*args)
        self._left_out = False

    def shown(self, output: bytes) -> None:
        if self._left_out or len(self._waiting) > MOST_WAITING:
            self._left_out = True
        else:
            self.send(output)

    def _drained(self) -> None:
        if self._left_out:
            self._left_out = False
            self.send(LEFT_OUT + self._console.history(_READ))

    def _heard(self, data: bytes) -> None:
        for said in _SIZE.finditer(data):
            self._console.resize(int(said[1]), int(said[2]))
        self._console.typed(_SIZE.sub(b'', data))


class Vnc(Viewer):
    """A viewer who sees a picture: nova-novncproxy's client.

    He gets a picture when he has the one before, so a slow one sees fewer.
    """

    def __init__(self, loop: loop.Loop, connection: socket.socket,
                 console: Console, security: collections.abc.Sequence[int],
                 context: ssl.SSLContext | None) -> None:
        """:param security: types of rfb, the best first"""
        # Whatever fails, it does before there is something to be undone.
        self._picture = console.picture
        super().__init__(loop, connection, console)
        self.encoder = pixels.Encoder()
        self._context = context
        self._supported: collections.abc.Set[int] = frozenset()
        self._modifiers = 0
        self._wanted = self._is_pausing = False
        self._picture.viewers.append(self.drawn)
        self._size = self._told = self._picture.image.size
        self._reason: int | None = None
        #: By their tops, the changed boxes that he has not seen.
        self._changed: dict[int, draw.Box] = {}
        self._conversation = rfb.Conversation(self, security)

    def _heard(self, data: bytes) -> None:
        self._conversation.feed(data)

    def _drained(self) -> None:
        self._update()

    def close(self) -> None:
        if self.drawn in self._picture.viewers:
            self._picture.viewers.remove(self.drawn)
        super().close()

    # What the conversation is about.

    def start_tls(self) -> None:
        if self._context is None:
            raise rfb.Violation('there is no TLS')
        self._tls = tls.Channel(self._context)

    def joined(self) -> bytes:
        self._told = self._picture.image.size
        title = self._console.title.encode()
        return (struct.pack('!HH', *self._told) + pixels.NATIVE.to_bytes() +
                struct.pack('!I', len(title)) + title)

    def encodings(self, supported: collections.abc.Set[int]) -> None:
        self._supported = supported
        self.encoder.encoding = (
            pixels.ZRLE if pixels.ZRLE in supported else pixels.RAW)
        if pixels.EXTENDED_DESKTOP_SIZE in supported:
            # It learns from it that it may ask for another size.
            self._reason = self._reason or 0

    def wanted(self, incremental: bool) -> None:
        self._wanted = True
        if not incremental:
            self._change_all()
        self._update()

    def key(self, down: bool, keysym: int) -> None:
        if keysym in keys.MODIFIERS:
            mask = keys.MODIFIERS[keysym]
            self._modifiers = (self._modifiers | mask if down
                               else self._modifiers & ~mask)
        elif down:
            self._console.typed(keys.typed(
                keysym, self._modifiers, self._picture.has_application_keys))

    def size_wanted(self, width: int, height: int) -> None:
        cell_width, cell_height = draw.cell()
        self._reason = 1
        # The picture says when that is done.
        self._console.resize(height // cell_height, width // cell_width)

    # What he sees.

    def drawn(self, boxes: collections.abc.Iterable[draw.Box]) -> None:
        for left, top, right, bottom in boxes:
            old = self._changed.get(top, (left, top, right, bottom))
            self._changed[top] = (min(left, old[0]), top,
                                  max(right, old[2]), bottom)
        self._update()

    def _change_all(self) -> None:
        width, height = self._picture.image.size
        step = draw.cell()[1]
        self._changed = {top: (0, top, width, top + step)
                         for top in range(0, height, step)}

    def _update(self) -> None:
        if (not self._wanted or self._is_pausing or self._is_behind or
                self.is_closed):
            return
        image = self._picture.image
        if image.size != self._size:
            self._size = image.size
            self._change_all()
        parts = self._sizes() + [*self._rectangles(image)]
        if parts:
            self._wanted, self._is_pausing = False, True
            self._loop.later(_PAUSE, self._go_on)
            self.send(struct.pack('!BxH', 0, len(parts)) + b''.join(parts))

    def _go_on(self) -> None:
        self._is_pausing = False
        self._update()

    def _rectangles(self, image: Image.Image
                    ) -> collections.abc.Iterator[bytes]:
        """Of what he has not seen, as much as is sent at once."""
        size = 0
        while self._changed and size < _MOST_PIXELS:
            box = _within(self._changed.pop(next(iter(self._changed))),
                          self._told)
            if box:
                left, top, right, bottom = box
                size += (right - left) * (bottom - top)
                yield self.encoder.rectangle(image, box)

    def _sizes(self) -> list[bytes]:
        """What tells him of another size, if he can be told."""
        if pixels.EXTENDED_DESKTOP_SIZE in self._supported:
            if self._reason is None and self._told == self._size:
                return []
            reason, self._reason = self._reason or 0, None
            self._told = self._size
            return [pixels.extended_desktop_size(reason, *self._size)]
        if (pixels.DESKTOP_SIZE in self._supported and
                self._told != self._size):
            self._told = self._size
            return [pixels.desktop_size(*self._size)]
        return []


def _within(box: draw.Box, size: tuple[int, int]) -> draw.Box | None:
    """The part of a box that is in a picture; None for no part."""
    left, top, right, bottom = box
    right, bottom = min(right, size[0]), min(bottom, size[1])
    return (left, top, right, bottom) if left < right and top < bottom \
        else None
