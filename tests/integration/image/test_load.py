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

"""Glance images on a real engine, with each of its image stores."""

import contextlib
import gzip
import io
import json
import os
import pathlib
import tarfile
import threading
import time

import docker
from nova import context as nova_context
from nova import exception
from nova import objects
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids
from oslo_utils import uuidutils

from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker.image import load
from nova_docker.image import source
from tests.fixtures import archives
from tests.fixtures import busybox
from tests.fixtures import image_store

BASE = archives.layer(('bin/secret', b'secret' * 1000))
TOP = archives.layer(('hello', os.urandom(1 << 20)))
VICTIM = 'victim:1'


class Glance:
    """An image API of one image; breaks off before a part of it."""

    def __init__(self, data, breaks_at=None):
        self._data = data
        self._breaks_at = breaks_at
        self.downloads = 0

    def get(self, context, image_id):
        raise exception.ImageNotFound(image_id=image_id)

    def download(self, context, image_id, data=None, trusted_certs=None):
        self.downloads += 1
        for at in range(0, len(self._data), 1 << 16):
            if self._breaks_at is not None and at >= self._breaks_at:
                raise OSError('the connection to Glance broke')
            data.write(self._data[at:at + (1 << 16)])


class ClassicStoreTestCase(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.url = self.engine_url()
        self.engine = session.Session(session.Address(self.url))
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

    def ensure(self, data, root_bytes=0, meta=None):
        glance = data if isinstance(data, Glance) else Glance(data)
        image = load.ensure(source.Request(
            self.engine, glance,
            nova_context.RequestContext('user', 'project'),
            meta or self.meta(), {}, root_bytes))
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
        container = self.client.create_container(reference)['Id']
        try:
            data = b''.join(self.client.get_archive(container, '/')[0])
        finally:
            self.client.remove_container(container)
        with tarfile.open(fileobj=io.BytesIO(data)) as root:
            return root.getnames()

    def run_in(self, reference, command):
        name = 'nova-docker-test-' + uuidutils.generate_uuid()
        self.engine.create_container(name, {
            'Image': reference, 'Cmd': ['sh', '-c', command],
            'HostConfig': {'NetworkMode': 'none'}})
        try:
            self.engine.start_container(name, 60)
            self.client.wait(name, timeout=60)
            return self.engine.container_logs(name, 1 << 16).decode().strip()
        finally:
            self.engine.remove_container(name)

    def test_every_layout(self):
        for name, layout in archives.LAYOUTS.items():
            data = layout([BASE, TOP, BASE])
            for stored in (data, gzip.compress(data, 1)):
                image = self.ensure(stored)
                self.assertEqual([image.reference], self.engine.inspect_image(
                    image.reference)['RepoTags'], name)
                self.assertEqual(['/hello'], image.config['Cmd'])
                self.assertLess(set(['/bin/secret', '/hello']),
                                set(self.files(image.reference)))
                self.remove(image.reference)

    def test_what_this_engine_saves(self):
        busybox_image = self.load(busybox.archive(), 'busybox:latest')
        container = self.client.create_container('busybox:latest')['Id']
        self.client.put_archive(container, '/', archives.layer(
            ('bin/new', b'#!/bin/sh\necho new file\n')))
        self.client.commit(container, 'changed', '1')
        self.client.remove_container(container)
        for name in ('changed:1', busybox_image['Id']):
            saved = b''.join(self.client.get_image(name))
            image = self.ensure(saved)
            expected = self.engine.inspect_image(name)
            found = self.engine.inspect_image(image.reference)
            self.assertEqual(expected['RootFS'], found['RootFS'])
            self.assertEqual('hello', self.run_in(
                image.reference, 'echo hello'))
            if name == 'changed:1':
                self.assertEqual('new file', self.run_in(
                    image.reference, '/bin/new'))
        self.engine.remove_image('changed:1')

    def test_no_tag_is_stolen(self):
        victim = self.load(archives.docker25([BASE], tags=[VICTIM]), VICTIM)
        for data in (archives.docker25([TOP], tags=[VICTIM]),
                     archives.docker20([TOP]), archives.oci([TOP])):
            image = self.ensure(data)
            self.assertNotIn('/bin/secret', self.files(image.reference))
            self.assertEqual(victim['Id'],
                             self.engine.inspect_image(VICTIM)['Id'])
        self.assertNotIn('busybox:1', self.tags())

    def test_layers_of_others_are_not_read(self):
        self.load(archives.docker25([BASE], tags=[VICTIM]), VICTIM)
        config = archives.config([BASE])
        member = archives.manifest('config', ['layer'], ['thief:1'])
        self.refused(archives.tar([('config', config), member]), 'lacks')
        pretended = archives.tar([('config', config), ('layer', TOP), member])
        self.refused(pretended, 'does not match')
        spelling = json.loads(archives.config([TOP]))
        spelling['ROOTFS'] = json.loads(config)['rootfs']
        self.refused(archives.tar([
            ('config', archives.as_json(spelling)), ('layer', TOP), member]),
            'odd key')
        # What all this is for: the engine itself would hand it out.
        self.load(pretended, 'thief:1')
        self.assertIn('/bin/secret', self.files('thief:1'))

    def test_refused(self):
        data = archives.docker25([BASE, TOP])
        self.refused(b'QFI\xfb' * (1 << 20), 'not a tar')
        self.refused(data[:1 << 20], 'truncated')
        self.refused(gzip.compress(data)[:-100], 'truncated')
        self.refused(Glance(data, breaks_at=1 << 19), 'Could not fetch',
                     exception.CouldNotFetchImage)
        self.refused(data, 'too small', exception.FlavorDiskSmallerThanImage,
                     root_bytes=len(TOP) - 1)
        self.assert_nothing_left()

    def test_sparse_bomb(self):
        info = tarfile.TarInfo('bomb')
        info.pax_headers = {'GNU.sparse.size': str(1 << 40),
                            'GNU.sparse.map': f'{1 << 40},0'}
        self.refused(archives.docker25([archives.tar([(info, b'')])]),
                     'sparse')

    def test_layer_that_cannot_be_unpacked(self):
        odd = archives.tar([archives.link('a', 'absent', tarfile.LNKTYPE)])
        try:
            image = self.ensure(archives.docker25([odd, TOP]))
        except exception.ImageUnacceptable as error:
            self.assertIn('absent', str(error))
            self.assertEqual(self.before[1], self.left()[1])
        else:
            # Engine 28 with the containerd store unpacks it at create only.
            error = self.assertRaises(
                errors.ServerError, self.engine.create_container,
                'nova-docker-test-odd', {'Image': image.reference})
            self.assertIn('absent', str(error))

    def test_load_after_one_that_broke_off(self):
        data = archives.docker25([TOP])

        def broken():
            yield data[:1 << 19]
            raise OSError('as when nova-compute is killed')

        self.assertRaises(OSError, self.engine.load_image, broken())
        self.before = self.left()[0], self.before[1]
        self.assertIn('/hello', self.files(self.ensure(data).reference))

    def test_two_at_once_load_once(self):
        glance = Glance(archives.docker25([BASE, TOP]))
        meta = self.meta()
        images = []
        threads = [threading.Thread(target=lambda: images.append(
            self.ensure(glance, meta=meta))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(2, len(images))
        self.assertEqual(images[0], images[1])
        self.assertEqual(1, glance.downloads)

    def test_different_images_at_once(self):
        layers = [archives.layer(('hello', os.urandom(1 << 20)))
                  for _ in range(4)]
        images = []
        threads = [threading.Thread(target=lambda layer=layer: images.append(
            self.ensure(archives.docker25([BASE, layer]))))
            for layer in layers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(4, len(set(image.id for image in images)))

    def test_present_without_checksum_nor_glance(self):
        first = self.ensure(archives.docker25([TOP]),
                            meta=self.meta(id=uuids.image))
        meta = objects.ImageMeta.from_dict({
            'id': uuids.image, 'disk_format': 'raw',
            'container_format': 'docker'})
        self.assertEqual(first, self.ensure(b'', meta=meta))


class ContainerdStoreTestCase(ClassicStoreTestCase):

    def engine_url(self):
        return self.useFixture(image_store.ContainerdStore()).url

    def setUp(self):
        super().setUp()
        self.assertEqual('overlayfs', self.engine.info()['Driver'])

    def collect(self):
        # containerd does it when an image is removed, and sometimes else.
        self.engine.load_image([archives.docker20([bytes(1024)])])
        self.engine.remove_image('busybox:1')
