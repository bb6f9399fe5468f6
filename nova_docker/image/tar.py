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

"""A strict, streaming reader of tar archives that tenants made.

The standard library's reader keeps extension headers of any size in memory
and repairs what it finds; this one refuses. It reads what Go's archive/tar,
which the engine uses, reads, and nothing that the two could see differently.
"""

import collections.abc
import re
import typing

BLOCK = 512

REGULAR = (b'0', b'\0')
SYMLINK = b'2'
DIRECTORY = b'5'

_PAX = b'x'
_PAX_GLOBAL = b'g'
_LONG_NAME = b'L'
_LONG_LINK = b'K'
_SPARSE = b'S'
_EXTENSIONS = (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK)
#: Hard link, symbolic link, devices, directory, FIFO: the size is ignored.
_WITHOUT_DATA = (b'1', b'2', b'3', b'4', b'5', b'6')

#: Largest extension header, in bytes: the limit of Go's archive/tar.
_EXTENSION_LIMIT = 1 << 20
#: Most records of a pax header: more only take time.
_MAX_RECORDS = 256
_SIZE_LIMIT = 1 << 63
_ZEROS = bytes(BLOCK)
_OCTAL = re.compile(rb'[0-7]+')
_DECIMAL = re.compile(rb'[0-9]{1,19}')


class Refused(ValueError):
    """The archive is not acceptable; the text is for the tenant."""


class Entry(typing.NamedTuple):
    """A member of an archive: its names are as they are in the archive."""

    kind: bytes
    name: bytes
    link: bytes
    size: int


def truncated() -> Refused:
    """The refusal of an archive that ends too early."""
    return Refused('the image archive is truncated')


def members(chunks: collections.abc.Iterable[bytes]
            ) -> collections.abc.Iterator[
                tuple[Entry, collections.abc.Iterator[memoryview]]]:
    """Yield each member with its data, which is valid until the next one.

    The chunks are read to their end, also past the end of the archive.

    :raises Refused: not a tar archive, damaged or truncated
    """
    parser = Parser()
    events = (event for chunk in chunks for event in parser.feed(chunk))
    for event in events:
        if isinstance(event, Entry):
            data = _data(events, event.size)
            yield event, data
            for _rest in data:
                pass
    if not parser.ended:
        raise truncated()


def _data(events: collections.abc.Iterator[Entry | memoryview], size: int
          ) -> collections.abc.Iterator[memoryview]:
    while size:
        event = next(events, None)
        if not isinstance(event, memoryview):
            raise truncated()
        size -= len(event)
        yield event


