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

"""What an administrator says of flavors, by the client."""

import subprocess
import uuid

import openstack

from tests.integration.cloud import base

#: The first in which nova-api looks at extra specs.
_LOOKS = '2.86'


class FlavorsTest(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.admin = openstack.connect(cloud='nova-docker')
        self.addCleanup(self.admin.close)

    def _client(self, *words):
        """The finished command."""
        return subprocess.run(
            ['openstack', '--os-cloud', 'nova-docker',
             '--os-compute-api-version', _LOOKS, *words],
            capture_output=True, text=True, timeout=120)

    def test_extra_specs(self):
        flavor = self.admin.compute.create_flavor(
            name=f'flavor-{uuid.uuid4().hex}', vcpus=1, ram=64, disk=1)
        self.addCleanup(self.admin.compute.delete_flavor, flavor)
        done = self._client(
            'flavor', 'set', '--property', 'docker:typo=1', flavor.name)
        self.assertNotEqual(0, done.returncode)
        self.assertIn('docker:typo', done.stderr)
        done = self._client(
            'flavor', 'set', '--property', 'docker:init=true', flavor.name)
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual(
            {'docker:init': 'true'},
            self.admin.compute.fetch_flavor_extra_specs(flavor).extra_specs)

    def test_definitions(self):
        """They are for Horizon; loaded again, they are there once."""
        names = ('OS::Compute::DockerFlavor', 'OS::Compute::DockerImage')
        for name in names:
            self.addCleanup(self.admin.image.delete_metadef_namespace, name)
        for _time in range(2):
            done = self._client('docker', 'metadefs', 'load')
            self.assertEqual((0, ''), (done.returncode, done.stderr))
        # As anyone sees them.
        flavor, image = (
            {each.name for each in self.cloud.image.metadef_properties(name)}
            for name in names)
        self.assertIn('docker:pids_limit', flavor)
        self.assertIn('docker:sysctl_net.core.somaxconn', flavor)
        self.assertIn('docker_command', image)
