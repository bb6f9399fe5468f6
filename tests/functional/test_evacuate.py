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

"""Evacuation to another host, by Nova's API.

See tests/integration/cloud/moves for all of it.
"""

import subprocess

import fixtures
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.privsep import mounts
from nova_docker.spec import names
from nova_docker.volume import filesystem
from tests.functional import hosts


class EvacuateTest(hosts.HostsTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            filesystem, 'metadata', autospec=True,
            return_value={'docker_mount_path': '/data'}))

    def die(self, server):
        """What happens to host1, and what Nova is told of it."""
        self.compute.stop()
        service, = self.admin_api.get_services(
            binary='nova-compute', host='host1')
        self.admin_api.put_service_force_down(service['id'], True)
        self.by_hand.kill(names.container_name(server['id']))
        for path in mounts.of([self.loop.path]):
            subprocess.run(['umount', path], check=True)

    def test_by_its_image(self):
        server = self.boot(networks='none', block_device_mapping_v2=[
            {'boot_index': 0, 'uuid': self.image_id, 'source_type': 'image',
             'destination_type': 'local'},
            {'boot_index': -1, 'uuid': uuids.volume, 'source_type': 'volume',
             'destination_type': 'volume'}])
        self.succeeds(server, 'echo kept | tee /kept /data/kept && sync')
        self.die(server)
        host2 = self.start_host2()
        self.assertFalse(host2.manager.driver.instance_on_disk(None))
        self._evacuate_server(server, expected_host='host2')
        self.act(server, {'os-start': {}}, 'ACTIVE')
        self.by_hand = self.there
        self.succeeds(server, 'test ! -e /kept && echo more >> /data/kept')
        self.restart_host1()
        self.assert_nothing_left()
        self._wait_for_migration_status(server, ['completed'])
        self.assertEqual('kept\nmore\n',
                         self.succeeds(server, 'cat /data/kept'))
        self.delete(server)
