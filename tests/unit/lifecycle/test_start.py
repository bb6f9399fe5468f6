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


"""Starts: their tries, and those that Nova did not ask for."""

from unittest import mock

import fixtures
from nova import exception
from nova import objects
from os_vif import exception as os_vif_exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.lifecycle import start
from nova_docker.network import plans
from nova_docker.privsep import link
from tests.unit.lifecycle import base


class TriesTest(base.LifecycleTestCase):
    """A start is tried again only when the gate has not seen it."""

    def setUp(self):
        super().setUp()
        self.spawned((self.power_off,))

    def fail(self, *failures):
        for error in failures:
            self.engine.fail_next('start_container', error)

    def tries(self):
        return self.steps().count('start_container')

    def test_the_engine_fails_twice(self):
        self.fail(errors.ServerError('file exists', 500),
                  errors.ServerError('already exists', 500))
        self.power_on()
        self.assertEqual(3, self.tries())
        self.assertEqual('running', self.state)

    def test_the_engine_fails_for_good(self):
        self.fail(*[errors.ServerError(f'try {number}', 500)
                    for number in (1, 2, 3, 4)])
        error = self.assertRaises(exception.InternalError, self.power_on)
        self.assertIn('try 3', error.format_message())
        self.assertEqual(3, self.tries())

    def test_the_gate_has_seen_it(self):
        self.kernel.fail_next('configure', OSError('no such device'))
        self.assertRaises(
            exception.VirtualInterfacePlugException, self.power_on)
        self.assertEqual(1, self.tries())

    def test_the_answer_is_lost_after_the_gate(self):
        self.engine.fail_next('start_container', errors.ServerError(
            'lost', 500), after=True)
        self.assertRaises(exception.InternalError, self.power_on)
        self.assertEqual(1, self.tries())

    def test_other_errors_are_final(self):
        for error in (errors.BadRequest('what?', 400),
                      errors.NotFound('gone', 404),
                      errors.Conflict('in use', 409),
                      errors.Unavailable('away'), errors.Timeout('no word')):
            self.compute.steps.clear()
            self.fail(error)
            self.assertRaises(exception.NovaException, self.power_on)
            self.assertEqual(1, self.tries())

    def test_the_engine_did_not_ask_the_gate(self):
        with mock.patch.object(self.engine, 'on_start', None):
            error = self.assertRaises(
                exception.VirtualInterfacePlugException, self.power_on)
        self.assertIn('start hook', error.format_message())

    def test_time_that_it_may_take(self):
        with mock.patch.object(self.engine, 'start_container', autospec=True,
                               side_effect=errors.Timeout('')) as request:
            self.assertRaises(
                exception.HypervisorUnavailable, self.power_on)
        # The hook's, and what the engine needs for itself.
        self.assertEqual(10 + 60, request.call_args.kwargs['timeout'])


