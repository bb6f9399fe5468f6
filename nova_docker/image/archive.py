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
names of ours and one manifest.json, the last member, which is written here;
volumes that the configuration declares are directories to a server.
Nothing else of the archive reaches the engine, so no tag, annotation or link
in it has an effect. The engine skips a layer whose digest it already has
without looking at the data, so each layer is verified against the digest that
the configuration claims: to name a layer one must have it. What the engine
would skip need not be sent to it.

One forward pass, a few hundred KiB of memory, no temporary file, no thread.
"""

import collections.abc
import dataclasses
import hashlib
import itertools
import json
import posixpath
import re
import tarfile
import uuid

from nova_docker.image import compression
from nova_docker.image import disk
from nova_docker.image import layers
from nova_docker.image import manifest
from nova_docker.image import tar

Refused = tar.Refused
Source = compression.Source

_MAX_MEMBERS = 4096
_MAX_NAME = 512
#: Largest image configuration or manifest, and of all small files, in bytes.
_MAX_SMALL = 4 << 20
_MAX_ALL_SMALL = 16 << 20
#: Most bytes of the archive that are not layers: headers, attestations...
_MAX_OVERHEAD = 256 << 20

#: What the engine unpacks, and what is unpacked here before it gets it.
_LAYER_COMPRESSIONS = ('gzip', 'zstd')
_OUTER_COMPRESSIONS = ('gzip', 'zstd', 'xz')
#: For so many platforms an archive may hold the image in full.
_MAX_PLATFORMS = 16
#: How tools name the blob, or the layer, with that SHA-256 digest.
_DIGEST_NAME = re.compile(r'(?:.*/)?([0-9a-f]{64})(?:\.tar)?')


class TooLarge(Refused):
    """The unpacked image is larger than the limit."""

    def __init__(self, size: int) -> None:
        super().__init__(f'the unpacked image has at least {size} bytes')
        #: Bytes that were counted before it was given up.
        self.size = size


class Absent(Exception):
    """The engine lacks a layer that it was not sent."""


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
                 architecture: str | None, limit: int | None = None,
                 present: collections.abc.Set[tuple[str, ...]] = frozenset()
                 ) -> None:
        """Prepare to rewrite; nothing is read yet.

        :param reference: name and tag that the image gets
        :param architecture: the engine's, in Docker's naming (amd64); None
            for an image of any
        :param limit: most bytes that the image may have unpacked; None, any
        :param present: the stacks of layers that the engine has, as their
            diff_ids from the bottom. What is said to be in one is read and
            verified, and not sent.
        """
        self._source = source
        self._reference = reference
        self._architecture = architecture
        self._limit = limit
        self._present = present
        self._present_ids = {stack[-1] for stack in present}
        self._read = 0
        self._in_layers = 0
        self._unpacked = 0
        # A load that breaks off leaves what it had of each member in a
        # containerd store, which completes it from the next member of the
        # same name, whatever image that is of.
        self._prefix = uuid.uuid4().hex
        self._names: set[str] = set()
        self._links: dict[str, str] = {}
        self._small: dict[str, bytes] = {}
        self._small_size = 0
        self._layers: dict[str, layers.Layer] = {}
        #: Bytes of the layers that were not sent.
        self.left_out = 0
        #: Known once the iteration is complete.
        self.facts: Facts | None = None

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        """Yield the archive. The manifest comes after the source's end.

        :raises Refused: the tenant's archive is not acceptable
        :raises Absent: the engine has not got what it was not sent
        """
        try:
            yield from self._rewritten()
        except Refused as exc:
            tops = {name.partition('/')[0] for name in self._names}
            if tops & manifest.ROOT and not tops & manifest.METADATA:
                raise Refused('it is a root filesystem: that needs bare/raw '
                              'and docker_image_type=rootfs') from exc
            raise

    def _rewritten(self) -> collections.abc.Iterator[bytes]:
        for entry, data in tar.members(self._chunks()):
            name = self._admit(entry)
            if entry.kind == tar.SYMLINK:
                self._links[name] = self._target(name, entry)
            elif entry.kind in tar.REGULAR:
                yield from self._file(name, entry.size, data)
        yield self._finish()

    def _chunks(self) -> collections.abc.Iterator[bytes]:
        """The tenant's archive without its outer compression."""
        for chunk in compression.unpacked(self._source, _OUTER_COMPRESSIONS):
            if not self._read:
                disk.refuse(chunk)
            self._read += len(chunk)
            if self._read - self._in_layers > _MAX_OVERHEAD:
                raise Refused('the image archive has too much data besides '
                              'its layers')
            yield chunk

    def _admit(self, entry: tar.Entry) -> str:
        """The name of a member whose name and type are plain."""
        try:
            name = entry.name.decode()
        except UnicodeDecodeError as exc:
            raise Refused('a name in the image archive is not UTF-8') from exc
        # "tar -cf image.tar ." writes the directory itself, and ./ in front.
        if entry.kind == tar.DIRECTORY:
            name = name.removesuffix('/')
        name = name.removeprefix('./')
        if ((name, entry.kind) != ('.', tar.DIRECTORY)
                and not _is_plain(name) or len(name) > _MAX_NAME):
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
        inflater = compression.inflater(start, _LAYER_COMPRESSIONS)
        if inflater or tar.is_header(start) or start == bytes(tar.BLOCK):
            yield from self._layer(name, size, inflater, whole)
        elif size <= _MAX_SMALL:
            self._keep(name, size, whole)

    def _keep(self, name: str, size: int,
              data: collections.abc.Iterable[memoryview]) -> None:
        self._small_size += size
        if self._small_size > _MAX_ALL_SMALL:
            raise Refused('the metadata of the image archive is too large')
        self._small[name] = b''.join(data)

    def _layer(self, name: str, size: int,
               inflater: compression.Inflater | None,
               data: collections.abc.Iterable[memoryview]
               ) -> collections.abc.Iterator[bytes]:
        layer = layers.Layer(f'{self._prefix}-{len(self._layers)}', inflater,
                             sent=bool(inflater) or not self._has(name))
        self._layers[name] = layer
        self._limit_to(self._in_layers + size)
        if layer.sent:
            yield header(layer.name, size)
        for piece in data:
            self._in_layers += len(piece)
            for plain in layer.feed(piece):
                self._unpacked += plain
                self._limit_to(layer.size)
                self._limit_to(self._unpacked, _MAX_PLATFORMS)
            if layer.sent:
                yield bytes(piece)
        layer.finish()
        if not layer.sent:
            self.left_out += size
        # An empty piece would end the body of an HTTP request.
        if layer.sent and (rest := padding(size)):
            yield rest

    def _has(self, name: str) -> bool:
        """Whether the engine may have the layer, going by its name."""
        match = _DIGEST_NAME.fullmatch(name)
        return match is not None and 'sha256:' + match[1] in self._present_ids

    def _limit_to(self, size: int, times: int = 1) -> None:
        if self._limit is not None and size > times * self._limit:
            raise TooLarge(size)

    def _finish(self) -> bytes:
        """The configuration, the manifest and the end of the archive."""
        for name, target in self._links.items():
            if target not in self._layers:
                raise Refused(f'{name} in the image archive is a link to '
                              'something that is not a layer')
        selection = manifest.select(self._small, self._architecture)
        if selection.config not in self._small:
            raise Refused('the image archive lacks its image configuration')
        raw = self._small[selection.config]
        config = manifest.read_config(raw)
        raw = manifest.without_volumes(raw)
        self._check_platform(config)
        stack = self._check_layers(selection.layers, config.diff_ids)
        size = sum(layer.size for layer in stack)
        self._limit_to(size)
        self.facts = Facts('sha256:' + hashlib.sha256(raw).hexdigest(), size,
                           config.architecture, config.os, config.labels)
        name = f'{self._prefix}-config'
        document = json.dumps([{
            'Config': name, 'RepoTags': [self._reference],
            'Layers': [layer.name for layer in stack]}]).encode()
        return b''.join((member(name, raw),
                         member(manifest.MANIFEST, document),
                         bytes(2 * tar.BLOCK)))

    def _check_platform(self, config: manifest.Config) -> None:
        if config.rank(self._architecture) is None:
            raise Refused(f'the image is for {config.platform}, not for '
                          f'linux/{self._architecture or "*"}')

    def _check_layers(self, names: list[str],
                      diff_ids: list[str]) -> list[layers.Layer]:
        """The layers, each with the contents that the configuration names."""
        if len(names) != len(diff_ids):
            raise Refused(f'the image archive names {len(names)} layers and '
                          f'its image configuration {len(diff_ids)}')
        if len(names) > manifest.MAX_LAYERS:
            raise Refused(f'the image has {len(names)} layers, more than '
                          f'{manifest.MAX_LAYERS}')
        stack = []
        for name, diff_id in zip(names, diff_ids, strict=True):
            layer = self._layers.get(self._links.get(name, name))
            if layer is None:
                raise Refused(f'the image archive lacks the layer {name[:80]}'
                              ', or it is not a tar archive')
            if layer.diff_id != diff_id:
                raise Refused(f'the layer {name[:80]} in the image archive '
                              'does not match the image configuration')
            stack.append(layer)
            if (not layer.sent and tuple(diff_ids[:len(stack)])
                    not in self._present):
                raise Absent()
        return stack


def _is_plain(name: str) -> bool:
    """Whether a relative path has one spelling only."""
    return (name == posixpath.normpath(name) and name.isprintable()
            and not name.startswith('/')
            and name.partition('/')[0] not in ('', '.', '..'))


def header(name: str, size: int) -> bytes:
    """What precedes the data of a plain file in a tar archive."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def padding(size: int) -> bytes:
    """What follows the data."""
    return bytes(-size % tar.BLOCK)


def member(name: str, data: bytes) -> bytes:
    """All of a plain file in a tar archive."""
    return header(name, len(data)) + data + padding(len(data))
