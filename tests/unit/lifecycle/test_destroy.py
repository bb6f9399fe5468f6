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


"""destroy and cleanup from each half state; undoing when the engine is back.
"""

import errno
import os
import shutil

from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import destroy
from nova_docker.spec import names
from tests.fixtures import roots
from tests.fixtures import volumes
from tests.unit.lifecycle import base
from tests.unit.lifecycle import test_boot
from tests.unit.lifecycle import test_connections


class DestroyTest(base.LifecycleTestCase):

    def test_order(self):
        self.spawned()
        self.destroy()
        self.assertEqual(['remove_container', 'release', 'unplug'],
                         self.steps())
        self.assert_nothing_left()

    def test_keeps_the_image(self):
        self.spawned()
        self.destroy()
        self.assertEqual(1, len(self.engine.list_images([])))

    def test_stopped(self):
        self.spawned((self.power_off,))
        self.destroy()
        self.assert_nothing_left()

    def test_never_spawned(self):
        self.destroy()
        self.assert_nothing_left()

    def test_never_started(self):
        self.spawn(power_on=False)
        self.destroy()
        self.assert_nothing_left()

    def test_without_ports(self):
        self.spawned()
        self.destroy()
        self.network_info = None
        self.destroy()

    def test_from_each_half_state(self):
        """Whatever somebody took away, the rest goes."""
        services = self.services
        state_dir, cdi_dir = self.compute.state_dir, self.compute.cdi_dir
        instance_dir = os.path.join(state_dir, 'instances', uuids.instance)
        for take_away in (
                lambda: self.engine.remove_container(self.container['Id']),
                lambda: self.kernel.pairs.clear(),
                lambda: self.kernel.plugged.clear(),
                lambda: os.unlink(os.path.join(
                    cdi_dir, names.cdi_file(uuids.instance))),
                lambda: os.unlink(os.path.join(instance_dir, 'netns')),
                lambda: os.unlink(os.path.join(instance_dir, 'ports.json')),
                lambda: shutil.rmtree(instance_dir)):
            self.spawned()
            take_away()
            self.destroy()
            self.assert_nothing_left()
        self.assertIs(services, self.services)

    def test_again_after_each_step_failed(self):
        for fake, step, error, nova_error in (
                (self.engine, 'list_containers', errors.Timeout('no word'),
                 exception.InstancePowerOffFailure),
                (self.engine, 'remove_container',
                 errors.ServerError('device is busy', 500),
                 exception.InstancePowerOffFailure),
                (self.kernel, 'release', OSError('busy'), OSError),
                (self.kernel, 'unplug', OSError('busy'),
                 exception.InternalError),
                (self.kernel, 'delete_pair', OSError('busy'),
                 exception.InternalError)):
            self.spawned()
            fake.fail_next(step, error)
            self.assertRaises(nova_error, self.destroy)
            self.destroy()
            self.assert_nothing_left()

    def test_ports_stay_while_the_container_does(self):
        self.spawned()
        before = dict(self.kernel.pairs)
        self.engine.fail_next(
            'remove_container', errors.ServerError('device is busy', 500))
        error = self.assertRaises(
            exception.InstancePowerOffFailure, self.destroy)
        self.assertIn('device is busy', error.format_message())
        self.assertEqual(before, self.kernel.pairs)
        self.assertEqual({uuids.port}, self.kernel.plugged)

    def test_removed_by_somebody_else_meanwhile(self):
        self.spawned()
        self.engine.fail_next('remove_container',
                              errors.NotFound('gone', 404), after=True)
        self.destroy()
        self.assert_nothing_left()

    def test_of_another_host(self):
        self.spawned()
        self.destroy()
        labels = names.labels(uuids.instance, 'n', 'host10', 'p')
        foreign = self.foreign_container(labels=labels)
        self.destroy()
        self.assertEqual(
            foreign, self.engine.inspect_container('foreign')['Id'])

    def test_gives_up_a_start_that_waits(self):
        self.spawned((self.power_off,))
        with self.services.gate.turn(uuids.instance):
            foreign = self.foreign_start()
            self.wait_for_hooks()
            destroyed = self.in_thread(self.destroy)
            self.assertIsInstance(foreign.exception(60), errors.ServerError)
        self.assertIsNone(destroyed.exception(60))
        self.assert_nothing_left()


