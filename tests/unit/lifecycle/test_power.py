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


"""power_on, power_off, reboot, pause and unpause."""

import dataclasses
from unittest import mock

from nova import exception
from nova.network import model
from os_vif import exception as os_vif_exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.network import plans
from nova_docker.privsep import link
from nova_docker.spec import names
from tests.fixtures import engine
from tests.unit.lifecycle import base

#: A start whose ports are where the last run left them: no port flaps.
START = ['take_back', 'release', 'plug', 'start_container', 'configure',
         'hold']
NEW_PAIRS = ['take_back', 'release', 'unplug', 'make_pair', 'plug']


class PowerTestCase(base.LifecycleTestCase):

    def pause(self):
        self.driver.pause(self.instance)

    def unpause(self):
        self.driver.unpause(self.instance)

    def assert_not_found(self, verb, *args):
        error = self.assertRaises(exception.InstanceNotFound, verb, *args)
        self.assertIn(uuids.instance, error.format_message())

    def assert_stopped_and_unplugged(self, before):
        """The container is kept and can be started; its ports are not."""
        self.assertEqual(before, self.container['Id'])
        self.assertEqual('exited', self.state)
        self.assertEqual({}, self.kernel.pairs)
        self.assertEqual(set(), self.kernel.plugged)
        self.power_on()
        self.assertEqual('running', self.state)


class PowerOnTest(PowerTestCase):

    def test_order(self):
        self.spawned((self.power_off,))
        self.power_on()
        self.assertEqual(START, self.steps())
        self.assertEqual('running', self.state)

    def test_waits_for_neutron_only_when_a_port_flaps(self):
        self.network_info[0]['active'] = False
        self.spawned((self.power_off,))
        with mock.patch.object(
                self.services.virtapi, 'wait_for_instance_event',
                autospec=True) as wait:
            self.power_on()
            wait.assert_not_called()
            self.power_off()
            self.kernel.pairs.clear()
            self.power_on()
            wait.assert_called_once()

    def test_after_an_exit(self):
        self.spawned()
        self.engine.exit(names.container_name(uuids.instance))
        self.power_on()
        self.assertEqual('running', self.state)

    def test_running_is_left_alone(self):
        self.spawned()
        self.power_on()
        self.assertEqual([], self.steps())

    def test_paused_is_left_alone(self):
        self.spawned((self.pause,))
        self.power_on()
        self.assertEqual([], self.steps())

    def test_one_that_somebody_else_has_just_started_is_left_alone(self):
        """The gate let it go; the engine does not list it as running yet."""
        self.spawned((self.power_off,))
        self.compute.in_use.return_value = True
        self.power_on()
        self.assertEqual([], self.steps())

    def test_never_started(self):
        self.spawn(power_on=False)
        self.power_on()
        self.assertEqual('running', self.state)

    def test_pairs_are_gone(self):
        # After a reboot of the host, for example.
        self.spawned((self.power_off,), (self.kernel.pairs.clear,))
        self.power_on()
        self.assertEqual(NEW_PAIRS, self.steps()[:len(NEW_PAIRS)])
        self.assertEqual('running', self.state)

    def test_writes_the_cdi_file_again(self):
        self.spawned((self.power_off,))
        self.driver.cleanup(self.context, self.instance, self.network_info,
                            destroy_vifs=False)
        self.power_on()
        self.assertEqual('running', self.state)

    def test_no_container(self):
        self.assert_not_found(self.power_on)
        self.assertEqual([], self.steps())


class FailedStartTest(PowerTestCase):
    """No failed start destroys a container, or leaves a port plugged."""

    def setUp(self):
        super().setUp()
        self.spawned((self.power_off,))
        self.before = self.container['Id']

    def fail(self, error, *words):
        raised = self.assertRaises(error, self.power_on)
        for word in words:
            self.assertIn(word, raised.format_message())
        self.assertNotIn('remove_container', self.steps())
        self.assert_stopped_and_unplugged(self.before)

    def test_no_start_without_plug(self):
        self.kernel.fail_next('plug', os_vif_exception.PlugException(
            vif='v', err='no bridge'))
        raised = self.assertRaises(
            exception.VirtualInterfacePlugException, self.power_on)
        self.assertIn('no bridge', raised.format_message())
        self.assertNotIn('start_container', self.steps())

    def test_plug(self):
        self.kernel.pairs.clear()
        self.kernel.fail_next('make_pair', OSError('no memory'))
        self.fail(exception.VirtualInterfacePlugException, 'no memory')

    def test_gate(self):
        self.kernel.fail_next('configure', OSError('no such device'))
        self.fail(exception.VirtualInterfacePlugException, 'no such device')

    def test_engine(self):
        for _attempt in range(3):
            self.engine.fail_next(
                'start_container', errors.ServerError('disk full', 500))
        self.fail(exception.InternalError, 'disk full')

    def test_engine_is_away(self):
        self.engine.fail_next('start_container', errors.Unavailable('gone'))
        self.fail(exception.HypervisorUnavailable, 'gone')

    def test_command_is_gone(self):
        # A user removed it from the container's files.
        with self.engine._container(self.before) as container:
            container.config['Entrypoint'] = [engine.NO_COMMAND]
        error = self.assertRaises(exception.InternalError, self.power_on)
        self.assertIn(engine.NO_COMMAND, error.format_message())
        self.assertEqual({}, self.kernel.pairs)
        self.assertIsNotNone(self.container)

    def test_error_of_the_unplugging_is_not_told(self):
        self.kernel.fail_next('configure', OSError('no such device'))
        self.kernel.fail_next('unplug', OSError('busy'))
        error = self.assertRaises(
            exception.VirtualInterfacePlugException, self.power_on)
        self.assertIn('no such device', error.format_message())

    def test_reboot(self):
        self.power_on()
        self.kernel.fail_next('configure', OSError('no such device'))
        self.assertRaises(exception.VirtualInterfacePlugException,
                          self.reboot)
        self.assert_stopped_and_unplugged(self.before)


