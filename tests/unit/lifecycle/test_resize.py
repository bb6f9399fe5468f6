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

"""resize: what is left when, what comes back, and what is refused."""

import errno
from unittest import mock

import fixtures
from nova.compute import task_states
from nova.compute import vm_states
from nova import exception
from nova import objects
from oslo_concurrency import processutils
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.host import numa
from nova_docker.lifecycle import create
from nova_docker.lifecycle import records
from nova_docker.lifecycle import unconfirmed
from nova_docker.spec import names
from tests.fixtures import volumes
from tests.unit.lifecycle import base
from tests.unit.lifecycle import test_boot
from tests.unit.lifecycle import test_volumes_killed

HERE = '192.0.2.1'
OWN = names.container_name(uuids.instance)
LEFT = names.unconfirmed_name(uuids.instance)


def upper(container_id):
    """Where the fake engine has a container's files."""
    return f'/layers/{container_id}/diff'


class ResizeTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.flags(my_ip=HERE)
        self.useFixture(base.fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True))
        self.small = self.instance.flavor
        self.large = self.flavor(vcpus=2, memory_mb=128, root_gb=2)
        self.info = {}

    def flavor(self, **changes):
        return objects.Flavor(**(dict(
            flavorid=str(changes), vcpus=1, memory_mb=64, swap=0, root_gb=1,
            ephemeral_gb=0, extra_specs={}) | changes))

    def leave(self, flavor=None, dest=HERE):
        return self.driver.migrate_disk_and_power_off(
            self.context, self.instance, dest, flavor or self.large,
            self.network_info, self.info, 5)

    def finish(self, power_on=True):
        self.instance.flavor = self.large
        self.driver.finish_migration(
            self.context, None, self.instance, '', self.network_info,
            self.image_meta, True, {}, self.info, power_on)

    @property
    def migration(self):
        return objects.Migration(
            source_compute='host1', dest_compute='host1',
            cross_cell_move=False)

    def confirm(self):
        self.driver.confirm_migration(
            self.context, self.migration, self.instance, self.network_info)

    def revert(self, power_on=True):
        self.instance.task_state = task_states.RESIZE_REVERTING
        self.destroy()
        self.instance.flavor = self.small
        self.driver.finish_revert_migration(
            self.context, self.instance, self.network_info, self.migration,
            self.info, power_on)

    def containers(self):
        """By name, the id of each container of the instance."""
        return {each['Names'][0].lstrip('/'): each['Id']
                for each in self.engine.list_containers(
                    names.instance_filter(uuids.instance, 'host1'))}

    def limits(self):
        config = self.engine.inspect_container(
            self.containers()[OWN])['HostConfig']
        return config['Memory'] >> 20

    def assert_refused(self, words, *args, **kwargs):
        error = self.assertRaises(exception.InstanceFaultRollback,
                                  self.leave, *args, **kwargs)
        self.assertIn(words, error.inner_exception.format_message())
        self.assert_as_it_was()

    def assert_as_it_was(self, state='running'):
        self.assertEqual({OWN: self.old}, self.containers())
        self.assertEqual(state, self.state)
        move = unconfirmed.read(self.compute.state_dir, uuids.instance)
        self.assertFalse(move and move.container)


