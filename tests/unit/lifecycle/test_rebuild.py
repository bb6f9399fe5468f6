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


"""rebuild: what is replaced when, and what is left when it fails."""

import fixtures
from nova.compute import task_states
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.spec import names
from tests.fixtures import engine
from tests.unit.lifecycle import base


class RebuildTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'save', autospec=True, side_effect=self.save))
        self.instance.task_state = task_states.REBUILDING
        self.spawned()
        self.old = self.container['Id']

    def save(self, expected_task_state):
        self.compute.steps.append(
            (self.instance.task_state, (expected_task_state,)))

    def rebuild(self, **changes):
        def volumes(name):
            return lambda *args: self.compute.steps.append((name, args))

        self.driver.rebuild(**dict(
            context=self.context, instance=self.instance,
            image_meta=self.image_meta, injected_files=[],
            admin_password='secret', allocations={}, bdms=['bdm'],
            # Nova always says so, of any server.
            reimage_boot_volume=True,
            detach_block_devices=volumes('detach'),
            attach_block_devices=volumes('attach'),
            network_info=self.network_info, block_device_info={}) | changes)

    def bad_image(self):
        self.image_meta.properties.os_command_line = engine.NO_COMMAND

    def containers(self):
        return [(container['Id'], container['Names'][0].lstrip('/'))
                for container in self.engine.list_containers(
                    names.instance_filter(uuids.instance, 'host1'))]

    def assert_old_is_back(self):
        self.assertEqual(
            [(self.old, names.container_name(uuids.instance))],
            self.containers())
        self.reboot('HARD')
        self.assertEqual((self.old, 'running'),
                         (self.container['Id'], self.state))


class RebuildTest(RebuildTestCase):

    def test_order(self):
        self.rebuild()
        self.assertEqual(
            ['stop_container', 'detach',
             task_states.REBUILD_BLOCK_DEVICE_MAPPING, 'attach',
             task_states.REBUILD_SPAWNING, 'rename_container', 'take_back',
             'release', 'plug', 'create_container', 'start_container',
             'configure', 'hold', 'remove_container'],
            self.steps(base.CHANGES | {
                'detach', 'attach', 'rename_container',
                task_states.REBUILD_BLOCK_DEVICE_MAPPING,
                task_states.REBUILD_SPAWNING}))
        (new, name), = self.containers()
        self.assertNotEqual(self.old, new)
        self.assertEqual(names.container_name(uuids.instance), name)
        self.assertEqual('running', self.state)

    def test_task_states_are_those_that_nova_expects(self):
        self.rebuild()
        saved = dict(self.compute.steps)
        self.assertEqual(([task_states.REBUILDING],),
                         saved[task_states.REBUILD_BLOCK_DEVICE_MAPPING])
        self.assertEqual(([task_states.REBUILD_BLOCK_DEVICE_MAPPING],),
                         saved[task_states.REBUILD_SPAWNING])
        self.assertEqual((self.context, ['bdm']), saved['detach'])
        self.assertEqual((self.context, self.instance, ['bdm']),
                         saved['attach'])

    def test_new_image_is_loaded_as_long_as_the_old_one_runs(self):
        self.image_meta.checksum = 'bb'
        self.rebuild()
        steps = self.steps()
        self.assertLess(steps.index('load_image'),
                        steps.index('stop_container'))

    def test_container_is_gone(self):
        self.engine.remove_container(self.old)
        self.rebuild()
        self.assertEqual('running', self.state)

    def test_evacuated_to_here(self):
        self.destroy()
        self.rebuild(evacuate=True)
        self.assertEqual('running', self.state)

    def test_preserving_no_ephemeral_disks(self):
        self.rebuild(preserve_ephemeral=True)
        self.assertEqual('running', self.state)

    def test_rescue_that_was_not_undone(self):
        self.foreign_container(
            names.rescue_name(uuids.instance),
            names.labels(uuids.instance, 'n', 'host1', 'p', True))
        self.rebuild()
        self.assertEqual(1, len(self.containers()))

    def test_old_container_cannot_be_removed(self):
        self.engine.fail_next('remove_container', errors.Timeout('late'))
        self.rebuild()
        self.assertEqual(
            [names.container_name(uuids.instance),
             names.replaced_name(uuids.instance)],
            [name for _id, name in self.containers()])
        self.rebuild()
        self.assertEqual(1, len(self.containers()))


