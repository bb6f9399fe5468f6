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


"""What happens to an instance behind Nova's back, and what comes of it."""

import time

from nova.compute import power_state

from nova_docker.spec import names
from tests.fixtures import busybox
from tests.functional import base

#: Ends for want of memory, a while after Nova has done with the spawn.
HUNGRY = f'sh -c "echo ready; sleep 3; {busybox.HUNGRY}"'

#: Seconds. Without the event it would be the ten minutes of Nova's sync.
AT_ONCE = 60


class EventsTest(base.FunctionalTestCase):

    def name(self, server):
        return names.container_name(server['id'])

    def test_out_of_memory(self):
        self.image_id = self.add_image(
            base.busybox.archive(), 'bb',
            properties={'os_command_line': HUNGRY})
        server = self.boot()
        before = time.monotonic()
        server = self._wait_for_server_parameter(server, {
            'status': 'SHUTOFF', 'OS-EXT-STS:task_state': None})
        self.assertLess(time.monotonic() - before, AT_ONCE)
        self.assertTrue(self.container(server)['State']['OOMKilled'])
        self.assertEqual(power_state.CRASHED,
                         server['OS-EXT-STS:power_state'])
        self.delete(server)

    def test_stopped_by_hand(self):
        server = self.boot()
        self.engine.stop_container(self.name(server), 0)
        self._wait_for_state_change(server, 'SHUTOFF')
        self.delete(server)

    def test_restarted_by_hand_stays_active(self):
        server = self.boot()
        self.neutron.create_port({'port': self.neutron.port_2})
        other = self.boot(networks=[{'port': self.neutron.port_2['id']}])
        before = self.container(server)['State']['Pid']
        self.by_hand.restart(self.name(server), timeout=0)
        self.by_hand.stop(self.name(other), timeout=0)
        # Nova is told of both ends in their order, if it is told.
        self._wait_for_state_change(other, 'SHUTOFF')
        server = self.api.get_server(server['id'])
        self.assertEqual(('ACTIVE', None), (
            server['status'], server['OS-EXT-STS:task_state']))
        state = self.container(server)['State']
        self.assertTrue(state['Running'])
        self.assertNotEqual(before, state['Pid'])
        self.api.delete_server(other['id'])
        self._wait_until_deleted(other)
        self.delete(server)

    def test_started_by_hand_is_stopped(self):
        server = self.boot()
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.engine.start_container(self.name(server), 30)
        self._wait_for_server_parameter(
            server, {'status': 'SHUTOFF', 'OS-EXT-STS:task_state': None})
        for _time in range(600):
            if not self.container(server)['State']['Running']:
                break
            time.sleep(0.1)
        self.assertFalse(self.container(server)['State']['Running'])
        self.delete(server)

    def test_paused_by_hand_shows(self):
        server = self.boot()
        self.engine.pause_container(self.name(server))
        self._wait_for_server_parameter(
            server, {'OS-EXT-STS:power_state': power_state.PAUSED})
        self.engine.unpause_container(self.name(server))
        self._wait_for_server_parameter(
            server, {'OS-EXT-STS:power_state': power_state.RUNNING})
        self.delete(server)