class ResizeTest(ResizeTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.old = self.container['Id']

    def test_confirmed(self):
        self.leave()
        self.assertEqual({LEFT: self.old}, self.containers())
        self.finish()
        new = self.containers()[OWN]
        self.assertNotEqual(self.old, new)
        self.assertEqual({upper(new): upper(self.old)},
                         self.compute.layers.copied)
        self.assertEqual(('running', 128), (self.state, self.limits()))
        self.confirm()
        self.assertEqual({OWN: new}, self.containers())
        self.confirm()
        self.destroy()
        self.assert_nothing_left()

    def test_unshelved(self):
        """Nova names its first image again, and deletes that which it is of.
        """
        image = self.container['Image']
        self.instance.image_ref = uuids.other
        self.leave()
        self.finish()
        self.assertEqual(image, self.container['Image'])
        self.assertEqual([], self.steps({'load_image'}))
        self.revert()
        self.assert_as_it_was()

    def test_left_one_is_started_by_hand(self):
        self.leave()
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          LEFT, 10)
        self.finish()
        self.power_off()
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          LEFT, 10)
        self.engine.start_container(OWN, 10)
        self.power_off()
        self.revert()
        self.assert_as_it_was()

    def test_reverted(self):
        self.leave()
        self.finish()
        self.revert()
        self.assert_as_it_was()
        self.assertEqual(64, self.limits())

    def test_gets_nothing_that_a_new_server_gets(self):
        """What of it was removed meanwhile would be there again."""
        self.leave()
        self.compute.steps.clear()
        self.finish()
        self.assertEqual([], self.steps({'put_archive'}))

    def test_stopped(self):
        self.power_off()
        self.leave()
        self.finish(power_on=False)
        self.assertEqual('created', self.state)
        self.power_on()
        self.assertEqual(('running', 128), (self.state, self.limits()))
        self.power_off()
        self.revert(power_on=False)
        self.assert_as_it_was('exited')
        self.power_on()
        self.assert_as_it_was()

    def test_revert_that_is_cut_off(self):
        """What was about to go may have lost a part."""
        self.leave()
        self.finish()
        new = self.containers()[OWN]
        self.engine.fail_next('remove_container',
                              errors.ServerError('no', 500))
        self.instance.task_state = task_states.RESIZE_REVERTING
        self.assertRaises(exception.InstancePowerOffFailure, self.destroy)
        self.instance.task_state = None
        self.reboot()
        own = self.containers()[OWN]
        self.assertNotEqual(new, own)
        self.assertEqual(upper(self.old),
                         self.compute.layers.copied[upper(own)])

    def test_kept_ports(self):
        """Nobody tells Neutron of anything: they were never away."""
        pairs = dict(self.kernel.pairs)
        self.leave()
        self.finish()
        self.assertEqual(pairs, self.kernel.pairs)
        self.assertEqual([], self.steps({'unplug', 'delete_pair'}))

    def test_deleted_before_it_is_confirmed(self):
        self.leave()
        self.finish()
        self.instance.task_state = task_states.DELETING
        self.destroy()
        self.assertEqual({}, self.containers())
        self.assert_nothing_left()

    def test_files_that_somebody_removed(self):
        """A server without its files is none."""
        self.leave()
        self.engine.remove_container(self.old)
        self.assertRaises(exception.InstanceNotFound, self.finish)
        self.assertRaises(exception.InstanceNotFound, self.revert)
        self.assertEqual({}, self.containers())

    def test_deleted_elsewhere(self):
        self.leave()
        self.assertTrue(self.driver.delete_instance_files(self.instance))
        self.assertEqual({}, self.containers())

    def test_verbs_before_it_is_confirmed(self):
        """None of them touches the container that was left."""
        self.leave()
        self.finish()
        self.instance.vm_state = vm_states.RESIZED
        for verb in (
                self.power_off, self.power_on, self.reboot,
                lambda: self.reboot('SOFT'),
                lambda: self.driver.pause(self.instance),
                lambda: self.driver.unpause(self.instance),
                lambda: self.driver.rescue(
                    self.context, self.instance, self.network_info,
                    self.image_meta, 'secret', {}, []),
                lambda: self.driver.unrescue(self.context, self.instance),
                lambda: self.driver.get_console_output(
                    self.context, self.instance),
                lambda: self.compute.driver().cleanup_host('host1')):
            new = self.containers()[OWN]
            verb()
            self.assertEqual((self.old, new), (
                self.containers()[LEFT], self.containers()[OWN]))
            self.assertNotEqual(self.old, self.driver.get_info(
                self.instance, use_cache=False).internal_id)
        self.assertEqual([uuids.instance], self.driver.list_instance_uuids())
        self.revert()
        self.assert_as_it_was()

    def test_rebuilt_after_its_state_was_reset(self):
        self.leave()
        self.finish()
        self.driver.rebuild(
            self.context, self.instance, self.image_meta, [], None, {}, [],
            detach_block_devices=lambda *_: None,
            attach_block_devices=lambda *_: self.info,
            network_info=self.network_info, block_device_info=self.info)
        self.assertEqual([OWN], list(self.containers()))
        self.assertEqual(128, self.limits())

    def test_again_after_its_state_was_reset(self):
        self.leave()
        self.finish()
        self.old, self.small = self.containers()[OWN], self.large
        self.large = self.flavor(memory_mb=256, root_gb=2)
        self.leave()
        self.assertEqual({LEFT: self.old}, self.containers())

    def test_another_one(self):
        self.leave()
        self.finish()
        self.confirm()
        self.old, self.small = self.containers()[OWN], self.large
        self.large = self.flavor(memory_mb=256, root_gb=2)
        self.leave()
        self.finish()
        self.assertEqual(256, self.limits())
        self.revert()
        self.assert_as_it_was()


