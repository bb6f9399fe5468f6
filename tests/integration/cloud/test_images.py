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

"""Images that a plain user makes with the OpenStack client, and boots."""

import json
import lzma
import subprocess
import uuid

import docker
import fixtures

from tests.fixtures import busybox
from tests.fixtures import dockerd
from tests.fixtures import registry
from tests.fixtures import tls
from tests.integration.cloud import base


class ImagesTest(base.CloudTestCase):

    def _client(self, source, *options, data=None):
        """The finished ``openstack docker image create`` and its name."""
        name = f'Image \u00dc {uuid.uuid4().hex}'
        return name, subprocess.run(
            ['openstack', 'docker', 'image', 'create', '-f', 'json', name,
             '--from', source, *options],
            input=data, capture_output=True, timeout=120)

    def _image(self, source, *options, data=None):
        """The image, as the client shows it; deleted at the end."""
        _name, done = self._client(source, *options, data=data)
        self.assertEqual((0, b''), (done.returncode, done.stderr))
        image = json.loads(done.stdout)
        self.addCleanup(self.cloud.image.delete_image, image['id'])
        self.assertEqual('active', image['status'])
        self.assertEqual('docker', image['properties']['img_hv_type'])
        self.assertIn('hw_architecture', image['properties'])
        self.assertEqual(1, image['min_disk'])
        return image

    def test_file(self):
        image = self._image('docker-archive:-', data=busybox.archive())
        self.assertEqual('docker', image['container_format'])
        server = self.create('from-file', image=image['id'])
        base.wait_for('the log', lambda: (
            'from-file is up' in self.console(server)))
        self.assert_pings(server, '10.20.0.1')

    def test_docker_engine(self):
        name, tag = 'nova-docker-cloud', '1'
        # The one of DOCKER_HOST, as the client's.
        engine = docker.from_env().api
        self.addCleanup(engine.close)
        engine.import_image_from_data(
            dockerd.busybox_layer(), repository=name, tag=tag)
        self.addCleanup(engine.remove_image, f'{name}:{tag}')
        image = self._image(f'docker-daemon:{name}:{tag}', '--property',
                            'docker_command=sleep 600')
        server = self.create('from-engine', image=image['id'])
        self.assert_pings(server, '10.20.0.1')

    def test_registry(self):
        authority = self.useFixture(tls.Authority())
        origin = self.useFixture(registry.Registry(authority))
        origin.push('team/busybox', '1', [dockerd.busybox_layer()])
        # Where skopeo looks for CA certificates.
        self.useFixture(fixtures.EnvironmentVariable(
            'SSL_CERT_FILE', authority.ca_file))
        image = self._image(f'docker://{origin.host}/team/busybox:1',
                            '--property', 'docker_command=sleep 600')
        server = self.create('from-registry', image=image['id'])
        self.assert_pings(server, '10.20.0.1')

    def test_root_filesystem(self):
        image = self._image(
            'rootfs:-', '--property', 'docker_command=sleep 600',
            data=lzma.compress(dockerd.busybox_layer(), preset=0))
        self.assertEqual('bare', image['container_format'])
        self.assertEqual('rootfs', image['properties']['docker_image_type'])
        server = self.create('from-rootfs', image=image['id'])
        self.assertEqual((0, 'from-rootfs\n'),
                         self.execute(server, 'hostname'))
        self.assert_pings(server, '10.20.0.1')

    def test_what_no_server_can_be_made_of(self):
        for source, data in (
                ('docker-archive:-', busybox.archive()[:1 << 20]),
                ('rootfs:-', lzma.compress(b'no archive' * 1000)),
                ('docker-daemon:nova-docker-absent', None)):
            name, done = self._client(source, data=data)
            self.assertEqual(1, done.returncode)
            self.assertEqual(1, len(done.stderr.splitlines()), done.stderr)
            self.assertIsNone(self.cloud.image.find_image(name))
