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

"""Volumes that are attached, detached and extended, and what was cut off."""

import dataclasses
import errno
import json
import os
from unittest import mock

from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import connections
from nova_docker.lifecycle import records
from nova_docker.lifecycle import volumes as verbs
from nova_docker.network import plans
from nova_docker.spec import names
from nova_docker.spec import volumes as spec
from tests.fixtures import volumes
from tests.unit.lifecycle import base


class VolumesTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.volumes = self.compute.volumes
        self.save = self.useFixture(base.fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True)).mock

    def attach(self, volume=uuids.volume, path='/dev/loop1',
               device='/dev/vdb', instance=None, encryption=None, top=None,
               **data):
        connection = volumes.connection(volume, path, **data) | (top or {})
        self.driver.attach_volume(
            self.context, connection, instance or self.instance, device,
            encryption=encryption)

    def detach(self, volume=uuids.volume, path='/dev/loop1',
               device='/dev/vdb', instance=None):
        self.driver.detach_volume(
            self.context, volumes.connection(volume, path),
            instance or self.instance, device)

    def known(self):
        """The state of each volume that is kept."""
        return {volume.id: volume.state for volume in records.read(
            self.compute.state_dir, uuids.instance)}

    def nodes(self):
        """By path, the device nodes of the next start."""
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                uuids.instance))) as file:
            device, *_hooks = json.load(file)['devices']
        return {node['path']: node for node in
                device['containerEdits'].get('deviceNodes', ())}

    def volume_steps(self):
        return [name.removeprefix('volume_')
                for name, _args in self.compute.steps
                if name.startswith('volume_')]

    def gone(self):
        """The error where a container ends before it has its device."""
        path = plans.netns_path(self.compute.state_dir, uuids.instance)
        self.useFixture(base.fixtures.MockPatchObject(
            verbs.netns, 'owner', autospec=True,
            side_effect=[verbs.netns.owner(path), None]))
        return OSError(errno.ENODEV, 'no such control group')

    def assert_attached(self, device='/dev/vdb', path='/dev/loop1'):
        self.assertEqual({uuids.volume: spec.ATTACHED}, self.known())
        self.assertEqual(path, self.nodes()[device]['hostPath'])
        self.assertEqual({path}, self.volumes.connected)

    def assert_nothing_attached(self):
        self.assertEqual({}, self.known())
        self.assertEqual({}, self.nodes())
        self.assertEqual({}, self.volumes.given)
        self.assertEqual(set(), self.volumes.connected)