class EvacuatedTest(test_connections.ConnectionsTestCase):
    """This host was taken for dead, and the instance is on another one."""

    def setUp(self):
        super().setUp()
        self.volumes.metadata = {
            uuids.volume: {'docker_mount_path': '/data'}}

    def evacuate(self):
        self.compute.steps.clear()
        self.instance.host = 'host2'
        # What Nova gives is of the other host.
        self.driver.destroy(
            self.context, self.instance, self.network_info,
            {'block_device_mapping': [
                self.mapping(uuids.volume, '/dev/loop4', '/dev/vdb')]})

    def assert_gone(self):
        self.assert_nothing_connected()
        self.assertEqual({}, self.volumes.mounted)
        self.assert_nothing_left()

    def test_nothing_is_written_before_all_else(self):
        self.spawn()
        self.evacuate()
        self.assertEqual([
            'volume_shut_down', 'remove_container', 'volume_unmount',
            'volume_disconnect'], self.steps((
                'volume_shut_down', 'volume_thaw', 'stop_container',
                'remove_container', 'volume_unmount', 'volume_disconnect')))
        self.assertEqual({'/dev/loop1'}, self.volumes.shut_down)
        self.assert_gone()

    def test_boots_from_a_volume(self):
        self.info['block_device_mapping'] += [self.mapping(
            uuids.root, '/dev/loop2', '/dev/vda', boot_index=0)]
        self.volumes.contents['/dev/loop2'] = roots.OURS
        self.compute.roots.documents['/dev/loop2'] = test_boot.DOCUMENT
        self.spawn()
        self.evacuate()
        self.assertEqual('volume_shut_down', self.steps((
            'volume_shut_down', 'stop_container', 'root_detach'))[0])
        self.assertEqual({'/dev/loop1', '/dev/loop2'},
                         self.volumes.shut_down)
        self.assert_gone()

    def test_cannot_be(self):
        self.spawn()
        self.volumes.fail_next('shut_down', OSError(errno.ENOTTY, 'no'))
        self.evacuate()
        self.assertEqual(set(), self.volumes.shut_down)
        self.assert_gone()

    def test_host_was_booted(self):
        """Its device is another one by now, or gone."""
        for devices in ({'/dev/loop1': (7, 9)}, {}):
            self.instance.host = 'host1'
            self.volumes.devices['/dev/loop1'] = (7, 1)
            self.spawn()
            self.power_off()
            del self.volumes.devices['/dev/loop1']
            self.volumes.devices |= devices
            self.evacuate()
            self.assertEqual(set(), self.volumes.shut_down)
            self.assert_gone()

    def test_others_have_it(self):
        mapping, = self.info['block_device_mapping']
        for top, data in (({'multiattach': True}, {}),
                          ({}, {'access_mode': 'ro'})):
            self.instance.host = 'host1'
            mapping['connection_info'] = volumes.connection(
                uuids.volume, '/dev/loop1', **data) | top
            self.volumes.metadata.clear()
            self.spawn()
            self.evacuate()
            self.assertEqual(set(), self.volumes.shut_down)
            self.assert_gone()

    def test_is_here_or_nowhere(self):
        for host in ('host1', None):
            self.spawn()
            self.instance.host = host
            self.destroy()
            self.assertEqual(set(), self.volumes.shut_down)
            self.assert_gone()


