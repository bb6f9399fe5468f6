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

"""The root disks of containers, in each verb."""

import json
import os

import fixtures
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.host import info
from nova_docker.lifecycle import disks
from nova_docker.spec import names
from tests.unit.lifecycle import base

GIB = 1 << 30
DISK_CHANGES = base.CHANGES | {'disk_make', 'disk_attach', 'disk_remove',
                               'put_archive', 'commit_container'}


class DisksTestCase(base.LifecycleTestCase):
    """One host whose root disks are file systems."""

    kind = 'filesystem'
    storage = 'overlay2'

    def setUp(self):
        super().setUp()
        self.flags(group='docker', root_disk=self.kind)
        self.engine.details['Driver'] = self.storage
        self.driver.init_host('host1')
        self.disks = self.compute.disks

    @property
    def image(self):
        return (f'{self.compute.state_dir}/disks/{uuids.instance}/'
                f'root-{self.container["Id"]}')

    def unmount(self):
        """As a boot of the host does."""
        self.disks.mounted.clear()

    def assert_one_disk(self):
        """The instance has the disk of its container, and no other."""
        self.assertEqual({self.image}, set(self.disks.sizes))
        self.assertEqual(
            {self.image: f'/layers/{self.container["Id"]}'},
            self.disks.mounted)

    def assert_no_disk(self):
        self.assertEqual(({}, {}), (self.disks.sizes, self.disks.mounted))

    def rescue(self):
        self.driver.rescue(self.context, self.instance, self.network_info,
                           self.image_meta, 'pw', {}, [])

    def rebuild(self):
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True))
        self.driver.rebuild(
            self.context, self.instance, self.image_meta, [], None, {}, [],
            lambda *_: None, lambda *_: None, self.network_info,
            block_device_info={})


class SpawnTest(DisksTestCase):

    def test_before_anything_is_written(self):
        self.spawn(injected_files=[('/a', b'b')])
        steps = self.steps(DISK_CHANGES)
        at = steps.index('create_container')
        self.assertEqual(
            ['disk_make', 'disk_attach', 'put_archive'],
            [step for step in steps[at + 1:] if step in (
                'disk_make', 'disk_attach', 'put_archive')])
        self.assert_one_disk()
        self.assertEqual(GIB, self.disks.sizes[self.image])
        self.assertEqual('filesystem', self.container['Labels'][
            names.LABEL_ROOT_DISK])

    def test_cannot_be_made(self):
        for step in ('make', 'attach'):
            self.disks.fail_next(step, OSError('no space'))
            error = self.assertRaises(
                exception.ComputeResourcesUnavailable, self.spawn)
            self.assertIn('no space', error.format_message())
            self.assert_nothing_left()
            self.assert_no_disk()

    def test_flavor_without_a_disk(self):
        self.instance.flavor.root_gb = 0
        self.spawn()
        self.assert_no_disk()
        self.destroy()
        self.assert_nothing_left()

    def test_fails_later(self):
        self.engine.fail_next('start_container', errors.BadRequest('no', 400))
        self.assertRaises(exception.ImageUnacceptable, self.spawn)
        self.assert_no_disk()

    def test_after_one_that_was_cut_off(self):
        """Between the container, its disk and the mount of that."""
        for skip in (lambda: self.disks.sizes.clear(), lambda: None):
            self.spawn(power_on=False)
            self.unmount()
            skip()
            self.spawn()
            self.assert_one_disk()
            self.destroy()
        self.assert_no_disk()


class StartTest(DisksTestCase):

    def test_mounted_again(self):
        self.spawned((self.power_off,), (self.unmount,))
        self.power_on()
        self.assert_one_disk()
        steps = self.steps(DISK_CHANGES)
        self.assertLess(steps.index('disk_attach'),
                        steps.index('start_container'))

    def test_stays_mounted(self):
        self.spawned((self.power_off,))
        self.power_on()
        self.reboot('SOFT')
        self.reboot('HARD')
        self.assertNotIn('disk_attach', self.steps(DISK_CHANGES))

    def test_cannot_be_mounted(self):
        self.spawned((self.power_off,), (self.unmount,))
        self.disks.fail_next('attach', NotADirectoryError('diff'))
        self.assertRaises(exception.InternalError, self.power_on)
        self.assertNotIn('start_container', self.steps())
        self.power_on()
        self.assertEqual('running', self.state)

    def test_grows_with_the_flavor(self):
        self.spawned()
        self.instance.flavor.root_gb = 3
        self.reboot()
        self.assertEqual({self.image: 3 * GIB}, self.disks.sizes)
        self.assert_one_disk()

    def test_hard_reboot_after_a_creation_that_was_cut_off(self):
        self.spawn(power_on=False)
        self.unmount()
        self.disks.sizes.clear()
        self.reboot()
        self.assert_one_disk()

    def test_by_others(self):
        self.spawned((self.power_off,))
        self.assertIsNone(self.foreign_start().exception(60))
        self.power_off()
        # Half made: what is under the mount may be there still.
        self.unmount()
        self.assertIsInstance(self.foreign_start().exception(60),
                              errors.ServerError)

    def test_container_of_a_driver_without_disks(self):
        self.flags(group='docker', root_disk='unlimited')
        self.driver.init_host('host1')
        self.spawned((self.power_off,))
        self.flags(group='docker', root_disk='filesystem')
        self.driver.init_host('host1')
        self.power_on()
        self.destroy()
        self.assert_no_disk()