class FailedRebuildTest(RebuildTestCase):

    def test_refused_before_anything_is_touched(self):
        self.assertRaises(exception.BuildAbortException, self.rebuild,
                          block_device_info={'block_device_mapping': [
                              {'mount_device': '/dev/../x',
                               'boot_index': None}]})
        # Nova does it by other verbs where there is a volume to boot from.
        self.assertRaises(NotImplementedError, self.rebuild,
                          block_device_info={'block_device_mapping': [
                              {'mount_device': '/dev/vda',
                               'boot_index': 0}]},
                          reimage_boot_volume=True)
        self.image_meta.container_format = 'bare'
        self.assertRaises(exception.ImageUnacceptable, self.rebuild)
        self.image_meta.container_format = 'docker'
        self.image_meta.checksum = 'bb'
        self.glance.data = b'nothing'
        self.assertRaises(exception.ImageUnacceptable, self.rebuild)
        self.assertNotIn('stop_container', self.steps())
        self.assertEqual((self.old, 'running'),
                         (self.container['Id'], self.state))

    def test_what_the_host_no_longer_allows(self):
        """Nova must not take it for an evacuation that failed."""
        self.instance.flavor.extra_specs = {'docker:nesting': 'true'}
        error = self.assertRaises(exception.BuildAbortException, self.rebuild)
        self.assertIn('allow_privileged', error.format_message())
        self.assertEqual((self.old, 'running'),
                         (self.container['Id'], self.state))
        self.destroy()
        self.instance.host = 'host2'
        self.assertRaises(exception.ComputeResourcesUnavailable, self.rebuild,
                          evacuate=True)

    def test_command_that_cannot_be_started(self):
        self.bad_image()
        error = self.assertRaises(exception.ImageUnacceptable, self.rebuild)
        self.assertIn(engine.NO_COMMAND, error.format_message())
        self.assertEqual(set(), self.kernel.plugged)
        self.assert_old_is_back()

    def test_rebuild_again(self):
        self.bad_image()
        self.assertRaises(exception.ImageUnacceptable, self.rebuild)
        self.image_meta.properties.os_command_line = 'sleep 9'
        self.rebuild()
        self.assertEqual(1, len(self.containers()))
        self.assertEqual('running', self.state)

    def test_each_step(self):
        for fake, step in ((self.engine, 'rename_container'),
                           (self.kernel, 'plug'),
                           (self.engine, 'create_container'),
                           (self.kernel, 'configure')):
            fake.fail_next(step, errors.ServerError('no', 500))
            self.assertRaises(exception.NovaException, self.rebuild)
            self.assert_old_is_back()

    def test_undoing_that_fails_is_done_by_a_hard_reboot(self):
        self.bad_image()
        self.engine.fail_next('remove_container', errors.Timeout('late'))
        self.assertRaises(exception.ImageUnacceptable, self.rebuild)
        self.assertEqual(2, len(self.containers()))
        self.reboot('HARD')
        self.assert_old_is_back()

    def test_evacuation_that_fails_leaves_nothing(self):
        self.destroy()
        self.bad_image()
        self.assertRaises(exception.ImageUnacceptable, self.rebuild,
                          evacuate=True)
        self.assert_nothing_left()


class SettleTest(RebuildTestCase):
    """nova-compute died in the middle of a rebuild."""

    def setUp(self):
        super().setUp()
        self.engine.rename_container(
            self.old, names.replaced_name(uuids.instance))

    def new_container(self):
        return self.foreign_container(
            names.container_name(uuids.instance),
            names.labels(uuids.instance, 'n', 'host1', 'p'))

    def test_before_the_new_one_was_made(self):
        self.reboot('HARD')
        self.assert_old_is_back()

    def test_before_the_new_one_was_started(self):
        self.new_container()
        self.reboot('HARD')
        self.assert_old_is_back()

    def test_before_the_old_one_was_removed(self):
        self.power_off()
        self.old = self.new_container()
        on_start, self.engine.on_start = self.engine.on_start, None
        self.engine.start_container(self.old, 10)
        self.engine.on_start = on_start
        self.reboot('HARD')
        self.assert_old_is_back()

    def test_delete(self):
        self.new_container()
        self.destroy()
        self.assertEqual([], self.containers())
        self.assert_nothing_left()