class AttachTest(VolumesTestCase):

    def test_to_a_running_instance(self):
        self.spawned()
        self.attach()
        self.assertEqual(['connect', 'find', 'claim', 'give'],
                         self.volume_steps())
        self.assertEqual({'vdb': (7, 1, 'rwm')}, self.volumes.given)
        self.assert_attached()
        self.assertEqual(
            {'path': '/dev/vdb', 'hostPath': '/dev/loop1', 'type': 'b',
             'uid': 0, 'gid': 6, 'fileMode': 0o660, 'permissions': 'rwm'},
            self.nodes()['/dev/vdb'])

    def test_to_a_paused_instance(self):
        self.spawned((self.driver.pause, self.instance))
        self.attach()
        self.assertEqual({'vdb'}, set(self.volumes.given))
        self.assertEqual('paused', self.state)

    def test_to_a_stopped_instance(self):
        self.spawned((self.power_off,))
        self.attach()
        self.assertEqual({}, self.volumes.given)
        self.assert_attached()

    def test_no_container(self):
        self.assertRaises(exception.InstanceNotFound, self.attach)
        self.assertEqual([], self.volume_steps())

    def test_read_only(self):
        self.spawned()
        self.attach(access_mode='ro')
        self.assertEqual({'vdb': (7, 1, 'r')}, self.volumes.given)
        self.assertEqual('r', self.nodes()['/dev/vdb']['permissions'])
        self.assertEqual({'/dev/loop1'}, self.volumes.read_only)
        self.driver.detach_volume(
            self.context, volumes.connection(
                uuids.volume, '/dev/loop1', access_mode='ro'),
            self.instance, '/dev/vdb')
        self.assertEqual(set(), self.volumes.read_only)

    def test_what_may_be_half_connected_is_disconnected(self):
        self.spawned()
        self.volumes.fail_next('connect', OSError('no'))
        self.assertRaises(exception.VolumeAttachFailed, self.attach)
        self.assertEqual(['connect', 'disconnect'], self.volume_steps())

    def test_each_step_fails(self):
        self.spawned()
        for step in ('connect', 'find', 'claim', 'give'):
            self.volumes.fail_next(step, OSError(errno.EIO, f'no {step}'))
            error = self.assertRaises(exception.VolumeAttachFailed,
                                      self.attach)
            self.assertIn(f'no {step}', error.format_message())
            self.assert_nothing_attached()
        with mock.patch.object(verbs.devices, 'build', autospec=True,
                               side_effect=exception.NotFound('no rows')):
            self.assertRaises(exception.NotFound, self.attach)
        self.assert_nothing_attached()
        self.attach()

    def test_the_host_uses_it(self):
        self.spawned()
        self.volumes.busy.add('/dev/loop1')
        error = self.assertRaises(exception.VolumeAttachFailed, self.attach)
        self.assertIn('busy', error.format_message())
        self.assert_nothing_attached()

    def test_another_server_has_its_device(self):
        self.spawned()
        self.attach()
        other = base.make_instance(uuid=uuids.other)
        self.driver.spawn(
            self.context, other, self.image_meta, (), None, {},
            other.get_network_info(), {}, True)
        # Of the same volume, and of another that has turned up as it.
        self.compute.steps.clear()
        for volume in (uuids.volume, uuids.second):
            error = self.assertRaises(
                exception.InvalidVolume, self.attach, volume, instance=other)
            self.assertIn('another server', error.format_message())
            self.assertEqual([], records.read(self.compute.state_dir,
                                              uuids.other))
            self.assertNotIn('disconnect', self.volume_steps())
            self.assertIn('/dev/loop1', self.volumes.connected)

    def test_its_device_has_the_number_of_one_that_is_gone(self):
        """The server would have it under both names."""
        self.spawned()
        self.attach()
        error = self.assertRaises(
            exception.InvalidVolume, self.attach, uuids.second,
            device='/dev/vdc')
        self.assertIn('which is gone', error.format_message())
        self.assert_attached()
        self.detach()
        self.attach(uuids.second)

    def test_shared(self):
        self.spawned()
        self.attach(top={'multiattach': True})
        other = base.make_instance(uuid=uuids.other)
        self.driver.spawn(
            self.context, other, self.image_meta, (), None, {},
            other.get_network_info(), {}, True)
        self.attach(instance=other, top={'multiattach': True})
        self.assertEqual(1, self.volume_steps().count('connect'))
        self.detach()
        self.assertEqual({'/dev/loop1'}, self.volumes.connected)
        self.detach(instance=other)
        self.assertEqual(set(), self.volumes.connected)

    def test_names(self):
        self.spawned()
        for device in ('/dev/null', '/dev/../etc/shadow', '/dev/vd/b', 'vdb',
                       '/dev/', None, '/dev/vdb\n'):
            self.assertRaises(exception.VolumeAttachFailed, self.attach,
                              device=device)
        self.attach()
        self.assertRaises(exception.DevicePathInUse, self.attach,
                          uuids.second, '/dev/loop2')
        self.volumes.fail_next('give', FileExistsError())
        self.assertRaises(exception.DevicePathInUse, self.attach,
                          uuids.second, '/dev/loop2', '/dev/vdc')
        self.assert_attached()

    def test_kinds(self):
        self.spawned()
        for kind in ('nfs', 'fake', 'vmdk'):
            self.assertRaises(exception.VolumeDriverNotFound, self.attach,
                              top={'driver_volume_type': kind})
        self.assert_nothing_attached()

    def test_tags(self):
        self.spawned()
        self.compute.bdms.return_value = objects.BlockDeviceMappingList(
            objects=[objects.BlockDeviceMapping(
                source_type='volume', destination_type='volume',
                volume_id=uuids.volume, device_name='/dev/vdb', tag='data')])
        self.attach()
        device, = self.instance.device_metadata.devices
        self.assertEqual((uuids.volume, '/dev/vdb', ['data']), (
            device.serial, device.path, device.tags))
        self.save.assert_called_once_with()

    def test_with_remapped_users(self):
        self.spawned()
        object.__setattr__(self.services.options, 'userns_remap', True)
        error = self.assertRaises(exception.VolumeAttachFailed, self.attach)
        self.assertIn('remaps users', error.format_message())

    def test_it_ends_meanwhile(self):
        self.spawned()
        self.volumes.fail_next('give', self.gone())
        self.attach()
        self.assert_attached()

    def test_encrypted(self):
        self.spawned()
        how = {'control_location': 'front-end', 'provider': 'luks'}
        with mock.patch.object(connections, 'encryption',
                               autospec=True) as encryption:
            self.attach(encryption=how, encrypted=True)
            encryption.attach.assert_called_once_with(
                self.context, mock.ANY)
            encryption.detach.assert_not_called()
            self.detach()
            encryption.detach.assert_called_once()
            self.assert_nothing_attached()
            encryption.attach.side_effect = OSError('no key')
            self.assertRaises(exception.VolumeAttachFailed, self.attach,
                              encryption=how, encrypted=True)
        self.assert_nothing_attached()


