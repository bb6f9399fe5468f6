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

"""Rewrite a tenant's image archive into one that the engine may see.

What the engine gets has the tenant's layers and image configuration under
names of ours and one manifest.json, the last member, which is written here.
Nothing else of the archive reaches the engine, so no tag, annotation or link
in it has an effect. The engine skips a layer whose digest it already has
without looking at the data, so each layer is verified against the digest that
the configuration claims: to name a layer one must have it.

One forward pass, a few hundred KiB of memory, no temporary file, no thread.
"""

import collections.abc
import dataclasses
import hashlib
import itertools
import json
import posixpath
import tarfile
import typing
import uuid
import zlib

from nova_docker.image import manifest
from nova_docker.image import tar

Refused = tar.Refused

_CHUNK = 256 << 10
_MAX_MEMBERS = 4096
_MAX_NAME = 512
#: Largest image configuration or manifest, and of all small files, in bytes.
_MAX_SMALL = 4 << 20
_MAX_ALL_SMALL = 16 << 20
#: Most bytes of the archive that are not layers: headers, attestations...
_MAX_OVERHEAD = 256 << 20

_GZIP = b'\x1f\x8b'
_OTHER_COMPRESSIONS = {b'\x28\xb5\x2f\xfd': 'zstd', b'\xfd7zXZ\0': 'xz',
                       b'BZh': 'bzip2'}
#: Architectures, in Docker's naming, whose programs run on another one.
_COMPATIBLE = {'amd64': ('386',)}


class TooLarge(Refused):
    """The unpacked image is larger than the limit."""

    def __init__(self, size: int) -> None:
        super().__init__(f'the unpacked image has at least {size} bytes')
        #: Bytes that were counted before it was given up.
        self.size = size


