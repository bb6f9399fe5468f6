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


"""How fast instances may use their disks."""

import errno

from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.host import blocks
from nova_docker.spec import names
from tests.fixtures import volumes
from tests.unit.lifecycle import base

LIMITED = {'quota:disk_read_bytes_sec': '1000',
           'quota:disk_total_iops_sec': '8'}
LIMITS = [1000, 0, 4, 4]


class FlavorTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.disk_of = self.compute._patch(
            blocks, 'disk_of', return_value=(8, 0))
        self.loop_of = self.compute._patch(
            blocks, 'loop_of', return_value=(7, 9))
        self.instance.flavor.extra_specs = dict(LIMITED)

    @property
    def limits(self):
        return self.compute.volumes.limits

    def test_before_the_first_instruction(self):
        self.spawn()
        self.assertEqual({(8, 0): LIMITS}, self.limits)
        order = self.steps({'volume_limit', 'configure'})
        self.assertEqual(['volume_limit', 'configure'], order)

    def test_at_each_start(self):
        self.spawned((self.power_off,))
        self.disk_of.return_value = 8, 16
        self.power_on()
        self.assertEqual(LIMITS, self.limits[8, 16])

    def test_at_a_start_by_somebody_else(self):
        self.spawned((self.power_off,))
        self.limits.clear()
        self.assertIsNone(self.foreign_start().exception(60))
        self.assertEqual({(8, 0): LIMITS}, self.limits)

    def test_disks_that_are_files(self):
        self.flags(group='docker', root_disk='filesystem')
        self.driver.init_host('host1')
        self.spawn()
        self.assertEqual({(8, 0): LIMITS, (7, 9): LIMITS}, self.limits)

    def test_without_limits(self):
        self.instance.flavor.extra_specs = {}
        self.spawn()
        self.assertEqual({}, self.limits)
        self.disk_of.assert_not_called()

    def test_a_host_that_can_not(self):
        self.compute.volumes.fail_next('limit', OSError(
            errno.ENOENT, 'no io.max'))
        self.assertRaises(exception.VirtualInterfacePlugException, self.spawn)
        self.assert_nothing_left()

    def test_a_disk_that_can_not(self):
        self.disk_of.side_effect = OSError(errno.ENOTBLK, 'no device')
        error = self.assertRaises(
            exception.ComputeResourcesUnavailable, self.spawn)
        self.assertIn('no device', error.format_message())
        self.assert_nothing_left()

    def test_bad_values(self):
        self.instance.flavor.extra_specs['quota:disk_read_bytes_sec'] = '-1'
        error = self.assertRaises(
            exception.BuildAbortException, self.spawn)
        self.assertIn('quota:disk_read_bytes_sec', error.format_message())

    def test_an_image_has_no_say(self):
        self.spawn()
        label = self.engine.inspect_container(self.container['Id'])['Config'][
            'Labels'][names.LABEL_DISK_LIMITS]
        self.assertEqual('1000,0,4,4', label)


class VolumeTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.connection = volumes.connection(
            uuids.volume, '/dev/loop1', qos_specs={'read_bytes_sec': '1000'})

    @property
    def limits(self):
        return self.compute.volumes.limits

    def attach(self):
        self.driver.attach_volume(
            self.context, self.connection, self.instance, '/dev/vdb')

    def test_while_it_runs(self):
        self.instance.save = lambda: None
        self.spawn()
        self.attach()
        self.assertEqual({(7, 1): [1000, 0, 0, 0]}, self.limits)
        self.driver.detach_volume(
            self.context, self.connection, self.instance, '/dev/vdb')
        self.assertEqual({(7, 1): [0, 0, 0, 0]}, self.limits)

    def test_at_its_next_start(self):
        self.instance.save = lambda: None
        self.spawned((self.power_off,))
        self.attach()
        self.assertEqual({}, self.limits)
        self.power_on()
        self.assertEqual({(7, 1): [1000, 0, 0, 0]}, self.limits)

    def test_what_can_not_be_done(self):
        self.connection['data']['qos_specs'] = {'read_bytes_sec_max': '9'}
        self.spawn()
        error = self.assertRaises(exception.InvalidVolume, self.attach)
        self.assertIn('read_bytes_sec_max', error.format_message())
        self.assertEqual(set(), self.compute.volumes.connected)
