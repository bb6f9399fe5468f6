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

"""The layers of an image: those of an archive, and those of the engine."""

import collections.abc
import contextlib
import hashlib

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.image import compression
from nova_docker.image import tar


def present(engine: client.Engine) -> frozenset[tuple[str, ...]]:
    """The stacks of layers that an archive for the engine may leave out.

    As diff_ids from the bottom; each stack in the images of the engine, also
    those below others. None with the containerd image store, which does not
    take an archive that lacks a layer.
    """
    if any(name == 'driver-type' for name, _ in
           engine.info().get('DriverStatus') or ()):
        return frozenset()
    stacks: set[tuple[str, ...]] = set()
    for image in engine.list_images(()):
        with contextlib.suppress(errors.NotFound):
            diff_ids = engine.inspect_image(
                image['Id'])['RootFS'].get('Layers') or ()
            stacks.update(tuple(diff_ids[:depth + 1])
                          for depth in range(len(diff_ids)))
    return frozenset(stacks)


class Layer:
    """What is learnt about a layer while it passes.

    :ivar name: of its member in the archive for the engine
    :ivar sent: whether the engine gets it
    :ivar size: bytes of it, unpacked, so far
    :ivar diff_id: the digest of all of it, unpacked, once it is complete
    """

    def __init__(self, name: str,
                 inflater: compression.Inflater | None, sent: bool) -> None:
        self.name = name
        self.sent = sent
        self.size = 0
        self.diff_id = ''
        self._sha256 = hashlib.sha256()
        self._parser = tar.Parser()
        self._inflater = inflater

    def feed(self, piece: memoryview) -> collections.abc.Iterator[int]:
        """Yield the bytes of each step, which is counted in size already.

        :raises Refused: it cannot be unpacked, or the engine should not
        """
        pieces: collections.abc.Iterable[bytes | memoryview] = (
            self._inflater.feed(piece) if self._inflater else (piece,))
        for plain in pieces:
            self.size += len(plain)
            yield len(plain)
            self._sha256.update(plain)
            # Only for its refusals: what Go's reader might blow up.
            for _event in self._parser.feed(plain):
                pass

    def finish(self) -> None:
        """Say that it is complete.

        :raises Refused: it is not
        """
        if self._inflater:
            self._inflater.finish()
        if not self._parser.between_members:
            raise tar.truncated()
        self.diff_id = 'sha256:' + self._sha256.hexdigest()