class Source(typing.Protocol):
    """Where the tenant's archive comes from."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; none at the end only."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """What was learnt about an image.

    :ivar unpacked_size: bytes of all its layers as tar archives
    """

    config_digest: str
    unpacked_size: int
    architecture: str
    os: str
    #: Not in logs: a tenant may have megabytes of them.
    labels: dict[str, str] = dataclasses.field(repr=False)


class Rewriter:
    """An iterable, once, of the pieces of the archive for the engine."""

    def __init__(self, source: Source, reference: str,
                 architecture: str | None, limit: int | None = None) -> None:
        """Prepare to rewrite; nothing is read yet.

        :param reference: name and tag that the image gets
        :param architecture: the engine's, in Docker's naming (amd64); None
            for an image of any
        :param limit: most bytes that the image may have unpacked; None, any
        """
        self._source = source
        self._reference = reference
        self._architecture = architecture
        self._limit = limit
        self._read = 0
        self._in_layers = 0
        self._charged = 0
        # A load that breaks off leaves what it had of each member in a
        # containerd store, which completes it from the next member of the
        # same name, whatever image that is of.
        self._prefix = uuid.uuid4().hex
        self._names: set[str] = set()
        self._links: dict[str, str] = {}
        self._small: dict[str, bytes] = {}
        self._small_size = 0
        self._layers: dict[str, _Layer] = {}
        #: Known once the iteration is complete.
        self.facts: Facts | None = None

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        """Yield the archive. The manifest comes after the source's end.

        :raises Refused: the tenant's archive is not acceptable
        """
        for entry, data in tar.members(self._chunks()):
            name = self._admit(entry)
            if entry.kind == tar.SYMLINK:
                self._links[name] = self._target(name, entry)
            elif entry.kind in tar.REGULAR:
                yield from self._file(name, entry.size, data)
        yield self._finish()

    def _chunks(self) -> collections.abc.Iterator[bytes]:
        """The tenant's archive without its outer gzip compression."""
        data = self._source.read(_CHUNK)
        if not data:
            raise Refused('the image archive is empty')
        _refuse_compressions(data)
        inflater = _Inflater() if data.startswith(_GZIP) else None
        while data:
            for chunk in inflater.feed(data) if inflater else (data,):
                self._read += len(chunk)
                if self._read - self._in_layers > _MAX_OVERHEAD:
                    raise Refused('the image archive has too much data '
                                  'besides its layers')
                yield chunk
            data = self._source.read(_CHUNK)
        if inflater:
            inflater.finish()

    def _admit(self, entry: tar.Entry) -> str:
        """The name of a member whose name and type are plain."""
        try:
            name = entry.name.decode()
        except UnicodeDecodeError as exc:
            raise Refused('a name in the image archive is not UTF-8') from exc
        if entry.kind == tar.DIRECTORY:
            name = name.removesuffix('/')
        if not _is_plain(name) or len(name) > _MAX_NAME:
            raise Refused('the image archive has a file with an odd name: '
                          f'{name[:80]!r}; pack plain relative names, as '
                          '"tar -cf image.tar *" does')
        if (entry.kind not in tar.REGULAR
                and entry.kind not in (tar.DIRECTORY, tar.SYMLINK)):
            raise Refused(f'{name} in the image archive is not a plain file')
        if name in self._names:
            raise Refused(f'the image archive has {name} twice')
        if len(self._names) == _MAX_MEMBERS:
            raise Refused(f'the image archive has more than {_MAX_MEMBERS} '
                          'files')
        self._names.add(name)
        return name

    def _target(self, name: str, entry: tar.Entry) -> str:
        """The member that a link, in the manner of skopeo, leads to."""
        link = entry.link.decode(errors='replace')
        target = posixpath.normpath(
            posixpath.join(posixpath.dirname(name), link))
        if name in manifest.METADATA or not _is_plain(target):
            raise Refused(f'{name} in the image archive is a link')
        return target

    def _file(self, name: str, size: int,
              data: collections.abc.Iterator[memoryview]
              ) -> collections.abc.Iterator[bytes]:
        head = bytearray()
        for piece in data:
            head += piece
            if len(head) >= tar.BLOCK:
                break
        start = bytes(head[:tar.BLOCK])
        whole = itertools.chain((memoryview(head),), data)
        if name in manifest.METADATA:
            self._keep(name, size, whole)
            return
        _refuse_compressions(start)
        if (start.startswith(_GZIP) or tar.is_header(start)
                or start == bytes(tar.BLOCK)):
            yield from self._layer(name, size, start.startswith(_GZIP), whole)
        elif size <= _MAX_SMALL:
            self._keep(name, size, whole)

    def _keep(self, name: str, size: int,
              data: collections.abc.Iterable[memoryview]) -> None:
        self._small_size += size
        if self._small_size > _MAX_ALL_SMALL:
            raise Refused('the metadata of the image archive is too large')
        self._small[name] = b''.join(data)

    def _layer(self, name: str, size: int, compressed: bool,
               data: collections.abc.Iterable[memoryview]
               ) -> collections.abc.Iterator[bytes]:
        layer = _Layer(f'{self._prefix}-{len(self._layers)}', compressed)
        self._layers[name] = layer
        charged = self._charged
        self._charge(charged + size)
        yield _header(layer.name, size)
        for piece in data:
            self._in_layers += len(piece)
            for total in layer.feed(piece):
                self._charge(charged + total)
            yield bytes(piece)
        layer.finish()
        # An empty piece would end the body of an HTTP request.
        if padding := _padding(size):
            yield padding

    def _charge(self, size: int) -> None:
        if self._limit is not None and size > self._limit:
            raise TooLarge(size)
        self._charged = size

    def _finish(self) -> bytes:
        """The configuration, the manifest and the end of the archive."""
        for name, target in self._links.items():
            if target not in self._layers:
                raise Refused(f'{name} in the image archive is a link to '
                              'something that is not a layer')
        selection = manifest.select(self._small)
        if selection.config not in self._small:
            raise Refused('the image archive lacks its image configuration')
        raw = self._small[selection.config]
        config = manifest.read_config(raw)
        self._check_platform(config)
        layers = self._check_layers(selection.layers, config.diff_ids)
        size = sum(layer.size for layer in layers)
        self._charge(size)
        self.facts = Facts('sha256:' + hashlib.sha256(raw).hexdigest(), size,
                           config.architecture, config.os, config.labels)
        name = f'{self._prefix}-config'
        document = json.dumps([{
            'Config': name, 'RepoTags': [self._reference],
            'Layers': [layer.name for layer in layers]}]).encode()
        return b''.join((_member(name, raw),
                         _member(manifest.MANIFEST, document),
                         bytes(2 * tar.BLOCK)))

    def _check_platform(self, config: manifest.Config) -> None:
        ours = self._architecture or config.architecture
        if (config.os != 'linux' or config.architecture not in
                (ours, *_COMPATIBLE.get(ours, ()))):
            raise Refused(
                f'the image is for {config.os}/{config.architecture}, not '
                f'for linux/{ours}')

    def _check_layers(self, names: list[str],
                      diff_ids: list[str]) -> list['_Layer']:
        """The layers, each with the contents that the configuration names."""
        if len(names) != len(diff_ids):
            raise Refused(f'the image archive names {len(names)} layers and '
                          f'its image configuration {len(diff_ids)}')
        if len(names) > manifest.MAX_LAYERS:
            raise Refused(f'the image has {len(names)} layers, more than '
                          f'{manifest.MAX_LAYERS}')
        layers = []
        for name, diff_id in zip(names, diff_ids, strict=True):
            layer = self._layers.get(self._links.get(name, name))
            if layer is None:
                raise Refused(f'the image archive lacks the layer {name[:80]}'
                              ', or it is not a tar archive')
            if layer.diff_id != diff_id:
                raise Refused(f'the layer {name[:80]} in the image archive '
                              'does not match the image configuration')
            layers.append(layer)
        return layers


