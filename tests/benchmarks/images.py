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


"""The driver's way of images into an engine, and archives to send on it."""

import argparse
import collections.abc
import contextlib
import hashlib
import os
import random
import signal
import tarfile
import typing

import fixtures
import nova.conf
from nova import context
from nova import objects
from oslo_utils import uuidutils

from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker.image import load
from nova_docker.image import source
from nova_docker.spec import names
from tests.benchmarks import results
from tests.fixtures import archives
from tests.fixtures import dockerd

#: What the Glance client reads at once.
CHUNK = 64 << 10
_FILE = 32 << 10
#: Repository of archives that are loaded as they are.
_RAW = 'nova-docker.invalid/benchmark'


def arguments(description: str, pairs: int, megabytes: int
              ) -> argparse.Namespace:
    """The options of a benchmark of images."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--pairs', type=int, default=pairs, metavar='N',
                        help='rounds, %(default)s by default')
    parser.add_argument('--megabytes', type=int, default=megabytes,
                        metavar='N', help='of the image, %(default)s by '
                        'default')
    return parser.parse_args()


class Layer:
    """A layer of files of 32 KiB, half random, of which none is stored."""

    def __init__(self, name: str, megabytes: int) -> None:
        self._name = name
        self._number = megabytes * (1 << 20) // (_FILE + tarfile.BLOCKSIZE)
        self.size = (self._number * (_FILE + tarfile.BLOCKSIZE)
                     + 2 * tarfile.BLOCKSIZE)

    def __iter__(self) -> collections.abc.Iterator[bytes]:
        rng = random.Random(self._name)
        info = tarfile.TarInfo()
        info.size, info.mode = _FILE, 0o755
        for number in range(self._number):
            info.name = f'usr/{self._name}/{number // 1000}/{number}'
            yield (info.tobuf(tarfile.GNU_FORMAT)
                   + rng.randbytes(_FILE // 2) + bytes(_FILE // 2))
        yield bytes(2 * tarfile.BLOCKSIZE)


def archive(*layers: Layer) -> collections.abc.Iterator[bytes]:
    """An archive of the layers as ``docker save`` writes it, in pieces."""
    digests = []
    for layer in layers:
        # As a digest is a name, it must be known before.
        digest = hashlib.sha256()
        for piece in layer:
            digest.update(piece)
        digests.append(digest.hexdigest())
        info = tarfile.TarInfo(f'blobs/sha256/{digests[-1]}')
        info.size = layer.size
        yield info.tobuf()
        yield from layer
        yield bytes(-layer.size % tarfile.BLOCKSIZE)
    config = archives.config([], rootfs={
        'type': 'layers', 'diff_ids': [f'sha256:{each}' for each in digests]})
    yield archives.tar([('config', config), archives.manifest(
        'config', [f'blobs/sha256/{each}' for each in digests],
        [f'{_RAW}:{uuidutils.generate_uuid()}'])])


class Glance:
    """nova.image.glance.API of one image."""

    def __init__(self, pieces: collections.abc.Iterable[bytes]) -> None:
        self._pieces = pieces

    def get(self, context: typing.Any, id_or_uri: str) -> typing.Any:
        raise NotImplementedError

    def download(self, context: typing.Any, id_or_uri: str, *,
                 data: typing.Any, trusted_certs: typing.Any) -> None:
        for piece in self._pieces:
            data.write(piece)


class _Session(session.Session):
    """Counts the bytes of the most recent load."""

    sent = 0

    def load_image(self, archive: collections.abc.Iterable[bytes]) -> None:
        super().load_image(self._counted(archive))

    def _counted(self, pieces: collections.abc.Iterable[bytes]
                 ) -> collections.abc.Iterator[bytes]:
        self.sent = 0
        for piece in pieces:
            self.sent += len(piece)
            yield piece


class Images(fixtures.Fixture):
    """An engine, and the driver's loads; leaves no image behind."""

    def _setUp(self) -> None:
        url = os.environ.get('DOCKER_HOST') or self.useFixture(
            dockerd.Dockerd()).url
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self.engine = _Session(session.Address(url))
        self.addCleanup(self.engine.close)
        self.addCleanup(self._remove_raw)
        results.engine(self.engine.info())
        nova.conf.CONF([], project='nova', default_config_files=[])
        objects.register_all()

    def ensure(self, pieces: collections.abc.Iterable[bytes]) -> load.Image:
        """Load an image as the driver does for a server; no limit."""
        meta = objects.ImageMeta(
            id=uuidutils.generate_uuid(), checksum='0' * 32, size=1,
            disk_format='raw', container_format='docker')
        self.addCleanup(self.remove,
                        names.image_reference(meta.id, meta.checksum))
        return load.ensure(source.Request(
            self.engine, Glance(pieces), context.RequestContext(), meta, {}))

    def load(self, pieces: collections.abc.Iterable[bytes]) -> str:
        """POST /images/load of the archive as it is; its reference."""
        self.engine.load_image(pieces)
        reference, = self._raw()
        return reference

    def _raw(self) -> list[str]:
        return [tag for image in self.engine.list_images([_RAW])
                for tag in image['RepoTags']]

    def _remove_raw(self) -> None:
        for reference in self._raw():
            self.remove(reference)

    def remove(self, reference: str) -> None:
        with contextlib.suppress(errors.NotFound):
            self.engine.remove_image(reference)
