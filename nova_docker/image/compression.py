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

"""Decompression in bounded pieces and bounded memory."""

import bz2
import collections.abc
import functools
import itertools
import lzma
import sys
import typing
import zlib

from nova_docker.image import tar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Largest piece that comes out, in bytes.
CHUNK = 256 << 10
#: What goes in at once: each stream that ends in it costs a copy of the rest.
_SLICE = 16 << 10
#: The window of zstd that every decoder must support (RFC 8878, 3.1.1.1.2),
#: as the binary logarithm of bytes; the engine's decoder would allow more.
_ZSTD_WINDOW_LOG = 23
#: What ``xz -9`` needs, in bytes, and a little more.
_XZ_MEMORY = 66 << 20

_ERRORS = (zlib.error, lzma.LZMAError, zstd.ZstdError, OSError, ValueError)


class _Stream(typing.Protocol):
    """The decompressor of one stream, as in lzma, bz2 and zstd."""

    @property
    def eof(self) -> bool:
        """Whether the stream is complete."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes out unless more is put in."""

    @property
    def unused_data(self) -> bytes:
        """What was put in behind the end of the stream."""

    def decompress(self, data: bytes | memoryview,
                   max_length: int) -> bytes:
        """Put all the data in, get at most so many bytes out."""


class _Gzip:
    """zlib's decompressor in the form of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        rest = self._zlib.unconsumed_tail
        plain = self._zlib.decompress(rest + data if rest else data,
                                      max_length)
        # A full piece may have left more inside zlib.
        self.needs_input = len(plain) < max_length
        return plain


_STREAMS: dict[str, collections.abc.Callable[[], _Stream]] = {
    'gzip': _Gzip,
    'zstd': functools.partial(zstd.ZstdDecompressor, options={
        zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}),
    'xz': functools.partial(lzma.LZMADecompressor, lzma.FORMAT_XZ,
                            memlimit=_XZ_MEMORY),
    'bzip2': bz2.BZ2Decompressor,
}
#: All that is known here.
KINDS = tuple(_STREAMS)


def kind(start: bytes) -> str | None:
    """The name of the compression of data that starts like this.

    Like the engine, it goes by the first bytes alone, and takes a skippable
    frame of zstd for zstd.
    """
    if start[1:4] == b'*M\x18' and start[0] & 0xf0 == 0x50:
        return 'zstd'
    for magic, name in ((b'\x1f\x8b', 'gzip'), (b'\x28\xb5\x2f\xfd', 'zstd'),
                        (b'\xfd7zXZ\0', 'xz'), (b'BZh', 'bzip2')):
        if start.startswith(magic):
            return name
    return None


class Source(typing.Protocol):
    """Where a tenant's archive comes from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end only."""


class Inflater:
    """Decompresses data, also of several streams one after the other."""

    def __init__(self, name: str) -> None:
        """Prepare for a compression that :func:`kind` names."""
        self._name = name
        self._stream = _STREAMS[name]()

    def feed(self, data: bytes | memoryview
             ) -> collections.abc.Iterator[bytes]:
        """Yield what the data unpacks to, in pieces of at most CHUNK.

        :raises Refused: damaged data, or such that needs too much memory
        """
        view = memoryview(data)
        for at in range(0, len(view), _SLICE):
            yield from self._feed(view[at:at + _SLICE])

    def _feed(self, data: bytes | memoryview
              ) -> collections.abc.Iterator[bytes]:
        while data or not (self._stream.eof or self._stream.needs_input):
            if self._stream.eof:
                self._stream = _STREAMS[self._name]()
            try:
                plain = self._stream.decompress(data, CHUNK)
            except _ERRORS as exc:
                raise tar.Refused(
                    f'the image archive has damaged {self._name} data, or '
                    'such that needs much memory to unpack') from exc
            data = self._stream.unused_data if self._stream.eof else b''
            if plain:
                yield plain

    def finish(self) -> None:
        """Say that no more comes.

        :raises Refused: the data ends within a stream
        """
        if not self._stream.eof:
            raise tar.truncated()


def inflater(start: bytes, accepted: collections.abc.Sequence[str]
             ) -> Inflater | None:
    """What unpacks data that starts like this; None when it is not packed.

    :raises Refused: it is packed in another way than those accepted
    """
    name = kind(start)
    if name is None:
        return None
    if name not in accepted:
        raise tar.Refused(
            f'the image archive, or a layer in it, is compressed with {name},'
            f' which is not supported there; use {" or ".join(accepted)}')
    return Inflater(name)


def unpacked(source: Source, accepted: collections.abc.Sequence[str]
             ) -> collections.abc.Iterator[bytes]:
    """Yield all of a source without its compression.

    The first piece has a block of a tar archive, if there is so much.

    :raises Refused: as :func:`inflater` does, and nothing or damaged data
    """
    data = _gathered(iter(lambda: source.read(CHUNK), b''))
    first = next(data, b'')
    if not first:
        raise tar.Refused('the image archive is empty')
    found = inflater(first, accepted)
    chunks = itertools.chain((first,), data)
    yield from _gathered(_inflated(found, chunks)) if found else chunks


def _inflated(found: Inflater, chunks: collections.abc.Iterable[bytes]
              ) -> collections.abc.Iterator[bytes]:
    for chunk in chunks:
        yield from found.feed(chunk)
    found.finish()


def _gathered(chunks: collections.abc.Iterator[bytes]
              ) -> collections.abc.Iterator[bytes]:
    """The chunks, the first ones as one."""
    first = b''
    for chunk in chunks:
        first += chunk
        if len(first) >= tar.BLOCK:
            break
    if first:
        yield first
    yield from chunks
