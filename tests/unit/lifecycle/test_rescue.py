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


"""rescue and unrescue: the order, the undoing, and both containers' fate."""

import json
import os

from nova.compute import power_state
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.spec import names
from tests import engine_cases
from tests.fixtures import engine
from tests.unit.lifecycle import base


class RescueTestCase(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.spawned((self.power_off,))
        self.own = self.container['Id']
        self.rescue_meta = self.image_meta

    def other_image(self, **properties):
        """Rescue with another image, of these docker_* properties."""
        self.rescue_meta = objects.ImageMeta.from_dict({
            'id': uuids.rescue, 'checksum': 'bb', 'disk_format': 'raw',
            'container_format': 'docker', 'size': len(self.glance.data),
            'properties': {}})
        self.glance.get = lambda context, image_id: {
            'id': image_id, 'properties': {'os_distro': 'debian', **{
                f'docker_{key}': value
                for key, value in properties.items()}}}

    def rescue(self):
        self.driver.rescue(self.context, self.instance, self.network_info,
                           self.rescue_meta, 'secret', {}, [])

    def unrescue(self):
        self.driver.unrescue(self.context, self.instance)

    def rescued(self):
        self.rescue()
        self.compute.steps.clear()

    @property
    def rescuer(self):
        """The container that rescues as a list has it, None without."""
        return next(iter(self.engine.list_containers(
            [], [names.rescue_name(uuids.instance)])), None)

    def device(self):
        with open(os.path.join(self.compute.cdi_dir,
                               names.cdi_file(uuids.instance))) as file:
            device = json.load(file)['devices'][0]
        return device

    def assert_own_can_start(self):
        """The own container starts as ever, and there is no other."""
        self.assertIsNone(self.rescuer)
        self.assertEqual(self.own, self.container['Id'])
        self.assertEqual(names.device(uuids.instance), self.device()['name'])
        self.power_on()
        self.assertEqual((self.own, 'running'),
                         (self.container['Id'], self.state))
        self.assertEqual({'tap' + uuids.port[:11]}, set(self.kernel.pairs))


class RescueTest(RescueTestCase):

    def test_order(self):
        self.rescue()
        self.assertEqual(
            ['stop_container', 'create_container', 'take_back', 'release',
             'plug', 'start_container', 'configure', 'hold'], self.steps())
        self.assertEqual('running', self.rescuer['State'])
        self.assertEqual((self.own, 'exited'),
                         (self.container['Id'], self.state))

    def test_sees_the_files_of_the_other(self):
        self.rescue()
        device = self.device()
        self.assertEqual(names.device(uuids.instance, True), device['name'])
        mount, = device['containerEdits']['mounts']
        self.assertEqual(('/mnt', 'overlay'),
                         (mount['containerPath'], mount['type']))
        self.assertIn(f'upperdir=/layers/{self.own}/diff', mount['options'])

    def test_has_the_port_and_the_limits(self):
        self.rescue()
        details = self.engine.inspect_container(self.rescuer['Id'])
        self.assertEqual('web', details['Config']['Hostname'])
        self.assertEqual(64 << 20, details['HostConfig']['Memory'])
        self.assertEqual({'tap' + uuids.port[:11]: 'inside'},
                         self.kernel.pairs)

    def test_properties_are_those_of_the_rescue_image(self):
        self.instance.system_metadata['image_docker_user'] = 'www'
        self.other_image(command='sleep 9', workdir='/rescue')
        self.rescue()
        config = self.engine.inspect_container(self.rescuer['Id'])['Config']
        self.assertEqual((['sleep', '9'], '/rescue', None),
                         (config['Cmd'], config['WorkingDir'],
                          config['User']))
        self.assertEqual(names.image_reference(uuids.rescue, 'bb'),
                         config['Image'])

    def test_who_sets_up_the_interfaces(self):
        self.instance.flavor.extra_specs = {'docker:net_admin': 'true'}
        self.other_image(dhcp='true')
        self.rescue()
        self.unrescue()
        self.assertEqual([0, 1], [
            len(port['addresses']) for name, (_pid, (port,), _earlier) in (
                step for step in self.compute.steps
                if step[0] == 'configure')])

    def test_own_image_needs_no_glance(self):
        self.instance.system_metadata['image_docker_user'] = 'www'
        self.glance.get = None
        self.rescue()
        self.assertEqual('www', self.engine.inspect_container(
            self.rescuer['Id'])['Config']['User'])

    def test_own_cannot_be_started_meanwhile(self):
        self.rescue()
        error = self.assertRaises(
            errors.ServerError, self.engine.start_container, self.own, 10)
        self.assertIn('unresolvable CDI devices', str(error))

    def test_started_by_hand_just_before(self):
        self.engine.start_container(self.own, 10)
        self.rescue()
        self.assertEqual('exited', self.state)
        self.assertEqual('running', self.rescuer['State'])

    def test_again_replaces_the_first(self):
        self.rescued()
        first = self.rescuer['Id']
        self.power_off()
        self.rescue()
        self.assertNotEqual(first, self.rescuer['Id'])
        self.unrescue()
        self.assertEqual((self.own, 'running'),
                         (self.container['Id'], self.state))

    def test_container_is_gone(self):
        self.engine.remove_container(self.own)
        self.assertRaises(exception.InstanceNotFound, self.rescue)
        self.assertIsNone(self.rescuer)


class FailedRescueTest(RescueTestCase):

    def test_refused_before_anything_is_touched(self):
        self.engine.details['Driver'] = 'btrfs'
        self.assertRaises(exception.Invalid, self.rescue)
        self.assertEqual([], self.steps())
        self.engine.details['Driver'] = 'overlay2'
        self.other_image(command='"')
        self.assertRaises(exception.ImageUnacceptable, self.rescue)
        self.rescue_meta.properties.hw_tpm_version = '2.0'
        error = self.assertRaises(exception.ImageUnacceptable, self.rescue)
        self.assertIn('hw_tpm_version', error.format_message())
        self.assert_own_can_start()

    def test_command_that_cannot_be_started(self):
        self.other_image(command=engine.NO_COMMAND)
        error = self.assertRaises(exception.ImageUnacceptable, self.rescue)
        self.assertIn(engine.NO_COMMAND, error.format_message())
        self.assertIn(uuids.rescue, error.format_message())
        self.assert_own_can_start()

    def test_command_that_ends(self):
        """It is seen to run first, as it can be."""
        looks = []
        listed = self.engine.list_containers

        def list_containers(*args, **kwargs):
            if self.rescuer_runs() and len(looks) < 2:
                looks.append(1)
                if len(looks) == 2:
                    self.engine.exit(names.rescue_name(uuids.instance), 0)
            return listed(*args, **kwargs)

        self.rescuer_runs = lambda: any(
            container.name == names.rescue_name(uuids.instance) and
            container.running
            for container in self.engine._containers.values())
        self.engine.list_containers = list_containers
        error = self.assertRaises(exception.ImageUnacceptable, self.rescue)
        self.assertIn('ends at once', error.format_message())
        self.engine.list_containers = listed
        self.assert_own_can_start()

    def test_each_step(self):
        for fake, step, error, raised in (
                (self.engine, 'create_container',
                 errors.ServerError('no space', 500),
                 exception.InternalError),
                (self.engine, 'start_container',
                 errors.Timeout('late'), exception.HypervisorUnavailable),
                (self.kernel, 'configure', OSError('no'),
                 exception.VirtualInterfacePlugException)):
            fake.fail_next(step, error)
            self.assertRaises(raised, self.rescue)
            self.assert_own_can_start()
            self.power_off()

    def test_undoing_that_fails_is_done_by_a_hard_reboot(self):
        self.engine.fail_next('start_container', errors.BadRequest('no', 400))
        self.engine.fail_next('remove_container', errors.Timeout('late'))
        self.assertRaises(exception.ImageUnacceptable, self.rescue)
        self.assertIsNotNone(self.rescuer)
        self.reboot('HARD')
        self.assertIsNone(self.rescuer)
        self.assertEqual((self.own, 'running'),
                         (self.container['Id'], self.state))


class UnrescueTest(RescueTestCase):

    def test_order(self):
        self.rescued()
        self.unrescue()
        self.assertEqual(
            ['remove_container', 'take_back', 'release', 'plug',
             'start_container', 'configure', 'hold'], self.steps())
        self.assertIsNone(self.rescuer)
        self.assertEqual((self.own, 'running'),
                         (self.container['Id'], self.state))
        self.assertEqual(names.device(uuids.instance), self.device()['name'])
        self.assertNotIn('mounts', self.device()['containerEdits'])

    def test_not_rescued(self):
        self.power_on()
        self.compute.steps.clear()
        self.unrescue()
        self.assertEqual([], self.steps())

    def test_rescuer_was_removed_by_hand(self):
        self.rescued()
        self.engine.remove_container(self.rescuer['Id'])
        self.unrescue()
        self.assertEqual('running', self.state)

    def test_own_is_gone(self):
        self.rescued()
        self.engine.remove_container(self.own)
        self.assertRaises(exception.InstanceNotFound, self.unrescue)
        self.assertEqual('running', self.rescuer['State'])
        self.reboot('HARD')
        self.assertIsNone(self.rescuer)
        self.assertEqual('running', self.state)


class OtherVerbsTest(RescueTestCase):
    """Each means the container that rescues."""

    def setUp(self):
        super().setUp()
        self.rescued()

    def test_is_listed_once(self):
        self.assertEqual([uuids.instance], self.driver.list_instance_uuids())
        self.assertEqual([self.instance.name], self.driver.list_instances())
        self.assertEqual(1, self.driver.get_num_instances())

    def test_power_state(self):
        def known(cached):
            info = self.driver.get_info(self.instance, cached)
            return info.state, info.internal_id

        expected = power_state.RUNNING, self.rescuer['Id']
        self.assertEqual(expected, known(cached=False))
        # The cache is as old as the last event that was read.
        engine_cases.wait_until(lambda: known(cached=True) == expected)

    def test_stop_and_start(self):
        self.power_off()
        self.assertEqual('exited', self.rescuer['State'])
        self.power_on()
        self.assertEqual('running', self.rescuer['State'])
        self.assertEqual('exited', self.state)
        self.assertIn('mounts', self.device()['containerEdits'])

    def test_pause_and_console(self):
        self.driver.pause(self.instance)
        self.assertEqual('paused', self.rescuer['State'])
        self.engine.write_log(self.rescuer['Id'], b'in rescue')
        self.assertEqual(
            'in rescue',
            self.driver.get_console_output(self.context, self.instance))

    def test_start_after_the_cdi_file_went(self):
        """As after a reboot of the host: it is on a tmpfs."""
        self.power_off()
        os.unlink(os.path.join(self.compute.cdi_dir,
                               names.cdi_file(uuids.instance)))
        self.driver.resume_state_on_host_boot(
            self.context, self.instance, self.network_info, None)
        self.assertEqual('running', self.rescuer['State'])
        self.assertIn('mounts', self.device()['containerEdits'])

    def test_start_without_the_other(self):
        self.power_off()
        self.engine.remove_container(self.own)
        self.assertRaises(exception.InstanceNotFound, self.power_on)

    def test_restart_of_nova_compute(self):
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        info = self.driver.get_info(self.instance)
        self.assertEqual(self.rescuer['Id'], info.internal_id)
        self.unrescue()
        self.assertEqual('running', self.state)

    def test_destroy_removes_both(self):
        self.destroy()
        self.assertIsNone(self.rescuer)
        self.assert_nothing_left()