class PowerOffTest(PowerTestCase):

    def test_order(self):
        self.spawned()
        self.services.events.stop()
        self.driver.power_off(self.instance, 7)
        self.assertEqual(['stop_container', 'set_down'],
                         self.steps(base.CHANGES | {'set_down'}))
        self.assertEqual(7, dict(self.compute.steps)['stop_container'][1])
        self.assertEqual('exited', self.state)
        self.assertEqual([link.INSIDE], list(self.kernel.pairs.values()))

    def test_twice(self):
        self.spawned((self.power_off,))
        self.power_off()
        self.assertEqual('exited', self.state)

    def test_paused(self):
        self.spawned((self.pause,))
        self.power_off()
        self.assertEqual('exited', self.state)

    def test_no_container(self):
        self.assert_not_found(self.power_off)

    def test_removed_meanwhile(self):
        self.spawned()
        self.engine.fail_next('stop_container', errors.NotFound('gone', 404))
        self.assert_not_found(self.power_off)

    def test_engine_is_away(self):
        self.spawned()
        self.engine.fail_next('stop_container', errors.Unavailable('gone'))
        self.assertRaises(exception.HypervisorUnavailable, self.power_off)
        self.assertEqual('running', self.state)

    def test_gives_up_a_start_that_waits(self):
        self.spawned((self.power_off,))
        with self.services.gate.turn(uuids.instance):
            foreign = self.foreign_start()
            self.wait_for_hooks()
            stopped = self.in_thread(self.power_off)
            self.assertIsInstance(foreign.exception(60), errors.ServerError)
        self.assertIsNone(stopped.exception(60))
        self.assertEqual('exited', self.state)


class RebootTest(PowerTestCase):

    def test_hard(self):
        self.spawned()
        self.reboot()
        self.assertEqual(['stop_container', *START], self.steps())
        self.assertEqual(0, dict(self.compute.steps)['stop_container'][1])
        self.assertEqual('running', self.state)

    def test_soft(self):
        self.flags(shutdown_timeout=33)
        self.spawned()
        before = self.container['Id']
        self.reboot('SOFT')
        self.assertEqual(33, dict(self.compute.steps)['stop_container'][1])
        self.assertEqual('running', self.state)
        self.assertEqual(before, self.container['Id'])

    def test_stopped(self):
        self.spawned((self.power_off,))
        self.reboot()
        self.assertEqual('running', self.state)

    def test_hard_makes_what_is_lost(self):
        self.spawned()
        self.engine.remove_container(self.container['Id'])
        self.kernel.pairs.clear()
        self.reboot()
        self.assertEqual('running', self.state)
        self.assertEqual([link.INSIDE], list(self.kernel.pairs.values()))
        self.assertEqual(1, self.steps().count('create_container'))

    def test_soft_of_no_container(self):
        self.assert_not_found(self.reboot, 'SOFT')
        self.assertEqual([], self.steps())

    def test_removed_meanwhile(self):
        self.spawned()
        self.engine.fail_next('stop_container', errors.NotFound('gone', 404))
        self.assert_not_found(self.reboot)

    def test_not_stopped(self):
        self.spawned()
        before = dict(self.kernel.pairs)
        self.engine.fail_next(
            'stop_container', errors.ServerError('did not end', 500))
        self.assertRaises(exception.InternalError, self.reboot)
        self.assertEqual('running', self.state)
        self.assertEqual(before, self.kernel.pairs)

    def test_gives_up_a_start_that_waits(self):
        self.spawned((self.power_off,))
        with self.services.gate.turn(uuids.instance):
            foreign = self.foreign_start()
            self.wait_for_hooks()
            rebooted = self.in_thread(self.reboot)
            self.assertIsInstance(foreign.exception(60), errors.ServerError)
        self.assertIsNone(rebooted.exception(60))
        self.assertEqual('running', self.state)

    def test_another_port(self):
        self.spawned()
        self.network_info = model.NetworkInfo(
            [*self.network_info, base.make_vif(uuids.other)])
        self.reboot()
        self.assertEqual('running', self.state)
        self.assertEqual(2, len(self.kernel.pairs))


