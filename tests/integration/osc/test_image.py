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

"""openstack docker image create, from a real engine and a real skopeo."""

import base64
import io
import json
import os
import pathlib
import types

import docker
import fixtures
from osc_lib import exceptions
from oslotest import base

from nova_docker.image import archive
from nova_docker.osc import image
from tests.fixtures import archives
from tests.fixtures import busybox
from tests.fixtures import dockerd
from tests.fixtures import glance
from tests.fixtures import image_store
from tests.fixtures import registry
from tests.fixtures import tls

TAGS = ('nova-docker-osc:1', 'nova-docker-osc:latest')
LAYER = archives.layer(('hello', b'hello' * 100000))
CONFIG = archives.config([LAYER], config={
    'Cmd': ['/hello'],
    'Labels': {'org.opencontainers.image.version': '1.0'}})


class OscTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.glance = self.useFixture(glance.Glance())
        manager = types.SimpleNamespace(docker=self.glance.connect().image)
        self.command = image.CreateImage(
            types.SimpleNamespace(client_manager=manager), None)

    def create(self, source, *options):
        parser = self.command.get_parser('openstack docker image create')
        self.command.take_action(parser.parse_args(
            ['test', '--from', source, *options]))

    def accepted(self):
        """The one record, and what a compute host learns of its data."""
        record, = self.glance.images.values()
        rewriter = archive.Rewriter(
            io.BytesIO(self.glance.data[record['id']]), 'x:y', 'amd64')
        for _piece in rewriter:
            pass
        return record, rewriter.facts


class ClassicStoreTestCase(OscTestCase):

    def setUp(self):
        super().setUp()
        self.url = self.engine_url()
        self.useFixture(fixtures.EnvironmentVariable('DOCKER_HOST', self.url))
        self.client = docker.APIClient(self.url, version='auto', timeout=60)
        self.addCleanup(self.client.close)

    def engine_url(self):
        return dockerd.url()

    def load(self, data):
        for _line in self.client.load_image(io.BytesIO(data)):
            pass
        for tag in TAGS:
            self.addCleanup(self.client.remove_image, tag)

    def test_daemon(self):
        """One image, though its name has two tags."""
        self.load(archives.docker25([LAYER], CONFIG, tags=TAGS[:1]))
        self.client.tag(TAGS[0], *TAGS[1].split(':'))
        for name in ('nova-docker-osc', TAGS[0],
                     self.client.inspect_image(TAGS[0])['Id']):
            self.create(f'docker-daemon:{name}')
            record, facts = self.accepted()
            self.assertEqual(len(LAYER), facts.unpacked_size)
            self.assertEqual('x86_64', record['hw_architecture'])
            self.assertEqual('1.0',
                             record['org.opencontainers.image.version'])
            self.glance.images.clear()

    def test_daemon_without_the_image(self):
        error = self.assertRaises(exceptions.CommandError, self.create,
                                  'docker-daemon:nova-docker-absent')
        self.assertIn('No such image', str(error))
        self.assertEqual({}, self.glance.images)


class ContainerdStoreTestCase(ClassicStoreTestCase):

    def engine_url(self):
        return self.useFixture(image_store.ContainerdStore()).url


class BusyboxTestCase(OscTestCase):

    def test_file(self):
        path = f'{self.useFixture(fixtures.TempDir()).path}/busybox.tar'
        with open(path, 'wb') as file:
            file.write(busybox.archive())
        self.create(f'docker-archive:{path}')
        record, _facts = self.accepted()
        self.assertEqual(1, record['min_disk'])


class RegistryTestCase(OscTestCase):

    def setUp(self):
        super().setUp()
        self.registry = self.useFixture(registry.Registry(
            self.useFixture(tls.Authority())))
        # Where Go looks for CA certificates.
        self.useFixture(fixtures.EnvironmentVariable(
            'SSL_CERT_FILE', self.registry.ca_file))
        config = self.useFixture(fixtures.TempDir()).path
        self.useFixture(fixtures.EnvironmentVariable(
            'REGISTRY_AUTH_FILE', f'{config}/auth.json'))
        self.image = f'docker://{self.registry.host}/team/hello'

    def log_in(self, name, password):
        """As ``skopeo login`` does."""
        secret = base64.b64encode(f'{name}:{password}'.encode()).decode()
        pathlib.Path(os.environ['REGISTRY_AUTH_FILE']).write_text(json.dumps(
            {'auths': {self.registry.host: {'auth': secret}}}))

    def test_tag_and_digest(self):
        pushed = self.registry.push('team/hello', '1', [LAYER], CONFIG)
        for name in (':1', f'@{pushed["digest"]}'):
            self.create(self.image + name)
            record, facts = self.accepted()
            self.assertEqual(len(LAYER), facts.unpacked_size)
            self.assertEqual('1.0',
                             record['org.opencontainers.image.version'])
            self.glance.images.clear()

    def test_architecture(self):
        images = {}
        for name in ('amd64', 'arm64'):
            config = archives.config([LAYER], architecture=name)
            images[f'linux/{name}'] = self.registry.push(
                'team/hello', name, [LAYER], config)
        self.registry.index('team/hello', '1', images)
        self.create(f'{self.image}:1', '--architecture', 'aarch64')
        record, = self.glance.images.values()
        self.assertEqual('aarch64', record['hw_architecture'])

    def test_credentials(self):
        self.registry.push('team/hello', '1', [LAYER])
        self.registry.users['alice'] = 'secret'
        self.refused('skopeo: ', f'{self.image}:1')
        self.log_in('alice', 'secret')
        self.create(f'{self.image}:1')
        self.accepted()

    def test_no_such_image(self):
        self.refused('skopeo: ', f'{self.image}:absent')

    def test_breaks_off(self):
        self.registry.push('team/hello', '1', [LAYER])
        self.registry.faults['/blobs/'] = (
            lambda handler: registry.send(handler, 500))
        self.refused('skopeo: ', f'{self.image}:1')

    def refused(self, text, source):
        error = self.assertRaises(exceptions.CommandError, self.create,
                                  source)
        self.assertIn(text, str(error))
        self.assertNotIn('\n', str(error))
        self.assertEqual({}, self.glance.images)