class OthersTest(DisksTestCase):

    def test_snapshot_of_one_that_is_not_mounted(self):
        self.spawned((self.power_off,), (self.unmount,))
        self.driver.snapshot(self.context, self.instance, uuids.snapshot,
                             lambda **_: None)
        steps = self.steps(DISK_CHANGES)
        self.assertLess(steps.index('disk_attach'),
                        steps.index('commit_container'))

    def test_rescue(self):
        """Both containers have their disks; unrescue leaves one."""
        self.spawned((self.power_off,), (self.unmount,))
        self.rescue()
        self.assertEqual(2, len(self.disks.mounted))
        self.driver.unrescue(self.context, self.instance)
        self.assert_one_disk()

    def test_rebuild(self):
        self.spawned()
        old = self.image
        self.rebuild()
        self.assertNotEqual(old, self.image)
        self.assert_one_disk()

    def test_rebuild_fails(self):
        self.spawned()
        old = self.image
        self.engine.fail_next('start_container', errors.BadRequest('no', 400))
        self.assertRaises(exception.ImageUnacceptable, self.rebuild)
        self.assertEqual(old, self.image)
        self.assert_one_disk()


class EphemeralTest(DisksTestCase):
    """One of each size of the flavor or the request, kept on request."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True))
        self.instance.flavor.ephemeral_gb = 2
        self.block_devices = {}

    def spawn(self, power_on=True):
        self.driver.spawn(
            self.context, self.instance, self.image_meta, [], None, {},
            self.network_info, self.block_devices, power_on)

    def rebuild(self, preserve):
        self.driver.rebuild(
            self.context, self.instance, self.image_meta, [], None, {}, [],
            lambda *_: None, lambda *_: None, self.network_info,
            block_device_info={}, preserve_ephemeral=preserve)

    @property
    def ephemerals(self):
        """The files of all ephemeral disks of the host, each with its size."""
        return {path: size // GIB for path, size in self.disks.sizes.items()
                if '/ephemeral' in path}

    def specified(self):
        """The container's path and the host's of each of its CDI mounts."""
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                uuids.instance))) as file:
            device = json.load(file)['devices'][0]
        return {mount['containerPath']: mount['hostPath'] for mount in
                device['containerEdits'].get('mounts', ())}

    def test_of_the_flavor(self):
        self.spawn()
        (path, size), = self.ephemerals.items()
        self.assertEqual(2, size)
        self.assertEqual({'/mnt/ephemeral0': f'{path}.fs/data'},
                         self.specified())

    def test_of_the_request(self):
        self.block_devices = {'ephemerals': [
            {'size': 1, 'guest_format': None},
            {'size': 1, 'guest_format': 'ext4'}],
            'swap': {'swap_size': 8}}
        self.instance.flavor.swap = 16
        self.spawn()
        self.assertEqual([1, 1], list(self.ephemerals.values()))
        self.assertEqual({'/mnt/ephemeral0', '/mnt/ephemeral1'},
                         set(self.specified()))
        self.assertEqual(72 << 20, self.engine.inspect_container(
            self.container['Id'])['HostConfig']['MemorySwap'])

    def test_mounted_again(self):
        self.spawned((self.power_off,), (self.unmount,))
        self.assertIsInstance(self.foreign_start().exception(60),
                              errors.ServerError)
        self.power_on()
        self.assertEqual(set(self.disks.sizes), set(self.disks.mounted))

    def test_rebuild(self):
        self.spawned()
        for preserve in (True, False):
            before = self.ephemerals
            self.rebuild(preserve)
            self.assertEqual(preserve, before == self.ephemerals)
            self.assertEqual(1, len(self.ephemerals))
            self.assertEqual(2, len(self.disks.mounted))

    def test_rebuild_fails(self):
        for preserve in (True, False):
            self.spawned()
            before = dict(self.disks.sizes)
            self.engine.fail_next('start_container',
                                  errors.BadRequest('no', 400))
            self.assertRaises(exception.ImageUnacceptable, self.rebuild,
                              preserve)
            self.assertEqual(before, self.disks.sizes)
            self.reboot()
            self.destroy()
            self.assert_no_disk()

    def test_rescue(self):
        """The other container has none, and leaves them alone."""
        self.spawned()
        before = self.ephemerals
        self.rescue()
        self.assertNotIn('/mnt/ephemeral0', self.specified())
        self.driver.unrescue(self.context, self.instance)
        self.assertIn('/mnt/ephemeral0', self.specified())
        self.assertEqual(before, self.ephemerals)

    def test_spawn_fails(self):
        self.disks.fail_next('prepare', OSError('no space'))
        self.assertRaises(exception.ComputeResourcesUnavailable, self.spawn)
        self.assert_no_disk()

    def test_nothing_may_be_injected_there(self):
        error = self.assertRaises(
            exception.BuildAbortException, self.driver.spawn, self.context,
            self.instance, self.image_meta, [('/mnt/ephemeral0/a', b'')],
            None, {}, self.network_info, {}, True)
        self.assertIn('mounted over', error.format_message())


class RemoveTest(DisksTestCase):

    def test_order(self):
        for state in (lambda: None, self.power_off):
            self.spawned()
            state()
            self.compute.steps.clear()
            self.destroy()
            steps = self.steps(DISK_CHANGES)
            self.assertEqual(
                ['stop_container', 'disk_remove', 'remove_container'],
                steps[:3])
            self.assert_nothing_left()
            self.assert_no_disk()

    def test_again_after_each_step_failed(self):
        for fake, step, error, nova_error in (
                (self.engine, 'stop_container', errors.Timeout('no'),
                 exception.InstancePowerOffFailure),
                (self.disks, 'remove', OSError('busy'),
                 exception.InternalError),
                (self.engine, 'remove_container', errors.Timeout('no'),
                 exception.InstancePowerOffFailure)):
            self.spawned()
            fake.fail_next(step, error)
            self.assertRaises(nova_error, self.destroy)
            self.destroy()
            self.assert_nothing_left()
            self.assert_no_disk()

    def test_container_removed_by_somebody(self):
        for mounted in (True, False):
            self.spawned()
            self.engine.remove_container(self.container['Id'])
            if not mounted:
                self.unmount()
            self.destroy()
            self.assert_no_disk()

    def test_hard_reboot_of_one_that_somebody_removed(self):
        self.spawned()
        self.engine.remove_container(self.container['Id'])
        self.reboot()
        self.assert_one_disk()


class RemoveUnknownTest(DisksTestCase):

    def setUp(self):
        super().setUp()
        self.spawned()
        self.removed = self.container['Id']

    def manage(self, *instances):
        self.driver.manage_image_cache(self.context, list(instances))

    def test_neither_nova_nor_the_engine_knows_it(self):
        self.engine.remove_container(self.removed)
        self.manage()
        self.assert_no_disk()

    def test_nova_knows_it(self):
        self.engine.remove_container(self.removed)
        self.manage(self.instance)
        self.assertEqual(1, len(self.disks.sizes))

    def test_the_engine_knows_it(self):
        self.manage()
        self.assert_one_disk()

    def test_fails(self):
        self.engine.remove_container(self.removed)
        self.disks.fail_next('remove', OSError('busy'))
        disks.remove_unknown(self.services, set())
        disks.remove_unknown(self.services, set())
        self.assert_no_disk()


class InventoryTest(DisksTestCase):

    disk_gb = 10

    def test_disk_gb(self):
        sizes = {f'{self.compute.state_dir}/disks': (10, 9),
                 self.compute.state_dir: (20, 19)}
        self.useFixture(fixtures.MockPatchObject(
            info, 'disk', autospec=True, side_effect=sizes.get))
        found = self.driver.get_available_resource('host1')
        self.assertEqual(self.disk_gb, found['local_gb'])


class EngineInventoryTest(InventoryTest):

    kind = 'engine'
    storage = 'btrfs'
    disk_gb = 20


class EngineTest(DisksTestCase):
    """A host whose engine has disks of a size."""

    kind = 'engine'
    storage = 'btrfs'

    def test_size(self):
        self.spawn()
        host_config = self.engine.inspect_container(
            self.container['Id'])['HostConfig']
        self.assertEqual({'size': '1G'}, host_config['StorageOpt'])
        self.assert_no_disk()

    def test_no_size(self):
        self.instance.flavor.root_gb = 0
        self.spawn()
        self.assertNotIn('StorageOpt', self.engine.inspect_container(
            self.container['Id'])['HostConfig'])