class HostBootTest(PowerTestCase):

    def resume(self):
        self.driver.resume_state_on_host_boot(
            self.context, self.instance, self.network_info, [])

    def test_starts(self):
        self.spawned((self.power_off,))
        self.resume()
        self.assertEqual('running', self.state)

    def test_waits_for_no_event(self):
        """None can reach nova-compute until it has started."""
        self.spawned()
        self.network_info[0]['active'] = False
        self.driver.cleanup_host('host1')
        self.driver = self.compute.starting()
        for verb in self.resume, self.power_on, self.reboot:
            self.power_off()
            self.kernel.pairs.clear()
            with self.waits() as wait:
                verb()
            wait.assert_not_called()
            self.assertEqual('running', self.state)
        self.driver.get_available_resource('host1')
        self.power_off()
        self.kernel.pairs.clear()
        with self.waits() as wait:
            self.reboot()
        wait.assert_called_once()

    def waits(self):
        return mock.patch.object(
            self.services.virtapi, 'wait_for_instance_event', autospec=True)

    def test_no_container(self):
        self.assert_not_found(self.resume)


class PauseTest(PowerTestCase):

    def test_pause_and_unpause(self):
        self.spawned()
        for _again in range(2):
            self.pause()
            self.assertEqual('paused', self.state)
        for _again in range(2):
            self.unpause()
            self.assertEqual('running', self.state)
        self.assertEqual(['pause_container', 'unpause_container'],
                         self.steps())

    def test_ports_are_silent_while_it_is_paused(self):
        self.spawned((self.pause,))
        self.assertEqual({self.network_info[0]['devname']},
                         self.kernel.silent)
        self.unpause()
        self.assertEqual(set(), self.kernel.silent)

    def test_processes_run_with_ports_that_work(self):
        self.spawned((self.pause,), (self.unpause,))
        self.pause()
        self.unpause()
        self.assertEqual(
            ['pause_container', 'set_carrier', 'set_carrier',
             'unpause_container'],
            self.steps({'set_carrier', 'pause_container',
                        'unpause_container'}))

    def test_ports_work_after_any_start(self):
        for start in (self.power_on, self.reboot,
                      lambda: self.foreign_start().result(60)):
            self.spawned((self.pause,))
            self.engine.exit(names.container_name(uuids.instance))
            start()
            self.assertEqual(set(), self.kernel.silent)
            self.destroy()

    def test_virtual_functions_are_left_to_their_network_card(self):
        self.spawned()
        plan = plans.read(self.compute.state_dir, uuids.instance)
        plans.write(self.compute.state_dir, uuids.instance, [
            dataclasses.replace(port, pci_address='0000:81:00.2')
            for port in plan])
        self.pause()
        self.assertEqual(set(), self.kernel.silent)

    def test_not_running(self):
        self.spawned((self.power_off,))
        for verb in (self.pause, self.unpause):
            self.assertRaises(exception.InstanceNotRunning, verb)
        # A container that starts would hold the request up, with the turn.
        self.assertEqual([], self.steps())

    def test_ended_meanwhile(self):
        self.spawned()
        self.engine.fail_next(
            'pause_container', errors.Conflict('is not running', 409))
        self.assertRaises(exception.InstanceNotRunning, self.pause)

    def test_removed_meanwhile(self):
        self.spawned()
        self.engine.fail_next(
            'pause_container', errors.NotFound('gone', 404))
        self.assert_not_found(self.pause)

    def test_no_container(self):
        for verb in (self.pause, self.unpause):
            self.assert_not_found(verb)


class TriggerCrashDumpTest(base.LifecycleTestCase):

    def trigger(self):
        self.driver.trigger_crash_dump(self.instance)

    def test_sends_the_signal(self):
        self.spawned()
        self.trigger()
        self.assertIn(('kill_container', (self.container['Id'], 'SIGQUIT')),
                      self.engine.calls)
        self.assertEqual('running', self.state)

    def test_does_not_run(self):
        self.assertRaises(exception.InstanceNotFound, self.trigger)
        self.spawned((self.power_off,))
        self.assertRaises(exception.InstanceNotRunning, self.trigger)
        self.assertEqual('exited', self.state)

    def test_paused_stays_paused(self):
        self.spawned((self.driver.pause, self.instance))
        self.assertRaises(exception.InstanceNotRunning, self.trigger)
        self.assertEqual('paused', self.state)

    def test_ends_meanwhile(self):
        self.spawned()
        self.engine.fail_next('kill_container',
                              errors.Conflict('is not running', 409))
        self.assertRaises(exception.InstanceNotRunning, self.trigger)