class MountedTest(VolumesTestCase):
    """Volumes that are mounted, as their metadata says."""

    def setUp(self):
        super().setUp()
        self.volumes.metadata[uuids.volume] = {'docker_mount_path': '/data'}
        self.place = connections.place(
            self.services, uuids.instance,
            mock.Mock(id=uuids.volume))

    def mounts(self):
        """By path, the mounts of the next start."""
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                uuids.instance))) as file:
            device, *_hooks = json.load(file)['devices']
        return {mount['containerPath']: mount for mount in
                device['containerEdits'].get('mounts', ())}

    def assert_nothing_attached(self):
        super().assert_nothing_attached()
        self.assertEqual({}, self.mounts())
        self.assertEqual({}, self.volumes.mounted)
        self.assertEqual({}, self.volumes.inside)

    def test_running(self):
        self.spawned()
        self.attach()
        self.assertEqual(['connect', 'find', 'unmount', 'claim', 'probe',
                          'make', 'mount', 'attach'], self.volume_steps())
        self.assertEqual({}, self.nodes())
        self.assertEqual({self.place: ('/dev/loop1', 'ext4', False)},
                         self.volumes.mounted)
        self.assertEqual({'/data': self.place}, self.volumes.inside)
        self.assertEqual(
            {'hostPath': self.place, 'containerPath': '/data', 'type': 'bind',
             'options': ['bind', 'rw', 'nosuid', 'nodev']},
            self.mounts()['/data'])
        self.detach()
        self.assert_nothing_attached()
        self.assertEqual(
            ['detach', 'unmount', 'find', 'claim', 'disconnect'],
            self.volume_steps()[-5:])

    def test_stays_where_it_is(self):
        self.spawned()
        self.attach()
        self.volumes.metadata.clear()
        info = {'block_device_mapping': [{
            'mount_device': '/dev/vdb', 'boot_index': None,
            'connection_info': volumes.connection(uuids.volume,
                                                  '/dev/loop1')}]}
        for kind in ('SOFT', 'HARD'):
            self.driver.reboot(self.context, self.instance,
                               self.network_info, kind, info)
            self.assertEqual({'/data'}, set(self.mounts()))
            self.assertEqual({}, self.nodes())
        self.detach()
        self.assert_nothing_attached()

    def test_each_step_fails(self):
        self.spawned()
        for step in ('probe', 'make', 'mount', 'attach'):
            self.volumes.contents.clear()
            self.volumes.fail_next(step, OSError(errno.EIO, f'no {step}'))
            error = self.assertRaises(exception.VolumeAttachFailed,
                                      self.attach)
            self.assertIn(f'no {step}', error.format_message())
            self.assert_nothing_attached()
        self.attach()

    def test_in_use(self):
        self.spawned()
        self.attach()
        self.volumes.users = ['sh']
        error = self.assertRaises(exception.DeviceDetachFailed, self.detach)
        self.assertIn('in use', error.format_message())
        self.assertEqual({'/data'}, set(self.mounts()))
        self.assertEqual({'/data'}, set(self.volumes.inside))
        self.assertEqual({uuids.volume: spec.ATTACHED}, self.known())

    def test_the_host_still_has_it_mounted(self):
        self.spawned()
        self.attach()
        self.volumes.busy.add('/dev/loop1')
        self.assertRaises(exception.DeviceDetachFailed, self.detach)
        self.assertEqual({uuids.volume: spec.DETACHING}, self.known())
        self.assertEqual({'/dev/loop1'}, self.volumes.connected)
        self.volumes.busy.clear()
        self.detach()
        self.assert_nothing_attached()

    def test_its_device_is_somebody_else_s_since_the_host_was_booted(self):
        self.spawned()
        self.attach()
        self.power_off()
        self.volumes.inside.clear()
        self.volumes.mounted.clear()
        volume, = records.read(self.compute.state_dir, uuids.instance)
        records.put(self.compute.state_dir, uuids.instance,
                    dataclasses.replace(volume, boot='before'))
        self.volumes.busy.add('/dev/loop1')
        self.detach()
        self.assert_nothing_attached()

    def test_not_for_several_that_write(self):
        self.spawned()
        error = self.assertRaises(exception.InvalidVolume, self.attach,
                                  top={'multiattach': True})
        self.assertIn('reading only', error.format_message())
        self.assert_nothing_attached()
        self.volumes.contents['/dev/loop1'] = {'TYPE': 'xfs'}
        self.attach(top={'multiattach': True}, access_mode='ro')
        self.assertEqual({self.place: ('/dev/loop1', 'xfs', True)},
                         self.volumes.mounted)
        self.assertIn('ro', self.mounts()['/data']['options'])

    def test_paths(self):
        self.spawned()
        for path in ('data', '/', '/proc/x', '/etc', '/a/../b'):
            self.volumes.metadata[uuids.volume] = {'docker_mount_path': path}
            self.assertRaises(exception.InvalidVolume, self.attach)
        self.volumes.metadata[uuids.volume] = {'docker_mount_path': '/data'}
        self.attach()
        self.volumes.metadata[uuids.second] = {'docker_mount_path': '/data'}
        self.assertRaises(exception.DevicePathInUse, self.attach,
                          uuids.second, '/dev/loop2', '/dev/vdc')

    def test_this_host_mounts_none(self):
        self.spawned()
        object.__setattr__(self.services.options, 'volume_filesystems',
                           frozenset())
        self.volumes.contents['/dev/loop1'] = {'TYPE': 'ext4'}
        error = self.assertRaises(exception.InvalidVolume, self.attach)
        self.assertIn('this host mounts no ext4', error.format_message())
        self.assert_nothing_attached()

    def test_grows(self):
        self.spawned()
        self.attach()
        self.volumes.sizes['/dev/loop1'] = 2 << 30
        self.driver.extend_volume(
            self.context, volumes.connection(uuids.volume, '/dev/loop1'),
            self.instance, 2 << 30)
        self.assertEqual('grow', self.volume_steps()[-1])

    def test_destroy(self):
        self.spawned()
        self.attach()
        self.driver.destroy(self.context, self.instance, self.network_info)
        self.assertEqual({}, self.volumes.mounted)
        self.assertEqual(set(), self.volumes.connected)