class OtherCellTest(test_connections.ConnectionsTestCase):
    """Nova moves an instance to another cell: it leaves its container."""

    def leave(self):
        self.driver.destroy(self.context, self.instance, self.network_info,
                            self.info, destroy_disks=False)

    def cleanup(self):
        self.driver.cleanup(self.context, self.instance, self.network_info,
                            destroy_vifs=False)

    def revert(self):
        self.driver.finish_revert_migration(
            self.context, self.instance, self.network_info,
            objects.Migration(source_compute='host1', dest_compute='other',
                              cross_cell_move=True),
            self.info, power_on=True)

    def boot_from_volume(self):
        self.info['block_device_mapping'] += [self.mapping(
            uuids.root, '/dev/loop2', '/dev/vda', boot_index=0)]
        self.volumes.contents['/dev/loop2'] = roots.OURS
        self.compute.roots.documents['/dev/loop2'] = test_boot.DOCUMENT

    def left(self):
        return [each['Id'] for each in self.engine.list_containers(
            names.instance_filter(uuids.instance, 'host1'))]

    def setUp(self):
        super().setUp()
        self.instance.flavor.flavorid = 'small'

    def test_confirmed(self):
        self.spawn()
        old = self.container['Id']
        for _again in range(2):
            self.leave()
            self.assertEqual([old], self.left())
            self.assert_nothing_connected()
            self.assertEqual(set(), self.kernel.plugged)
        self.cleanup()
        self.assert_nothing_left()

    def test_reverted(self):
        self.spawn()
        old = self.container['Id']
        self.leave()
        self.revert()
        self.assertEqual((old, 'running'), (self.container['Id'], self.state))
        self.assert_attached(vdb='loop1')

    def test_hard_reboot_of_one_that_failed(self):
        self.spawn()
        old = self.container['Id']
        self.leave()
        self.reboot()
        self.assertEqual((old, 'running'), (self.container['Id'], self.state))

    def test_root_volume(self):
        self.boot_from_volume()
        self.spawn()
        self.leave()
        self.assertEqual([], self.left())
        self.assert_nothing_connected()
        self.revert()
        self.assertEqual('running', self.state)
        self.leave()
        self.cleanup()
        self.assert_nothing_left()

    def test_cut_off(self):
        """By what fails, and is done again."""
        for step in ('stop_container', 'rename_container'):
            self.spawn()
            old = self.container['Id']
            self.engine.fail_next(step, errors.ServerError('no', 500))
            self.assertRaises(exception.InstancePowerOffFailure, self.leave)
            self.leave()
            self.assertEqual([old], self.left())
            self.cleanup()
            self.assert_nothing_left()


class CleanupTest(base.LifecycleTestCase):

    def cleanup(self, destroy_vifs):
        self.driver.cleanup(self.context, self.instance, self.network_info,
                            destroy_vifs=destroy_vifs)

    def test_all(self):
        self.spawned()
        self.engine.remove_container(self.container['Id'])
        for _again in range(2):
            self.cleanup(destroy_vifs=True)
            self.assert_nothing_left()

    def test_keeps_the_ports(self):
        self.spawned()
        self.cleanup(destroy_vifs=False)
        self.assertEqual([], self.steps())
        self.assertEqual([], os.listdir(self.compute.cdi_dir))


class UndoAgainTest(base.LifecycleTestCase):

    def fail_to_undo(self):
        self.engine.fail_next(
            'start_container', errors.Timeout('no word'), after=True)
        self.engine.fail_next(
            'remove_container', errors.Unavailable('gone'))
        self.assertRaises(exception.HypervisorUnavailable, self.spawn)
        self.compute.steps.clear()

    def test_nothing_to_do(self):
        self.spawned()
        destroy.undo_again(self.services)
        self.assertEqual([], self.steps())

    def test_undoes(self):
        self.fail_to_undo()
        destroy.undo_again(self.services)
        self.assert_nothing_left()

    def test_fails_again(self):
        self.fail_to_undo()
        self.engine.fail_next(
            'remove_container', errors.Unavailable('gone'))
        destroy.undo_again(self.services)
        self.assertIsNotNone(self.container)
        destroy.undo_again(self.services)
        self.assert_nothing_left()

    def test_one_that_fails_does_not_hold_up_the_others(self):
        self.fail_to_undo()
        self.instance = base.make_instance(id=2, uuid=uuids.second)
        self.fail_to_undo()
        self.engine.fail_next(
            'remove_container', errors.ServerError('device is busy', 500))
        destroy.undo_again(self.services)
        self.assertEqual({uuids.instance}, set(self.services.undone))
        self.assertIsNone(self.container)

    def test_a_destroy_was_faster(self):
        self.fail_to_undo()
        self.destroy()
        self.assert_nothing_left()
        self.compute.steps.clear()
        destroy.undo_left(self.services, uuids.instance)
        self.assertEqual([], self.steps())