class Parser:
    """Takes an archive apart that is fed to it in pieces of any length."""

    def __init__(self) -> None:
        #: Whether the end-of-archive block was seen; what follows is ignored.
        self.ended = False
        #: Bytes of the archive so far, without that block.
        self.length = 0
        self._block = bytearray()
        self._kind = b''
        self._left = 0
        self._padding = 0
        self._extension = bytearray()
        self._overrides: dict[bytes, bytes] = {}

    @property
    def between_members(self) -> bool:
        """Whether an archive may end here."""
        return self.ended or not (self._left or self._padding or self._block
                                  or self._overrides)

    def feed(self, data: bytes | memoryview
             ) -> collections.abc.Iterator[Entry | memoryview]:
        """Yield a member's Entry, then its data in pieces, and so on.

        :raises Refused: not a tar archive, damaged or with sparse files
        """
        if self.ended:
            return
        view = memoryview(data)
        while view and not self.ended:
            if self._left:
                piece, view = view[:self._left], view[self._left:]
                self._left -= len(piece)
                if self._kind in _EXTENSIONS:
                    self._extend(piece)
                else:
                    yield piece
            elif self._padding:
                skipped = min(self._padding, len(view))
                self._padding -= skipped
                view = view[skipped:]
            else:
                missing = BLOCK - len(self._block)
                self._block += view[:missing]
                view = view[missing:]
                if len(self._block) == BLOCK:
                    entry = self._header(bytes(self._block))
                    self._block.clear()
                    if entry is not None:
                        yield entry
        self.length += len(data) - len(view) - BLOCK * self.ended

    def _header(self, block: bytes) -> Entry | None:
        if block == _ZEROS:
            self.ended = True
            return None
        if not is_header(block):
            raise Refused('the image archive is not a tar archive or is '
                          'damaged')
        self._kind = kind = block[156:157]
        size = _number(block[124:136])
        if kind in _EXTENSIONS:
            if size > _EXTENSION_LIMIT:
                raise Refused('the image archive has an extension header of '
                              f'{size} bytes')
            self._extension.clear()
            self._expect(size)
            return None
        overrides, self._overrides = self._overrides, {}
        if kind == _SPARSE:
            raise _sparse()
        if b'size' in overrides:
            size = _decimal(overrides[b'size'])
        if size >= _SIZE_LIMIT:
            raise Refused('a file in the image archive has an odd size')
        if kind in _WITHOUT_DATA:
            size = 0
        self._expect(size)
        return Entry(kind, overrides.get(b'path') or _name(block),
                     overrides.get(b'linkpath') or _text(block[157:257]),
                     size)

    def _expect(self, size: int) -> None:
        self._left = size
        self._padding = -size % BLOCK

    def _extend(self, piece: memoryview) -> None:
        self._extension += piece
        if self._left:
            return
        body = bytes(self._extension)
        if self._kind == _LONG_NAME:
            self._overrides[b'path'] = _text(body)
        elif self._kind == _LONG_LINK:
            self._overrides[b'linkpath'] = _text(body)
        elif self._kind == _PAX:
            self._overrides.update(_pax(body))


def is_header(block: bytes) -> bool:
    """Whether a block of 512 bytes is a tar header: its checksum is right."""
    field = block[148:156]
    digits = field.strip(b' \0')
    return (len(block) == BLOCK and bool(_OCTAL.fullmatch(digits))
            and int(digits, 8) == sum(block) - sum(field) + 8 * ord(' '))


def _sparse() -> Refused:
    # A few bytes could stand for terabytes that the engine would write.
    return Refused('the image archive has a sparse file, which is not '
                   'supported')


def _number(field: bytes) -> int:
    """The value of a numeric header field, octal or base 256."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise Refused('a file in the image archive has an odd size')
        return int.from_bytes(field[1:], 'big')
    digits = field.strip(b' \0')
    if not digits:
        return 0
    if not _OCTAL.fullmatch(digits):
        raise Refused('the image archive has a damaged header')
    return int(digits, 8)


def _decimal(value: bytes) -> int:
    if not _DECIMAL.fullmatch(value):
        raise Refused('the image archive has a damaged extension header')
    return int(value)


def _text(field: bytes) -> bytes:
    return field.partition(b'\0')[0]


def _name(block: bytes) -> bytes:
    name = _text(block[:100])
    # Other dialects use the space of the prefix for something else.
    if block[257:263] == b'ustar\0' and block[345]:
        return _text(block[345:500]) + b'/' + name
    return name


def _pax(body: bytes) -> dict[bytes, bytes]:
    """The records ``<length> <key>=<value>\\n`` of a pax header.

    An empty value means that the plain header's field counts.
    """
    records: dict[bytes, bytes] = {}
    start = 0
    for _ in range(_MAX_RECORDS):
        if start == len(body):
            return records
        digits = body[start:start + 20].partition(b' ')[0]
        end = start + _decimal(digits)
        record = body[start + len(digits) + 1:end]
        key, equals, value = record[:-1].partition(b'=')
        if not equals or record[-1:] != b'\n' or end > len(body):
            break
        if key.startswith(b'GNU.sparse.'):
            raise _sparse()
        if value:
            records[key] = value
        else:
            records.pop(key, None)
        start = end
    raise Refused('the image archive has a damaged extension header')
