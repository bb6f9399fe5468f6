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


"""Health checks, the watchdog, and crash dumps."""

import time

from nova import context
from nova import objects

from tests import engine_cases
from tests.fixtures import busybox
from tests.functional import base

#: Makes itself ill after a while, where it was not before.
COMMAND = ('sh -c "ip addr; echo ready; trap \'exit 0\' TERM; '
           'trap \'echo dumped\' QUIT; '
           '[ -e /was ] || { sleep 3; touch /sick /was; }; '
           'while :; do sleep 1 & wait $!; done"')


class WatchdogTest(base.FunctionalTestCase):

    def boot_watched(self, action, check='test ! -e /sick'):
        flavor = self.admin_api.post_flavor({'flavor': {
            'name': action, 'id': f'1-{action}', 'vcpus': 1, 'ram': 64,
            'disk': 1}})
        self.admin_api.post_extra_spec(flavor['id'], {
            'extra_specs': {'hw:watchdog_action': action}})
        self.flavor_id = flavor['id']
        self.image_id = self.add_image(busybox.archive(), 'bb', properties={
            'os_command_line': COMMAND, 'docker_healthcheck': check,
            'docker_healthcheck_interval': '1',
            'docker_healthcheck_retries': '1'})
        return self.boot()

    def wait_for(self, server, status):
        self._wait_for_server_parameter(server, {
            'status': status, 'OS-EXT-STS:task_state': None})

    def actions(self, server):
        return [action['action'] for action in
                self.api.get_instance_actions(server['id'])]

    @base.one_nova
    def test_pause(self):
        server = self.boot_watched('pause')
        self.wait_for(server, 'PAUSED')
        self.assertEqual(['pause', 'create'], self.actions(server))
        self.assertTrue(self.container(server)['State']['Paused'])
        # It is still ill, which is no news.
        self.act(server, {'unpause': {}}, 'ACTIVE')
        self.delete(server)

    @base.one_nova
    def test_poweroff(self):
        server = self.boot_watched('poweroff')
        self.wait_for(server, 'SHUTOFF')
        self.assertEqual(['stop', 'create'], self.actions(server))
        self.delete(server)

    def test_reset(self):
        """Once: after it, the check passes."""
        server = self.boot_watched(
            'reset', 'sh -c "[ ! -e /sick ] || { rm /sick; exit 1; }"')
        before = self.container(server)['Id']
        engine_cases.wait_until(
            lambda: self.console(server).count('ready') == 2)
        self.assertEqual(2, self.console(server).count('192.168.1.3/24'))
        self.wait_for(server, 'ACTIVE')
        self.assertEqual(before, self.container(server)['Id'])
        self.assertEqual(['reboot', 'create'], self.actions(server)[-2:])
        self.delete(server)

    @base.one_nova
    def test_health_in_diagnostics_and_crash_dump(self):
        server = self.boot_watched('none')
        self.console(server)
        self.api.post_server_action(server['id'], {'trigger_crash_dump': None})
        self.assertIn('dumped', self.console(server, 'dumped'))
        instance = objects.Instance.get_by_uuid(
            context.get_admin_context(), server['id'])
        for _time in range(600):
            health = self.driver.get_diagnostics(instance)['health']
            if health == 'unhealthy':
                break
            time.sleep(0.1)
        self.assertEqual('unhealthy', health)
        self.assertEqual('ACTIVE', self.api.get_server(server['id'])['status'])
        self.delete(server)
