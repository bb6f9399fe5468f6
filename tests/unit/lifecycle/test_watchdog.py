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


"""The watchdog asks Nova for what the flavor says, once and in time."""

from unittest import mock

import fixtures
from nova.compute import api
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import watchdog
from nova_docker.spec import names
from tests.fixtures import starts
from tests.unit.lifecycle import base


class WatchdogTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.api = self.useFixture(fixtures.MockPatchObject(
            api, 'API', autospec=True)).mock.return_value
        self.useFixture(fixtures.MockPatchObject(
            objects.Instance, 'get_by_uuid', return_value=self.instance))

    def sick(self, action='reset'):
        """The instance with this action, whose health check fails."""
        self.instance.flavor.extra_specs = {'hw:watchdog_action': action}
        self.spawn()
        self.engine.probe(self.container['Id'], False)

    def asked(self):
        return [call[0] for call in self.api.mock_calls]

    def wait_for(self, *calls):
        starts.wait_until(lambda: self.asked() == list(calls))

    def test_actions(self):
        for action, verb, arguments in (
                ('pause', 'pause', mock.call(mock.ANY, self.instance)),
                ('poweroff', 'stop', mock.call(
                    mock.ANY, self.instance, clean_shutdown=False)),
                ('reset', 'reboot', mock.call(
                    mock.ANY, self.instance, 'HARD'))):
            self.sick(action)
            self.wait_for(verb)
            self.assertEqual(arguments, getattr(self.api, verb).call_args)
            self.destroy()
            self.api.reset_mock()

    def test_once_for_each_time_that_it_becomes_unhealthy(self):
        self.sick()
        self.engine.probe(self.container['Id'], False)
        self.wait_for('reboot')
        self.engine.probe(self.container['Id'], True)
        self.engine.probe(self.container['Id'], False)
        self.wait_for('reboot', 'reboot')

    def test_no_watchdog(self):
        self.sick('none')
        watchdog.act(self.services, uuids.instance)
        self.assertEqual([], self.asked())

    def test_unhealthy_no_more(self):
        self.sick()
        self.wait_for('reboot')
        self.reboot()
        watchdog.act(self.services, uuids.instance)
        self.assertEqual(['reboot'], self.asked())

    def test_evacuated(self):
        self.instance.host = 'host2'
        self.sick()
        watchdog.act(self.services, uuids.instance)
        self.assertEqual([], self.asked())

    def test_stopped(self):
        self.sick()
        self.wait_for('reboot')
        self.power_off()
        watchdog.act(self.services, uuids.instance)
        self.assertEqual(['reboot'], self.asked())

    def test_became_unhealthy_while_nova_compute_was_down(self):
        self.instance.flavor.extra_specs = {'hw:watchdog_action': 'reset'}
        self.spawn()
        self.driver.cleanup_host('host1')
        self.engine.probe(self.container['Id'], False)
        self.assertEqual([], self.asked())
        self.driver = self.compute.driver()
        self.wait_for('reboot')

    def test_instance_has_a_task_or_is_gone(self):
        for error in (exception.InstanceInvalidState(
                attr='task_state', instance_uuid=uuids.instance,
                state='rebooting', method='reboot'),
                exception.InstanceNotFound(instance_id=uuids.instance)):
            self.api.reboot.side_effect = error
            self.sick()
            self.wait_for('reboot')
            watchdog.act(self.services, uuids.instance)
            self.destroy()
            self.api.reset_mock()

    def test_unknown_action_is_refused(self):
        error = self.assertRaises(
            exception.BuildAbortException, self.sick, 'dump')
        self.assertIn('dump', error.format_message())
        self.assertNotIn('create_container', self.steps())

    def test_rescue_has_no_watchdog(self):
        self.instance.flavor.extra_specs = {'hw:watchdog_action': 'reset'}
        self.spawned((self.power_off,))
        self.driver.rescue(self.context, self.instance, self.network_info,
                           self.image_meta, 'secret', {}, [])
        rescuer, own = self.engine.list_containers(
            names.instance_filter(uuids.instance, 'host1'))
        self.assertEqual('', rescuer['Labels'][names.LABEL_WATCHDOG])
        self.assertEqual('reset', own['Labels'][names.LABEL_WATCHDOG])