class VolumesTestCase(ResizeTestCase):
    """What was once mounted at a path stays there, whatever is said now."""

    def setUp(self):
        super().setUp()
        self.volumes = self.compute.volumes
        self.volumes.metadata[uuids.volume] = {'docker_mount_path': '/data'}
        self.has(volumes.connection(uuids.volume, '/dev/loop1'))
        self.spawned()
        self.old = self.container['Id']
        self.volumes.metadata[uuids.volume] = {}

    def has(self, connection):
        """What Nova knows of its volumes."""
        self.info = {'block_device_mapping': [{
            'mount_device': '/dev/vdb', 'boot_index': None,
            'connection_info': connection}]}

    def change(self):
        """Detach the volume that it has, and attach another one."""
        connection = volumes.connection(uuids.new, '/dev/loop2')
        self.volumes.metadata[uuids.new] = {'docker_mount_path': '/new'}
        self.driver.detach_volume(
            self.context,
            self.info['block_device_mapping'][0]['connection_info'],
            self.instance, '/dev/vdb')
        self.driver.attach_volume(
            self.context, connection, self.instance, '/dev/vdb')
        self.volumes.metadata[uuids.new] = {}
        self.has(connection)

    def paths(self):
        return [volume.mount_path for volume in records.read(
            self.driver._services.options.state_dir, uuids.instance)]

    def assert_changed(self):
        self.assertEqual((['/new'], {'/dev/loop2'}), (
            self.paths(), self.volumes.connected))


class ChangedVolumes:
    """They change before the move is confirmed or reverted."""

    def test_changed_before_it_is_confirmed(self):
        self.leave()
        self.finish()
        self.change()
        self.confirm()
        self.reboot()
        self.assert_changed()

    def test_changed_before_it_is_reverted(self):
        self.leave()
        self.finish()
        self.change()
        self.revert()
        self.assert_changed()


class VolumesTest(ChangedVolumes, VolumesTestCase):

    def test_confirmed(self):
        self.leave()
        self.assertEqual((set(), {}), (
            self.volumes.connected, self.volumes.mounted))
        self.finish()
        self.assertEqual(['/data'], self.paths())
        self.confirm()
        self.reboot()
        self.assertEqual(['/data'], self.paths())

    def test_reverted(self):
        self.leave()
        self.finish()
        self.revert()
        self.assertEqual(['/data'], self.paths())
        self.assertIsNone(unconfirmed.read(
            self.compute.state_dir, uuids.instance))

    def test_one_that_can_not_be_disconnected(self):
        self.volumes.fail_next('disconnect', OSError(errno.EBUSY, 'busy'))
        self.assert_refused('busy')
        self.assertEqual(['/data'], self.paths())

    def test_one_that_can_not_be_connected(self):
        for power_on in (True, False):
            self.leave()
            self.volumes.fail_next('connect', OSError(errno.EIO, 'no'))
            self.assertRaises(exception.VolumeAttachFailed, self.finish)
            self.assert_as_it_was('exited')
            self.instance.flavor = self.small
            self.reboot()
            self.assert_as_it_was()
            self.assertEqual(['/data'], self.paths())


