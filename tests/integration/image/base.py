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

"""What the tests of images on a real engine share."""

import contextlib
import io
import os
import pathlib
import tarfile
import time

import docker
from nova import context as nova_context
from nova import exception
from nova import objects
from nova import test
from oslo_utils import uuidutils

from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker.image import load
from nova_docker.image import source
from tests import engine_cases
from tests.fixtures import archives
from tests.fixtures import image_store


class Glance:
    """An image API of one image; breaks off before a part of it.

    :ivar called: what to call as each download begins
    """

    def __init__(self, data, breaks_at=None):
        self._data = data
        self._breaks_at = breaks_at
        self.downloads = 0
        self.called = lambda: None

    def get(self, context, image_id):
        raise exception.ImageNotFound(image_id=image_id)

    def download(self, context, image_id, data=None, trusted_certs=None):
        self.downloads += 1
        self.called()
        end = len(self._data) if self._breaks_at is None else self._breaks_at
        for at in range(0, end, 1 << 16):
            data.write(self._data[at:min(end, at + (1 << 16))])
        if self._breaks_at is not None:
            raise OSError('the connection to Glance broke')


#: Where names that lead out would lead to, on the host.
_OUT = pathlib.Path('/tmp/nova-docker-test-escaped')
_SECRET = pathlib.Path('/tmp/nova-docker-test-secret')


def leading_out():
    """Members of an archive that try to reach files of the host."""
    up = '../' * 30
    yield up + str(_OUT)[1:], b'escaped'
    yield 'bin/' + up + str(_OUT)[1:], b'escaped'
    yield str(_OUT), b'escaped'
    for target in (str(_SECRET), up + str(_SECRET)[1:]):
        yield archives.link('stolen', target, tarfile.LNKTYPE)
        yield archives.link('stolen', target)


@contextlib.contextmanager
def untouched(case):
    """Assert that the body leaves the host's files alone."""
    _SECRET.write_text('secret')
    try:
        yield
        case.assertFalse(_OUT.exists())
        case.assertEqual(1, _SECRET.stat().st_nlink)
        case.assertEqual('secret', _SECRET.read_text())
    finally:
        _SECRET.unlink()
        _OUT.unlink(missing_ok=True)


class Engine(session.Session):
    """Counts what loads send, most recent last."""

    def __init__(self, address):
        super().__init__(address)
        self.sent = []

    def load_image(self, archive):
        self.sent.append(0)
        super().load_image(self._count(archive))

    def _count(self, pieces):
        for piece in pieces:
            self.sent[-1] += len(piece)
            yield piece


class ClassicStore(test.NoDBTestCase):
    """The engine that the tests share, which has the classic store."""

    def setUp(self):
        super().setUp()
        self.url = self.engine_url()
        self.engine = Engine(session.Address(self.url))
        self.addCleanup(self.engine.close)
        self.client = docker.APIClient(self.url, version='auto', timeout=60)
        self.addCleanup(self.client.close)
        # Others who share the engine leave it there.
        with contextlib.suppress(errors.NotFound):
            self.engine.remove_image('busybox:latest')
        self.before = self.left()
        self.addCleanup(self.assert_nothing_left)

    def engine_url(self):
        return os.environ['DOCKER_HOST']

    def left(self):
        """What the engine keeps, tags and files."""
        root = pathlib.Path(self.engine.info()['DockerRootDir'])
        files = [path for pattern in (
            'tmp/*', 'image/*/layerdb/sha256/*', 'overlay2/*/diff',
            'containerd/daemon/*content*/ingest/*',
            'containerd/daemon/*content*/blobs/sha256/*',
            'containerd/daemon/*overlayfs/snapshots/*')
            for path in root.glob(pattern)]
        return sorted(map(str, files)), sorted(self.tags())

    def tags(self):
        return [tag for image in self.client.images(all=True)
                for tag in image['RepoTags'] or [image['Id']]]

    def assert_nothing_left(self):
        deadline = time.monotonic() + 30
        while self.left() != self.before and time.monotonic() < deadline:
            self.collect()
            time.sleep(0.2)
        self.assertEqual(self.before, self.left())

    def collect(self):
        """Let the engine collect its garbage."""

    def meta(self, **changes):
        fields = {'id': uuidutils.generate_uuid(), 'checksum': 'c' * 32,
                  'size': 1000, 'disk_format': 'raw',
                  'container_format': 'docker'}
        return objects.ImageMeta.from_dict(fields | changes)

    def ensure(self, data, root_bytes=0, meta=None, properties=()):
        glance = data if isinstance(data, Glance) else Glance(data)
        image = load.ensure(source.Request(
            self.engine, glance,
            nova_context.RequestContext('user', 'project'),
            meta or self.meta(), dict(properties), root_bytes))
        self.addCleanup(self.remove, image.reference)
        return image

    def remove(self, reference):
        with contextlib.suppress(errors.NotFound):
            self.engine.remove_image(reference)

    def load(self, data, reference):
        """Load an archive as it is, as an operator may."""
        self.engine.load_image([data])
        self.addCleanup(self.remove, reference)
        return self.engine.inspect_image(reference)

    def refused(self, data, text, error=exception.ImageUnacceptable,
                **kwargs):
        before = self.left()[1]
        raised = self.assertRaises(error, self.ensure, data, **kwargs)
        self.assertIn(text, str(raised))
        self.assertEqual(before, self.left()[1])

    def files(self, reference):
        """Names of the files that a container of the image sees."""
        container = self.client.create_container(reference, 'none')['Id']
        try:
            data = b''.join(self.client.get_archive(container, '/')[0])
        finally:
            self.client.remove_container(container)
        with tarfile.open(fileobj=io.BytesIO(data)) as root:
            return root.getnames()

    def read(self, reference, path):
        """The contents of a file of the image."""
        container = self.client.create_container(reference, 'none')['Id']
        try:
            data = b''.join(self.client.get_archive(container, path)[0])
        finally:
            self.client.remove_container(container)
        with tarfile.open(fileobj=io.BytesIO(data)) as one:
            return one.extractfile(one.next()).read()

    def run_in(self, reference, command):
        """The output of a command, which has some."""
        name = 'nova-docker-test-' + uuidutils.generate_uuid()
        self.engine.create_container(name, {
            'Image': reference, 'Cmd': ['sh', '-c', command],
            'HostConfig': {'NetworkMode': 'none'}})
        try:
            self.engine.start_container(name, 60)
            self.client.wait(name, timeout=60)
            # A busy engine tells of the exit before it has read all output.
            return engine_cases.wait_until(
                lambda: self.engine.container_logs(name, 1 << 16)
            ).decode().strip()
        finally:
            self.engine.remove_container(name)


class ContainerdStore(ClassicStore):
    """An engine of its own for each test."""

    def engine_url(self):
        return self.useFixture(image_store.ContainerdStore()).url

    def setUp(self):
        super().setUp()
        self.assertEqual('overlayfs', self.engine.info()['Driver'])

    def collect(self):
        # containerd does it when an image is removed, and sometimes else.
        self.engine.load_image([archives.docker20([bytes(1024)])])
        self.engine.remove_image('busybox:1')
