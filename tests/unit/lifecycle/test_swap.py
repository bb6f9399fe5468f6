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


"""Volumes that others take the place of."""

import errno

from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import connections
from nova_docker.lifecycle import records
from nova_docker.spec import volumes as spec
from tests.fixtures import volumes
from tests.unit.lifecycle import test_volumes


class SwapTestCase(test_volumes.VolumesTestCase):

    def swap(self, old=uuids.volume, new=uuids.new, path='/dev/loop2',
             top=None, **data):
        self.driver.swap_volume(
            self.context, volumes.connection(old, '/dev/loop1'),
            volumes.connection(new, path, **data) | (top or {}),
            self.instance, '/dev/vdb', 0)

    def refused(self, words, **kwargs):
        error = self.assertRaises(exception.VolumeRebaseFailed, self.swap,
                                  **kwargs)
        self.assertIn(words, error.format_message())


class DeviceTest(SwapTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.attach()
        self.compute.steps.clear()

    def assert_as_before(self):
        self.assert_attached()
        self.assertEqual({'vdb': (7, 1, 'rwm')}, self.volumes.given)

    def assert_swapped(self):
        self.assertEqual({uuids.new: spec.ATTACHED}, self.known())
        self.assertEqual('/dev/loop2', self.nodes()['/dev/vdb']['hostPath'])
        self.assertEqual({'/dev/loop2'}, self.volumes.connected)

    def test_of_a_running_instance(self):
        self.swap()
        self.assertEqual(
            ['take', 'connect', 'find', 'claim', 'copy'],
            self.volume_steps()[:5])
        self.assertEqual({'vdb': (7, 2, 'rwm')}, self.volumes.given)
        self.assert_swapped()

    def test_of_a_paused_and_of_an_ended_one(self):
        self.driver.pause(self.instance)
        self.swap()
        self.assertEqual({'vdb': (7, 2, 'rwm')}, self.volumes.given)
        self.assert_swapped()
        self.driver.swap_volume(
            self.context, volumes.connection(uuids.new, '/dev/loop2'),
            volumes.connection(uuids.volume, '/dev/loop1'), self.instance,
            '/dev/vdb', 0)
        self.assert_as_before()
        self.power_off()
        self.volumes.given.clear()
        self.swap()
        self.assertEqual({}, self.volumes.given)
        self.assert_swapped()

    def test_all_of_it_in_pieces(self):
        self.volumes.sizes = {'/dev/loop1': 600 << 20, '/dev/loop2': 1 << 30}
        self.swap()
        self.assertEqual(
            [('/dev/loop1', '/dev/loop2', end << 20)
             for end in (256, 512, 600)], self.volumes.copies)

    def test_in_use(self):
        self.volumes.users = ['sleep (7)']
        self.refused('sleep (7)')
        self.volumes.users = []
        self.assert_as_before()
        self.assertNotIn('connect', self.volume_steps())

    def test_less_space(self):
        self.volumes.sizes = {'/dev/loop1': 2 << 20, '/dev/loop2': 1 << 20}
        error = self.assertRaises(exception.InvalidVolume, self.swap)
        self.assertIn('less space', error.format_message())
        self.assertEqual([], self.volumes.copies)
        self.assert_as_before()

    def test_each_step_fails(self):
        for step in ('take', 'connect', 'find', 'claim', 'copy', 'give'):
            self.volumes.fail_next(step, OSError(errno.EIO, f'no {step}'))
            self.refused(f'no {step}')
            self.assert_as_before()
        self.swap()
        self.assert_swapped()

    def test_the_old_one_can_not_be_disconnected(self):
        self.volumes.fail_next('disconnect', OSError('no storage'))
        self.swap()
        self.assertEqual({uuids.new: spec.ATTACHED,
                          uuids.volume: spec.DETACHING}, self.known())
        self.assertEqual('/dev/loop2', self.nodes()['/dev/vdb']['hostPath'])
        self.compute.driver()
        self.assert_swapped()
        self.assertEqual({'vdb': (7, 2, 'rwm')}, self.volumes.given)

    def test_nova_compute_is_killed(self):
        for step in ('take', 'connect', 'find', 'claim', 'copy'):
            self.volumes.fail_next(step, KeyboardInterrupt())
            with self.killed():
                self.assertRaises(KeyboardInterrupt, self.swap)
            self.assertEqual(spec.SWAPPING, self.known()[uuids.volume])
            self.driver = self.compute.driver()
            self.assert_as_before()

    def killed(self):
        """Nothing is undone in the body."""
        return test_volumes.mock.patch.multiple(
            test_volumes.verbs, take_out_quietly=lambda *_: None,
            restore_quietly=lambda *_: None)

    def test_refused(self):
        self.refused('reading only', access_mode='ro')
        self.attach(uuids.new, '/dev/loop2', '/dev/vdc')
        self.refused('has the new volume already')
        self.assertRaises(exception.DiskNotFound, self.swap, uuids.unknown)

    def test_boots_from_it(self):
        old = records.find(self.compute.state_dir, uuids.instance,
                           uuids.volume)
        records.put(self.compute.state_dir, uuids.instance,
                    spec.dataclasses.replace(old, root=True))
        self.refused('boots from it')
        self.assertEqual([], self.volume_steps())

    def test_migrated_by_cinder(self):
        """Which gives the new volume the id of the old one."""
        self.swap()
        self.driver.swap_volume(
            self.context, volumes.connection(uuids.volume, '/dev/loop2'),
            volumes.connection(uuids.third, '/dev/loop3'), self.instance,
            '/dev/vdb', 0)
        self.volumes.sizes['/dev/loop3'] = 2 << 30
        self.driver.extend_volume(
            self.context, volumes.connection(uuids.volume, '/dev/loop3'),
            self.instance, 1 << 30)
        self.detach(path='/dev/loop3')
        self.assert_nothing_attached()

    def test_migrated_by_cinder_and_started(self):
        self.swap()
        connections.connect_all(
            self.services, self.context, self.instance,
            {'block_device_mapping': [
                {'connection_info': volumes.connection(
                    uuids.volume, '/dev/loop2'), 'boot_index': None,
                 'mount_device': '/dev/vdb'}]})
        self.assertEqual({uuids.volume: spec.ATTACHED}, self.known())
        self.assertEqual({'/dev/loop2'}, self.volumes.connected)


class MountedTest(SwapTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.volumes.metadata[uuids.volume] = {'docker_mount_path': '/data'}
        self.volumes.contents['/dev/loop1'] = {'TYPE': 'xfs'}
        self.attach()
        self.compute.steps.clear()

    def place(self, volume):
        return (f'{self.compute.state_dir}/volumes/{uuids.instance}/'
                f'{volume}')

    def assert_has(self, volume, path):
        self.assertEqual({self.place(volume): (path, 'xfs', False)},
                         self.volumes.mounted)
        self.assertEqual({'/data': self.place(volume)}, self.volumes.inside)
        self.assertEqual({volume: spec.ATTACHED}, self.known())

    def test_swap(self):
        self.swap()
        self.assert_has(uuids.new, '/dev/loop2')
        self.assertNotIn('grow', self.volume_steps())

    def test_grows(self):
        self.volumes.sizes = {'/dev/loop1': 1 << 20, '/dev/loop2': 2 << 20}
        self.swap()
        self.assertIn('grow', self.volume_steps())
        self.assert_has(uuids.new, '/dev/loop2')

    def test_in_use(self):
        self.volumes.users = ['any']
        self.refused('in use')
        self.assert_has(uuids.volume, '/dev/loop1')

    def test_each_step_fails(self):
        self.volumes.sizes = {'/dev/loop1': 1 << 20, '/dev/loop2': 2 << 20}
        for step in ('detach', 'unmount', 'connect', 'copy', 'mount', 'grow',
                     'attach'):
            self.volumes.fail_next(step, OSError(errno.EIO, f'no {step}'))
            self.refused(f'no {step}')
            self.assert_has(uuids.volume, '/dev/loop1')

    def test_shared(self):
        self.refused('reading only', top={'multiattach': True})
        self.assert_has(uuids.volume, '/dev/loop1')