class RootVolumeTest(test_boot.BootTestCase, ResizeTestCase):
    """Nothing of it is anywhere else, so nothing is kept."""

    def setUp(self):
        super().setUp()
        self.info = {'block_device_mapping': [{
            'mount_device': '/dev/vda', 'boot_index': 0,
            'connection_info': volumes.connection(
                uuids.volume, test_boot.VOLUME)}]}
        self.spawned()

    def test_confirmed(self):
        self.leave()
        self.assertEqual(({}, {}), (self.containers(), self.roots.mounted))
        self.finish()
        self.assertEqual(('running', 128), (self.state, self.limits()))
        self.assertNotIn('root_make', self.steps({'root_make'}))
        self.assertEqual([], self.steps({'put_archive', 'layer_copy'}))
        self.confirm()
        self.assertIsNone(unconfirmed.read(
            self.compute.state_dir, uuids.instance))
        self.assertEqual('running', self.state)

    def test_reverted(self):
        self.leave()
        self.finish()
        self.revert()
        self.assertEqual(('running', 64), (self.state, self.limits()))
        self.assertIsNone(unconfirmed.read(
            self.compute.state_dir, uuids.instance))

    def test_stopped(self):
        self.power_off()
        self.leave()
        self.finish(power_on=False)
        self.revert(power_on=False)
        self.assertEqual(('created', 64), (self.state, self.limits()))
        self.power_on()
        self.assertEqual('running', self.state)

    def test_smaller(self):
        """The root disk of the flavor is none of it."""
        self.small.root_gb = 5
        self.leave(self.flavor(root_gb=1))

    def test_fails_as_it_leaves(self):
        self.volumes.fail_next('disconnect', OSError(errno.EBUSY, 'busy'))
        self.assertRaises(exception.InstanceFaultRollback, self.leave)
        self.assertEqual(('running', 64), (self.state, self.limits()))

    def test_new_one_does_not_start(self):
        self.leave()
        self.engine.fail_next('start_container', errors.BadRequest('no', 400))
        self.assertRaises(exception.InternalError, self.finish)
        self.instance.flavor = self.small
        self.reboot()
        self.assertEqual(('running', 64), (self.state, self.limits()))


