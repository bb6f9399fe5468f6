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


"""File systems that are frozen; tests/unit/lifecycle/test_quiesce.py, too."""

from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import frozen
from tests.unit.lifecycle import test_volumes


class FrozenTest(test_volumes.VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()

    def attach_mounted(self, volume, path, device, where, **data):
        self.volumes.metadata[volume] = {'docker_mount_path': where}
        self.volumes.contents[path] = {'TYPE': 'ext4'}
        self.attach(volume, path, device, **data)

    def test_what_is_written_to(self):
        self.attach_mounted(uuids.first, '/dev/loop1', '/dev/vdb', '/a')
        self.attach_mounted(uuids.second, '/dev/loop2', '/dev/vdc', '/b',
                            access_mode='ro')
        self.attach(uuids.third, '/dev/loop3', '/dev/vdd')
        frozen.begin(self.services, self.instance.uuid)
        frozen.freeze(self.services, self.instance.uuid)
        self.assertEqual(
            {f'{self.compute.state_dir}/volumes/{self.instance.uuid}/'
             f'{uuids.first}'}, self.volumes.frozen)
        self.assertEqual([self.instance.uuid],
                         frozen.instances(self.services))
        frozen.thaw(self.services, self.instance.uuid)
        self.assertEqual(set(), self.volumes.frozen)
        frozen.end(self.services, self.instance.uuid)
        frozen.end(self.services, self.instance.uuid)
        self.assertEqual([], frozen.instances(self.services))

    def test_thaw_only_what_was_frozen(self):
        frozen.thaw(self.services, self.instance.uuid)
        self.assertNotIn('thaw', self.volume_steps())

    def test_thaw_that_fails(self):
        frozen.begin(self.services, self.instance.uuid)
        self.volumes.fail_next('thaw', OSError('no device'))
        frozen.thaw(self.services, self.instance.uuid)
