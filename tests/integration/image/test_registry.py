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

"""Images of a real registry on a real engine, with each image store."""

import gzip
import os
import subprocess

import fixtures
from nova import context as nova_context
from nova import exception
from nova import objects
from oslo_utils import uuidutils

from nova_docker.image import load
from nova_docker.image import registries
from nova_docker.image import source
from nova_docker.spec import names
from tests.fixtures import archives
from tests.fixtures import busybox
from tests.fixtures import docker_registry
from tests.fixtures import dockerd
from tests.integration.image import base

OTHER = archives.layer(('other', os.urandom(1 << 20)))


class Glance:
    """Says where an image is."""

    def __init__(self, where):
        self._where = where

    def get(self, context, image_id):
        return {'id': image_id, 'properties': {
            'docker_image_ref': self._where}}


class Cases:

    def setUp(self):
        super().setUp()
        self.registry = self.useFixture(docker_registry.DockerRegistry())
        self.layer = dockerd.busybox_layer()
        self.top = gzip.compress(archives.layer(('hello', b'hello')))
        self.config = archives.config(
            [self.layer, gzip.decompress(self.top)])
        self.image = self.registry.push(
            'team/app', '1', [self.layer, self.top], self.config)
        self.tag = f'{self.registry.host}/team/app:1'
        self.image_id = uuidutils.generate_uuid()
        self.file = self.useFixture(fixtures.TempDir()).join('registries.ini')
        self.write(*docker_registry.USER)

    def write(self, user, password):
        with open(self.file, 'w') as file:
            file.write(f'[{self.registry.host}]\nusername = {user}\n'
                       f'password = {password}\n'
                       f'ca_file = {self.registry.ca_file}\n')
        os.chmod(self.file, 0o600)

    def pull(self, where=None, root_bytes=0, pinned=None):
        image = load.ensure(source.Request(
            self.engine, Glance(where or self.tag),
            nova_context.RequestContext('user', 'project'),
            objects.ImageMeta.from_dict({
                'id': self.image_id, 'size': 0, 'disk_format': 'raw',
                'container_format': 'docker'}),
            {'image_ref': where or self.tag}, root_bytes,
            registry_options=registries.Options(
                (self.registry.host,), self.file), pinned=pinned))
        self.addCleanup(self.remove, image.reference)
        return image

    def pull_refused(self, error, text, *args, **kwargs):
        raised = str(self.assertRaises(error, self.pull, *args, **kwargs))
        self.assertIn(text, raised)
        self.assertNotIn(docker_registry.USER[1], raised)
        self.assertEqual(self.before[1], self.left()[1])

    def test_tag_and_digest(self):
        repository = self.tag.removesuffix(':1')
        for where in (self.tag, f'{repository}@{self.image["digest"]}'):
            image = self.pull(where)
            self.assertEqual(self.image['digest'],
                             names.pulled_digest(image.reference))
            self.assertEqual([image.reference], self.engine.inspect_image(
                image.reference)['RepoTags'])
            self.assertEqual('hello', self.run_in(
                image.reference, 'cat /hello'))
            self.remove(image.reference)

    def test_what_skopeo_pushes(self):
        folder = self.useFixture(fixtures.TempDir()).path
        path = os.path.join(folder, 'busybox.tar')
        with open(path, 'wb') as file:
            file.write(busybox.archive())
        certificates = os.path.join(folder, 'certs')
        os.mkdir(certificates)
        os.symlink(self.registry.ca_file, os.path.join(certificates, 'ca.crt'))
        for kind in ('oci', 'v2s2'):
            where = f'{self.registry.host}/skopeo:{kind}'
            done = subprocess.run(
                ['skopeo', '--insecure-policy', '--tmpdir', folder, 'copy',
                 '--quiet', '--format', kind, '--dest-cert-dir', certificates,
                 '--dest-creds', ':'.join(docker_registry.USER),
                 f'docker-archive:{path}', f'docker://{where}'],
                capture_output=True, text=True)
            self.assertEqual(0, done.returncode, done.stderr)
            image = self.pull(where)
            self.assertEqual('works', self.run_in(
                image.reference, 'echo works'))

    def test_index(self):
        foreign = self.registry.push('team/app', 'arm', [OTHER],
                                     archives.config([OTHER], architecture=(
                                         'arm64')))
        index = self.registry.index('team/app', 'all', {
            'linux/arm64/v8': foreign, 'linux/amd64': self.image})
        image = self.pull(self.tag.replace(':1', ':all'))
        self.assertEqual(index['digest'],
                         names.pulled_digest(image.reference))
        self.assertEqual('hello', self.run_in(image.reference, 'cat /hello'))
        self.pull_refused_platform(foreign)

    def pull_refused_platform(self, foreign):
        self.registry.index('team/app', 'none', {'linux/arm64/v8': foreign})
        error = self.assertRaises(exception.ImageUnacceptable, self.pull,
                                  self.tag.replace(':1', ':none'))
        self.assertIn('linux/arm64/v8', str(error))

    def test_image_stays_the_same(self):
        first = self.pull()
        self.registry.push('team/app', '1', [OTHER])
        self.registry.stop()
        self.assertEqual(first, self.pull())
        self.remove(first.reference)
        self.registry.start()
        again = self.pull(pinned=first.reference)
        self.assertEqual(first, again)
        self.remove(again.reference)
        self.assertNotEqual(first.id, self.pull().id)

    def test_refused(self):
        host = self.registry.host
        self.pull_refused(exception.ImageUnacceptable, 'does not have',
                          f'{host}/team/app:absent')
        self.pull_refused(exception.ImageUnacceptable, 'does not have',
                          f'{host}/absent:1')
        self.pull_refused(exception.ImageUnacceptable, 'takes no images from',
                          'docker.io/library/nginx:1')
        self.pull_refused(exception.FlavorDiskSmallerThanImage, 'too small',
                          root_bytes=1 << 20)
        self.write('nova', 'wrong')
        self.pull_refused(exception.ImageUnacceptable, 'denies access')
        self.registry.stop()
        self.pull_refused(exception.CouldNotFetchImage, 'can not be reached')
        self.assert_nothing_left()


class ClassicStoreTestCase(Cases, base.ClassicStore):
    """On the engine that the tests share."""


class ContainerdStoreTestCase(Cases, base.ContainerdStore):
    """On an engine with the containerd image store."""