class RefusalTest(ResizeTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.old = self.container['Id']

    def test_files_that_are_too_large(self):
        for old_gb in (3, 0):
            self.instance.flavor.root_gb = old_gb
            self.compute.layers.size = 2 << 30
            self.assert_refused(
                'take 2.0 GiB, and the root disk of the flavor has 2 GiB',
                self.flavor(root_gb=2))
            self.compute.layers.size = 1 << 30
            self.leave(self.flavor(root_gb=2))
            self.revert()

    def test_image_that_is_too_large(self):
        with fixtures.MockPatchObject(
                create, 'ensure_base', autospec=True,
                side_effect=exception.FlavorDiskSmallerThanImage(
                    flavor_size=1, image_size=2)):
            self.assert_refused('too small for requested image')

    def test_disk_without_limit(self):
        self.compute.layers.size = 9 << 30
        self.leave(self.flavor(root_gb=0))
        self.revert()
        self.assert_as_it_was()

    def test_flavor_that_is_refused_at_spawn(self):
        for specs in ({'docker:nothing': '1'}, {'quota:cpu_quota': 'x'}):
            self.large.extra_specs = specs
            self.assert_refused(next(iter(specs)))

    def test_flavor_that_this_host_does_not_allow(self):
        self.large.extra_specs = {'docker:nesting': 'true'}
        self.assert_refused('allow_privileged')

    def test_huge_pages(self):
        """Of what Nova has claimed for the new flavor."""
        claimed = objects.InstanceNUMATopology(cells=[
            objects.InstanceNUMACell(id=0, cpuset={0}, pcpuset=set(),
                                     memory=128, pagesize=2048)])
        self.instance.migration_context = objects.MigrationContext(
            new_numa_topology=claimed)
        self.compute._patch(numa, 'limits_pages', return_value=False)
        self.assert_refused('huge pages')
        self.large.extra_specs = {'docker:huge_pages_mb': '128'}
        self.assert_refused('memory')
        self.assertIsNone(self.instance.numa_topology)

    def test_storage_driver(self):
        self.engine.details['Driver'] = 'btrfs'
        self.assert_refused('storage driver')

    def test_ephemeral_disk(self):
        self.small.ephemeral_gb = 2
        words = 'ephemeral disks have 2 GiB, and the flavor has 1 GiB'
        self.assert_refused(words, self.flavor(ephemeral_gb=1))
        self.info = {'ephemerals': [{'size': 1}, {'size': 1}]}
        self.assert_refused(words, self.flavor(ephemeral_gb=1))

    def test_no_container(self):
        self.destroy()
        self.assertRaises(exception.InstanceNotFound, self.leave)


class FailureTest(ResizeTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.old = self.container['Id']

    def test_engine_fails_as_it_leaves(self):
        for step in ('stop_container', 'rename_container'):
            self.engine.fail_next(step, errors.ServerError('no', 500))
            self.assertRaises(exception.InstanceFaultRollback, self.leave)
            self.assert_as_it_was()

    def test_files_that_can_not_be_copied(self):
        for error in (OSError(errno.EIO, 'no'),
                      processutils.ProcessExecutionError(
                          stderr='tar: No space left on device')):
            self.leave()
            self.compute.layers.fail_next('copy', error)
            self.assertRaises(exception.InternalError, self.finish)
            self.assert_as_it_was('exited')
            self.instance.flavor = self.small
            self.reboot()
            self.assert_as_it_was()

    def test_new_one_does_not_start(self):
        self.leave()
        self.engine.fail_next('start_container', errors.BadRequest('no', 400))
        self.assertRaises(exception.InternalError, self.finish)
        self.assert_as_it_was('exited')
        self.instance.flavor = self.small
        self.reboot()
        self.assert_as_it_was()


class KilledTest(test_volumes_killed.Mixin, ResizeTestCase):
    """nova-compute ends in the middle, and starts again."""

    def setUp(self):
        super().setUp()
        for name in ('write', 'drop'):
            self.patch(unconfirmed, name)
        self.spawned()
        self.old = self.container['Id']

    def assert_whole(self):
        """It has its files, in the old container or in a copy."""
        own = self.containers()[OWN]
        self.assertEqual('running', self.state)
        self.assertIn(upper(self.old), (
            upper(own), self.compute.layers.copied.get(upper(own))))

    def again(self):
        """Another server, which has left its container."""
        self.instance.task_state = task_states.DELETING
        self.destroy()
        self.assert_nothing_left()
        self.instance.flavor = self.small
        self.spawned()
        self.old = self.container['Id']

    def test_leave(self):
        for _killed in self.kills(self.leave, 9):
            # Nova does so as it starts, in this task state.
            self.driver.finish_revert_migration(
                self.context, self.instance, self.network_info,
                self.migration, self.info, True)
            self.assert_as_it_was()
        self.assertEqual({LEFT: self.old}, self.containers())

    def test_leave_and_the_host_boots(self):
        """No event reaches a nova-compute that starts."""
        self.leave()
        self.kernel.pairs.clear()
        self.network_info[0]['active'] = False
        self.instance.task_state = task_states.RESIZE_MIGRATING
        self.driver.cleanup_host('host1')
        self.driver = self.compute.starting()
        with mock.patch.object(
                self.services.virtapi, 'wait_for_instance_event',
                autospec=True) as wait:
            self.driver.finish_revert_migration(
                self.context, self.instance, self.network_info,
                self.migration, self.info, True)
        wait.assert_not_called()
        self.assert_as_it_was()

    def test_finish(self):
        """Nova has the new flavor by then."""
        self.leave()
        for _killed in self.kills(self.finish, 16):
            self.reboot()
            self.assert_whole()
            self.assertEqual([OWN], list(self.containers()))
            self.assertEqual(128, self.limits())
            self.again()
            self.leave()
        self.assert_whole()

    def test_confirm(self):
        self.leave()
        self.finish()
        for _killed in self.kills(self.confirm, 3):
            self.confirm()
            self.assert_whole()
            self.assertEqual([OWN], list(self.containers()))
            self.again()
            self.leave()
            self.finish()

    def test_revert(self):
        self.leave()
        self.finish()
        for _killed in self.kills(self.revert, 22):
            # An administrator resets its state.
            self.reboot()
            self.assert_whole()
            self.again()
            self.leave()
            self.finish()
        self.assert_as_it_was()
