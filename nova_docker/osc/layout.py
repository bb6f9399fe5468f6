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

"""An OCI image layout in a directory, streamed as an archive.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

import collections.abc
import json
import pathlib
import re
import tarfile
import typing

from nova_docker import osc

_TAG = 'org.opencontainers.image.ref.name'
_DIGEST = re.compile(r'sha256:[0-9a-f]{64}')
_CHUNK = 256 << 10
#: Largest index or manifest, in bytes.
_MAX_DOCUMENT = 4 << 20
#: Members are read only, of root, and without a time: the same layout makes
#: the same archive.
_MODE = 0o444

_Document = dict[str, typing.Any]


class Layout:
    """One image, or several, of a layout with all that they refer to."""

    def __init__(self, folder: pathlib.Path, tag: str | None = None) -> None:
        """Read the metadata.

        :param tag: the one image with this name in the index; None for all
        :raises SourceError: the directory is no layout, is incomplete or has
            no such image
        """
        self._folder = folder
        index = self._document('index.json')
        if tag is not None:
            index['manifests'] = [self._tagged(index, tag)]
        self._index = json.dumps(index).encode()
        #: Blobs by name with their size, each once.
        self._blobs: dict[str, int] = {}
        self._follow(index)

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        sizes = [len(self._index), len(_LAYOUT), *self._blobs.values()]
        return (sum(tarfile.BLOCKSIZE + size + len(_padding(size))
                    for size in sizes) + len(_END))

    def chunks(self) -> collections.abc.Iterator[bytes]:
        """The archive.

        :raises SourceError: a file has changed since
        """
        for name, data in (('oci-layout', _LAYOUT),
                           ('index.json', self._index)):
            yield _header(name, len(data)) + data + _padding(len(data))
        for name, size in self._blobs.items():
            yield _header(name, size)
            yield from self._read(name, size)
            yield _padding(size)
        yield _END

    def _tagged(self, index: _Document, tag: str) -> _Document:
        names = {}
        for image in _list(index, 'manifests'):
            names[_dict(image.get('annotations')).get(_TAG)] = image
        if tag not in names:
            known = ', '.join(sorted(filter(None, names))) or 'no names'
            raise osc.SourceError(
                f'{self._folder} has no image {tag}; it has {known}')
        return names[tag]

    def _follow(self, document: _Document) -> None:
        """Note what an index or a manifest refers to, in all depths."""
        for image in _list(document, 'manifests'):
            known = len(self._blobs)
            name = self._note(image)
            if len(self._blobs) > known:
                self._follow(self._document(name))
        for blob in (document.get('config'), *_list(document, 'layers')):
            if blob is not None:
                self._note(_dict(blob))

    def _note(self, descriptor: _Document) -> str:
        digest = descriptor.get('digest')
        # Another person's layout must not name a file of this one's.
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise osc.SourceError(
                f'{self._folder} is damaged: it has an odd digest')
        name = 'blobs/' + digest.replace(':', '/')
        try:
            self._blobs[name] = (self._folder / name).stat().st_size
        except OSError as exc:
            raise osc.SourceError(
                f'{self._folder} is incomplete: {name}: {exc.strerror}'
            ) from exc
        return name

    def _document(self, name: str) -> _Document:
        try:
            with open(self._folder / name, 'rb') as file:
                return _dict(json.loads(file.read(_MAX_DOCUMENT)))
        except OSError as exc:
            raise osc.SourceError(
                f'{self._folder} is not an OCI image layout: {name}: '
                f'{exc.strerror}') from exc
        except (ValueError, RecursionError) as exc:
            raise osc.SourceError(
                f'{self._folder} is damaged: {name} is not valid') from exc

    def _read(self, name: str, size: int) -> collections.abc.Iterator[bytes]:
        with open(self._folder / name, 'rb') as file:
            while chunk := file.read(_CHUNK):
                size -= len(chunk)
                yield chunk
        if size:
            raise osc.SourceError(f'{self._folder}/{name} has changed')


def _dict(value: typing.Any) -> _Document:
    return value if isinstance(value, dict) else {}


def _list(document: _Document, key: str) -> list[_Document]:
    value = document.get(key)
    return [_dict(item) for item in value] if isinstance(value, list) else []


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = _MODE
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


_LAYOUT = b'{"imageLayoutVersion": "1.0.0"}'
_END = bytes(2 * tarfile.BLOCKSIZE)
