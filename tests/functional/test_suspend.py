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

"""Suspend and resume, by Nova's API."""

import os

import docker
from nova.compute import power_state

from nova_docker.spec import names
from tests.functional import base

#: Counts in memory only; what it counts is what goes on.
COUNT = ('sh -c "ip -o addr show dev eth0; i=0; trap \'exit 0\' TERM; '
         'while :; do i=$((i+1)); echo count $i; sleep 0.2; done"')


class SuspendTestCase(base.FunctionalTestCase):

    suspend: str

    def setUp(self):
        super().setUp()
        self.by_hand = docker.APIClient(
            base_url=os.environ['DOCKER_HOST'], version='auto')
        self.addCleanup(self.by_hand.close)
        self.flags(group='docker', suspend=self.suspend, criu='')
        self.compute = self.restart_compute_service(self.compute)
        self.image_id = self.add_image(
            self.glance._imagedata[self.image_id], 'count',
            properties={'os_command_line': COUNT})
        self.server = self.boot()
        self.console(self.server, 'count 3')

    def counted(self):
        """Where it is in counting."""
        lines = self.console(self.server, 'count').splitlines()
        return int(lines[-1].split()[-1])

    def runs(self):
        """Number of starts of its processes."""
        return self.console(self.server, 'count').split().count('1')

    def assert_goes_on(self, count):
        self.console(self.server, f'count {count + 3}')
        self.assertLess(count, self.counted())
        self.assertEqual(1, self.runs())

    def do_suspend(self):
        server = self.act(self.server, {'suspend': None}, 'SUSPENDED')
        self.assertEqual(power_state.SUSPENDED,
                         server['OS-EXT-STS:power_state'])

    def do_resume(self):
        self.act(self.server, {'resume': None}, 'ACTIVE')

    def run_in(self, command):
        made = self.by_hand.exec_create(
            names.container_name(self.server['id']),
            ['sh', '-c', command])['Id']
        output = self.by_hand.exec_start(made).decode()
        self.assertEqual(
            0, self.by_hand.exec_inspect(made)['ExitCode'], output)
        return output


class CheckpointTest(SuspendTestCase):

    suspend = 'checkpoint'

    def setUp(self):
        super().setUp()
        if not self.engine.info()['ExperimentalBuild']:
            self.skipTest('CRIU does not work here: tools/engine start '
                          '--checkpoints')

    def test_life(self):
        self.run_in('echo kept > /dev/shm/kept && echo kept > /kept')
        address = self.run_in('ip -o addr show dev eth0')
        count = self.counted()
        self.do_suspend()
        self.assertEqual('exited', self.container(self.server)[
            'State']['Status'])
        self.do_resume()
        self.assert_goes_on(count)
        self.assertEqual(address, self.run_in('ip -o addr show dev eth0'))
        self.run_in('grep kept /kept /dev/shm/kept')
        # Again, from what was restored.
        count = self.counted()
        self.do_suspend()
        self.do_resume()
        self.assert_goes_on(count)
        self.delete(self.server)

    def test_nova_compute_restarts(self):
        count = self.counted()
        self.do_suspend()
        self.compute = self.restart_compute_service(self.compute)
        self.assertEqual(power_state.SUSPENDED, self.api.get_server(
            self.server['id'])['OS-EXT-STS:power_state'])
        self.do_resume()
        self.assert_goes_on(count)
        self.delete(self.server)

    def test_hard_reboot_gives_it_up(self):
        self.do_suspend()
        self.act(self.server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.assertEqual([], self.engine.list_checkpoints(
            names.container_name(self.server['id'])))
        self.delete(self.server)

    def test_by_hand(self):
        count = self.counted()
        self.do_suspend()
        self.assertRaises(docker.errors.APIError, self.by_hand.start,
                          names.container_name(self.server['id']))
        self.do_resume()
        self.assert_goes_on(count)
        self.delete(self.server)

    def test_deleted(self):
        self.do_suspend()
        self.delete(self.server)


class FreezeTest(SuspendTestCase):

    suspend = 'freeze'

    def test_life(self):
        count = self.counted()
        self.do_suspend()
        self.do_resume()
        self.assert_goes_on(count)
        self.do_suspend()
        self.delete(self.server)

    def test_lost(self):
        self.do_suspend()
        self.engine.kill_container(names.container_name(self.server['id']))
        self.do_resume()
        self.delete(self.server)


class RefuseTest(SuspendTestCase):

    suspend = 'refuse'

    def test_refused(self):
        self.api.post_server_action(self.server['id'], {'suspend': None})
        server = self._wait_for_server_parameter(
            self.server, {'status': 'ACTIVE', 'OS-EXT-STS:task_state': None})
        self.assert_goes_on(self.counted())
        self.delete(server)