class DetachTest(VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.attach()
        self.compute.steps.clear()

    def test_from_a_running_instance(self):
        self.detach()
        self.assertEqual(['take', 'disconnect'], self.volume_steps())
        self.assert_nothing_attached()

    def test_from_a_stopped_instance(self):
        self.power_off()
        self.volumes.given.clear()
        self.detach()
        self.assertEqual(['disconnect'], self.volume_steps())
        self.assert_nothing_attached()

    def test_again(self):
        for _again in range(2):
            self.detach()
            self.assert_nothing_attached()

    def test_in_use(self):
        self.volumes.users = ['dd (12)', 'sh (1)']
        error = self.assertRaises(exception.DeviceDetachFailed, self.detach)
        self.assertIn('in use by dd (12), sh (1)', error.format_message())
        self.assert_attached()
        self.assertEqual({'vdb'}, set(self.volumes.given))

    def test_cannot_be_taken(self):
        self.volumes.fail_next('take', OSError('no'))
        self.assertRaises(exception.DeviceDetachFailed, self.detach)
        self.assert_attached()

    def test_of_what_is_gone(self):
        """The device, and the container."""
        del self.volumes.devices['/dev/loop1']
        self.detach()
        self.assert_nothing_attached()
        self.volumes.devices['/dev/loop1'] = 7, 1
        self.attach()
        self.engine.remove_container(self.container['Id'])
        self.volumes.given.clear()
        self.detach()
        self.assertEqual(set(), self.volumes.connected)

    def test_cannot_be_disconnected(self):
        self.volumes.fail_next('disconnect', OSError('no storage'))
        error = self.assertRaises(exception.DeviceDetachFailed, self.detach)
        self.assertIn('no storage', error.format_message())
        self.assertEqual({uuids.volume: spec.DETACHING}, self.known())
        self.assertEqual({}, self.nodes())
        self.detach()
        self.assert_nothing_attached()

    def test_it_ends_meanwhile(self):
        self.volumes.fail_next('take', self.gone())
        self.detach()
        self.assertEqual({}, self.known())

    def test_its_process_was_there_a_moment_ago(self):
        """As where a rebuild has just stopped it; the engine is slow."""
        self.useFixture(base.fixtures.MockPatchObject(
            verbs.netns, 'owner', autospec=True, return_value=None))
        self.detach()
        self.assertEqual({}, self.known())


class HealTest(VolumesTestCase):
    """nova-compute died in the middle of something."""

    def setUp(self):
        super().setUp()
        self.spawned()

    def cut_off(self, step, verb, *args):
        """Let a verb end in the middle, with nothing undone."""
        class Killed(BaseException):
            pass

        self.volumes.fail_next(step, Killed())
        quietly = mock.Mock()
        with (mock.patch.object(verbs, 'take_out_quietly', quietly),
              mock.patch.object(connections, '_disconnect_quietly', quietly),
              mock.patch.object(verbs.contextlib.ExitStack, 'callback',
                                autospec=True)):
            self.assertRaises(Killed, verb, *args)

    def test_attach(self):
        for step in ('connect', 'find', 'claim', 'give'):
            self.cut_off(step, self.attach)
            self.assertEqual({uuids.volume: spec.ATTACHING}, self.known())
            verbs.heal(self.services)
            self.assert_nothing_attached()

    def test_detach(self):
        for step in ('take', 'disconnect'):
            self.attach()
            self.cut_off(step, self.detach)
            self.assertEqual({uuids.volume: spec.DETACHING}, self.known())
            verbs.heal(self.services)
            self.assert_nothing_attached()

    def test_as_nova_compute_starts(self):
        self.cut_off('give', self.attach)
        self.compute.driver()
        self.assert_nothing_attached()

    def test_others_are_left_alone(self):
        self.attach()
        self.compute.steps.clear()
        verbs.heal(self.services)
        self.assertEqual([], self.volume_steps())
        self.assert_attached()

    def test_what_was_busy_as_nova_compute_started(self):
        self.cut_off('give', self.attach)
        self.volumes.fail_next('disconnect', OSError('busy'))
        verbs.heal(self.services)
        self.assertEqual({uuids.volume: spec.DETACHING}, self.known())
        other = base.make_instance(uuid=uuids.other)
        self.driver.spawn(
            self.context, other, self.image_meta, (), None, {},
            other.get_network_info(), {}, True)
        self.attach(uuids.second, '/dev/loop2', '/dev/vdc')
        self.assertIn(uuids.volume, self.known())
        self.attach(instance=other)
        self.assertEqual({uuids.second: spec.ATTACHED}, self.known())

    def test_never_raises(self):
        self.cut_off('give', self.attach)
        self.volumes.fail_next('disconnect', OSError('no'))
        verbs.heal(self.services)
        self.assertEqual({uuids.volume: spec.DETACHING}, self.known())

    def test_container_that_is_gone(self):
        self.attach()
        self.engine.remove_container(self.container['Id'])
        self.compute.driver()
        self.assertEqual(set(), self.volumes.connected)


class ExtendTest(VolumesTestCase):

    def extend(self, size):
        self.driver.extend_volume(
            self.context, volumes.connection(uuids.volume, '/dev/loop1'),
            self.instance, size)

    def test_extend(self):
        self.spawned()
        self.attach()
        self.volumes.sizes['/dev/loop1'] = 2 << 30
        self.extend(2 << 30)
        error = self.assertRaises(
            exception.VolumeExtendFailed, self.extend, 3 << 30)
        self.assertIn(str(2 << 30), error.format_message())
        self.volumes.sizes.clear()
        self.assertRaises(exception.VolumeExtendFailed, self.extend, 1)

    def test_not_attached(self):
        self.assertRaises(exception.DiskNotFound, self.extend, 1)

    def test_encrypted(self):
        self.spawned()
        with (mock.patch.object(connections, 'encryption', autospec=True),
              mock.patch.object(verbs, 'encryption',
                                autospec=True) as encryption):
            self.attach(encryption={'provider': 'luks'}, encrypted=True)
            self.volumes.sizes['/dev/loop1'] = 2
            self.extend(2)
        encryption.extend.assert_called_once()


class UsageTest(VolumesTestCase):

    def test_usage(self):
        self.spawned()
        self.attach()
        bdm = objects.BlockDeviceMapping(volume_id=uuids.volume,
                                         device_name='/dev/vdb')
        with mock.patch.object(verbs.stats, 'block_device', autospec=True,
                               return_value=[1, 512, 2, 1024, 0]) as found:
            self.assertEqual([1, 512, 2, 1024, 0],
                             self.driver.block_stats(self.instance, 'vdb'))
            found.assert_called_once_with(7, 1)
            self.assertIsNone(self.driver.block_stats(self.instance, 'vdc'))
            self.assertEqual(
                [{'volume': uuids.volume, 'instance': self.instance,
                  'rd_req': 1, 'rd_bytes': 512, 'wr_req': 2,
                  'wr_bytes': 1024}],
                self.driver.get_all_volume_usage(self.context, [
                    {'instance': self.instance, 'instance_bdms': [bdm]}]))


class ConnectorTest(VolumesTestCase):

    def test_connector(self):
        self.flags(my_block_storage_ip='192.0.2.9')
        self.assertEqual(
            {'ip': '192.0.2.9', 'host': 'host1', 'initiator': 'iqn'},
            self.driver.get_volume_connector(self.instance))
