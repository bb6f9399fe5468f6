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

"""Evacuation to a second host, with an engine of its own, by Nova's API.

The ports of both would have the same interfaces of this machine: the server
has none. See tests/integration/cloud/moves for all of it.
"""

import os
import subprocess

import docker
import fixtures
from nova.virt import node
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.privsep import mounts
from nova_docker.spec import names
from nova_docker.volume import filesystem
from tests.fixtures import dockerd
from tests.functional import volumes


class EvacuateTest(volumes.VolumesTestCase):

    size = 32 << 20

    def setUp(self):
        # The path of its socket has a limit, and Nova's tests a deep folder.
        engine = self.useFixture(dockerd.Dockerd())
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            filesystem, 'metadata', autospec=True,
            return_value={'docker_mount_path': '/data'}))
        self.here = self.by_hand
        self.there = docker.APIClient(base_url=engine.url, version='auto')
        self.addCleanup(self.there.close)
        self.of_host1 = {'url': os.environ['DOCKER_HOST'],
                         'cdi_spec_dir': self.cdi_dir,
                         'state_dir': self.state_dir}
        self.of_host2 = {'url': engine.url,
                         'cdi_spec_dir': self.there.info()['CDISpecDirs'][0],
                         'state_dir': self.useFixture(
                             fixtures.TempDir()).path}

    def be(self, options, node_uuid):
        """Let the next nova-compute that starts be one of this host."""
        self.flags(group='docker', **options)
        # Nova's fixture forgets it with the test.
        node.LOCAL_NODE_UUID = node_uuid

    def die(self, server):
        """What happens to host1, and what Nova is told of it."""
        self.compute.stop()
        service, = self.admin_api.get_services(
            binary='nova-compute', host='host1')
        self.admin_api.put_service_force_down(service['id'], True)
        self.here.kill(names.container_name(server['id']))
        for path in mounts.of([self.loop.path]):
            subprocess.run(['umount', path], check=True)

    def test_by_its_image(self):
        server = self.boot(networks='none', block_device_mapping_v2=[
            {'boot_index': 0, 'uuid': self.image_id, 'source_type': 'image',
             'destination_type': 'local'},
            {'boot_index': -1, 'uuid': uuids.volume, 'source_type': 'volume',
             'destination_type': 'volume'}])
        self.succeeds(server, 'echo kept | tee /kept /data/kept && sync')
        node_uuid = node.LOCAL_NODE_UUID
        self.die(server)
        self.be(self.of_host2, None)
        host2 = self._start_compute('host2')
        self.assertFalse(host2.manager.driver.instance_on_disk(None))
        self._evacuate_server(server, expected_host='host2')
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.by_hand = self.there
        self.succeeds(server, 'test ! -e /kept && echo more >> /data/kept')
        self.be(self.of_host1, node_uuid)
        self.compute = self.restart_compute_service(
            self.compute, keep_hypervisor_state=False)
        self.assert_nothing_left()
        self._wait_for_migration_status(server, ['completed'])
        self.assertEqual('kept\nmore\n',
                         self.succeeds(server, 'cat /data/kept'))
        self.delete(server)