class _Layer:
    """What is learnt about a layer while it passes."""

    def __init__(self, name: str, compressed: bool) -> None:
        self.name = name
        self.size = 0
        self.diff_id = ''
        self._read = 0
        self._sha256 = hashlib.sha256()
        self._parser = tar.Parser()
        self._inflater = _Inflater() if compressed else None

    def feed(self, piece: memoryview) -> collections.abc.Iterator[int]:
        """Yield, before each step, the larger of bytes read and unpacked."""
        self._read += len(piece)
        yield max(self._read, self.size)
        pieces: collections.abc.Iterable[bytes | memoryview] = (
            self._inflater.feed(piece) if self._inflater else (piece,))
        for plain in pieces:
            self.size += len(plain)
            yield max(self._read, self.size)
            self._sha256.update(plain)
            # Only for its refusals: what Go's reader might blow up.
            for _event in self._parser.feed(plain):
                pass

    def finish(self) -> None:
        if self._inflater:
            self._inflater.finish()
        if not self._parser.between_members:
            raise tar.truncated()
        self.diff_id = 'sha256:' + self._sha256.hexdigest()


class _Inflater:
    """Decompresses gzip, also of several members, in bounded pieces."""

    def __init__(self) -> None:
        self._member = _gzip()

    def feed(self, data: bytes | memoryview
             ) -> collections.abc.Iterator[bytes]:
        plain = b''
        # A full piece may have left more inside zlib.
        while data or len(plain) == _CHUNK:
            if self._member.eof:
                if not data:
                    break
                self._member = _gzip()
            try:
                plain = self._member.decompress(data, _CHUNK)
            except zlib.error as exc:
                raise Refused('the image archive has damaged gzip '
                              'data') from exc
            data = self._member.unconsumed_tail or self._member.unused_data
            if plain:
                yield plain

    def finish(self) -> None:
        if not self._member.eof:
            raise tar.truncated()


def _gzip() -> 'zlib._Decompress':
    return zlib.decompressobj(zlib.MAX_WBITS | 16)


def _is_plain(name: str) -> bool:
    """Whether a relative path has one spelling only."""
    return (name == posixpath.normpath(name) and name.isprintable()
            and not name.startswith('/')
            and name.partition('/')[0] not in ('', '.', '..'))


def _refuse_compressions(data: bytes) -> None:
    for magic, compression in _OTHER_COMPRESSIONS.items():
        if data.startswith(magic):
            raise Refused(f'the image archive is compressed with '
                          f'{compression}, which is not supported; use gzip '
                          'or none')


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tar.BLOCK)


def _member(name: str, data: bytes) -> bytes:
    return _header(name, len(data)) + data + _padding(len(data))
