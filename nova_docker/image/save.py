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


"""From the engine to Glance: an image of the engine as a tenant may have it.

The data flows engine -> :func:`rewritten` -> :class:`File` -> Glance, with no
copy on the way, in the one thread that reads the file: Nova 2026.1 uploads in
a native thread beside eventlet's, which share no locks.
"""

import collections.abc
import contextlib
import hashlib
import itertools
import json
import typing

from nova import exception

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.image import archive
from nova_docker.image import manifest
from nova_docker.image import tar
from nova_docker.spec import names

#: What an image configuration keeps, and of its section "config". What is
#: left out is about the container and the engine that it was committed on.
_IMAGE = frozenset((
    'architecture', 'author', 'created', 'history', 'os', 'os.features',
    'os.version', 'rootfs', 'variant'))
CONFIG = frozenset((
    'ArgsEscaped', 'Cmd', 'Entrypoint', 'Env', 'ExposedPorts', 'Healthcheck',
    'Labels', 'OnBuild', 'Shell', 'StopSignal', 'StopTimeout', 'User',
    'Volumes', 'WorkingDir'))


class File:
    """What Nova uploads from."""

    def __init__(self, image_id: str,
                 pieces: collections.abc.Iterable[bytes]) -> None:
        """:param image_id: Glance's, for messages
        """
        self._image_id = image_id
        self._pieces = iter(pieces)
        self._rest = b''
        #: Bytes that were read.
        self.size = 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end only."""
        if not self._rest:
            self._rest = next(self._pieces, b'')
        data, self._rest = self._rest[:size], self._rest[size:]
        self.size += len(data)
        return data

    def __bool__(self) -> bool:
        """What glanceclient asks for at the begin of each upload.

        :raises nova.exception.CouldNotUploadImage: it has been read from.
            Nova tries an upload again that broke off: the image would be what
            is left.
        """
        if self.size:
            raise exception.CouldNotUploadImage(image_id=self._image_id)
        return True


class Upload:
    """An image on its way to Glance, which any thread can call off."""

    def __init__(self, image_id: str, instance_uuid: str) -> None:
        """:param image_id: Glance's
        :param instance_uuid: the instance that it was committed from
        """
        self._image_id = image_id
        self.instance_uuid = instance_uuid
        #: Whether it was called off: then its file cannot be read any more.
        self.cancelled = False
        self._stream: client.ImageStream | None = None
        self._begun = False

    def cancel(self) -> None:
        """Make the reading of its file fail, at once (idempotent).

        The engine should not be broken off in the middle. Before the first
        piece it may take long, and does no harm.
        """
        self.cancelled = True
        if self._stream is not None and not self._begun:
            self._stream.close()

    @contextlib.contextmanager
    def file(self, engine: client.Engine, reference: str
             ) -> collections.abc.Iterator[File]:
        """The archive of the image, for as long as the body runs.

        :raises EngineError: it was called off, or there is no such image
        """
        if self.cancelled:
            raise _called_off()
        with engine.save_image(reference) as self._stream:
            yield File(self._image_id, rewritten(self._pieces(self._stream)))

    def _pieces(self, stream: client.ImageStream
                ) -> collections.abc.Iterator[bytes]:
        """What the engine sends, as long as it is wanted.

        :raises EngineError: it is not, or it cannot be had
        """
        for piece in stream:
            self._begun = True
            if self.cancelled:
                raise _called_off()
            yield piece


def _called_off() -> errors.EngineError:
    return errors.EngineError('the snapshot was called off')


def rewritten(chunks: collections.abc.Iterable[bytes]
              ) -> collections.abc.Iterator[bytes]:
    """The archive of ``docker save`` of one image, without what is ours.

    The labels of the driver, its private reference and the host's facts go;
    the layers pass as they are. The engine is trusted to name the right ones.

    :raises EngineError: the engine did not save the whole image
    """
    small: dict[str, bytes] = {}
    try:
        for entry, data in tar.members(chunks):
            name = entry.name.decode()
            if entry.kind in tar.REGULAR:
                head = _head(data)
                if _is_json(head):
                    small[name] = head + b''.join(data)
                else:
                    yield from _layer(name, entry.size, head, data)
        image, = json.loads(small[manifest.MANIFEST])
        config = _clean(json.loads(small[image['Config']]))
    except (LookupError, TypeError, ValueError) as error:
        # It cannot answer an error any more, and ends the archive with it.
        raise errors.EngineError(
            f'it did not save the whole image: {error}') from error
    name = hashlib.sha256(config).hexdigest() + '.json'
    document = json.dumps([{'Config': name, 'RepoTags': None,
                            'Layers': image['Layers']}]).encode()
    yield archive.member(name, config)
    yield archive.member(manifest.MANIFEST, document)
    yield bytes(2 * tar.BLOCK)


def _head(data: collections.abc.Iterator[memoryview]) -> bytes:
    """As much of a member as says what it is."""
    head = bytearray()
    for piece in data:
        head += piece
        if len(head) >= tar.BLOCK:
            break
    return bytes(head)


def _is_json(head: bytes) -> bool:
    """Whether it is no layer: a tar archive may begin with any file name."""
    return (head.startswith((b'{', b'['))
            and not tar.is_header(head[:tar.BLOCK]))


def _layer(name: str, size: int, head: bytes,
           data: collections.abc.Iterable[memoryview]
           ) -> collections.abc.Iterator[bytes]:
    yield archive.header(name, size)
    for piece in itertools.chain((head,), data):
        if piece:
            yield bytes(piece)
    if padding := archive.padding(size):
        yield padding


def _clean(config: dict[str, typing.Any]) -> bytes:
    """An image configuration without what is not of the tenant."""
    kept = {key: value for key, value in config.items() if key in _IMAGE}
    section = {key: value for key, value in
               (config.get('config') or {}).items() if key in CONFIG}
    section['Labels'] = {
        key: value for key, value in (section.get('Labels') or {}).items()
        if not key.startswith(names.LABEL_PREFIX)}
    return json.dumps(kept | {'config': section}).encode()