class UnaskedTest(base.LifecycleTestCase):
    """Starts that Nova did not ask for."""

    def setUp(self):
        super().setUp()
        self.get_by_uuid = self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid', autospec=True,
            return_value=self.instance)).mock
        self.spawned((self.power_off,))

    def test_ports_are_where_they_were(self):
        self.assertIsNone(self.foreign_start().exception(60))
        self.assertEqual(
            ['start_container', 'take_back', 'release', 'configure', 'hold'],
            self.steps())
        # Neither Neutron nor Nova's database are asked.
        self.get_by_uuid.assert_not_called()

    def test_ports_are_gone(self):
        self.kernel.pairs.clear()
        self.assertIsNone(self.foreign_start().exception(60))
        self.assertEqual('running', self.state)
        self.assertEqual([link.INSIDE], list(self.kernel.pairs.values()))
        self.assertEqual(uuids.instance, self.get_by_uuid.call_args.args[1])

    def test_ports_are_limited_again(self):
        self.kernel.pairs.clear()
        self.instance.flavor.extra_specs = {'quota:vif_inbound_average': '9'}
        self.assertIsNone(self.foreign_start().exception(60))
        _name, (_pid, (port,), _earlier) = next(
            step for step in self.compute.steps if step[0] == 'configure')
        self.assertEqual(9000, port['limits']['inbound']['rate'])

    def test_no_plan(self):
        plans.remove(self.compute.state_dir, uuids.instance)
        plans.ensure(self.compute.state_dir, uuids.instance)
        self.assertIsNone(self.foreign_start().exception(60))
        self.assertEqual([link.INSIDE], list(self.kernel.pairs.values()))
        # The next one needs no help.
        self.power_off()
        self.assertIsNone(self.foreign_start().exception(60))
        self.get_by_uuid.assert_called_once()

    def test_ports_cannot_be_plugged(self):
        self.kernel.pairs.clear()
        self.kernel.fail_next('plug', os_vif_exception.PlugException(
            vif='v', err='no bridge'))
        self.assertIsInstance(
            self.foreign_start().exception(60), errors.ServerError)
        self.assertEqual('exited', self.state)

    def test_nova_does_not_know_the_instance(self):
        self.kernel.pairs.clear()
        self.get_by_uuid.side_effect = exception.InstanceNotFound(
            instance_id=uuids.instance)
        self.assertIsInstance(
            self.foreign_start().exception(60), errors.ServerError)
        self.assertEqual('exited', self.state)

    def test_evacuated(self):
        """On a host that was booted, by somebody who is too fast."""
        self.kernel.pairs.clear()
        self.instance.host = 'host2'
        self.assertIsInstance(
            self.foreign_start().exception(60), errors.ServerError)
        self.assertNotIn('plug', self.steps())
        self.assertEqual('exited', self.state)

    def test_the_network_is_in_use(self):
        self.compute.in_use.return_value = True
        self.assertRaises(BlockingIOError, start.unasked,
                          self.services, uuids.instance)
        self.assertEqual([], self.steps())


class DhcpTest(base.LifecycleTestCase):
    """A container that sets up its interfaces itself."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid', autospec=True,
            return_value=self.instance))
        self.instance.system_metadata['image_docker_dhcp'] = 'true'
        self.instance.flavor.extra_specs = {'docker:net_admin': 'true'}

    def assert_bare(self):
        """Its port was set up without addresses."""
        _name, (_pid, (port,), _earlier) = next(
            step for step in self.compute.steps if step[0] == 'configure')
        self.assertEqual('eth0', port['name'])
        self.assertEqual(([], []), (port['addresses'], port['routes']))

    def test_spawn(self):
        self.spawn()
        self.assert_bare()
        self.assertEqual(['NET_ADMIN'], self.engine.inspect_container(
            self.container['Id'])['HostConfig']['CapAdd'])

    def test_flavor_that_does_not_allow_it(self):
        self.instance.flavor.extra_specs = {}
        error = self.assertRaises(exception.BuildAbortException, self.spawn)
        self.assertIn('docker:net_admin', error.format_message())
        self.assertEqual([], self.steps())

    def test_malformed(self):
        self.instance.system_metadata['image_docker_dhcp'] = 'often'
        error = self.assertRaises(exception.ImageUnacceptable, self.spawn)
        self.assertIn('docker_dhcp', error.format_message())

    def test_container_that_was_made_so(self):
        """Whatever the image is by now, as after a rebuild that failed."""
        self.spawned((self.power_off,))
        self.instance.system_metadata['image_docker_dhcp'] = 'false'
        self.kernel.pairs.clear()
        self.power_on()
        self.assert_bare()

    def test_start_that_nova_did_not_ask_for(self):
        self.spawned((self.power_off,))
        self.instance.system_metadata['image_docker_dhcp'] = 'false'
        self.kernel.pairs.clear()
        self.assertIsNone(self.foreign_start().exception(60))
        self.assert_bare()

    def test_restart_of_nova_compute(self):
        """What is asserted of a running instance has no addresses either."""
        self.spawned()
        self.driver.plug_vifs(self.instance, self.network_info)
        self.assertEqual([], self.steps(('configure',)))
