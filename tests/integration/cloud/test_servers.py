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

"""What a plain user does with servers, on a whole cloud."""

import contextlib
import re

import openstack

from tests.integration.cloud import base


class NetworkTest(base.CloudTestCase):

    def test_network_is_there_at_the_first_instruction(self):
        """The image's command prints addresses and routes first of all."""
        server = self.create('first-act')
        ipv4, ipv6 = self.addresses(server)
        log = base.wait_for('the log', lambda: self._complete(server))
        self.assertIn(f'inet {ipv4}/', log)
        self.assertIn(f'inet6 {ipv6}/', log)
        self.assertIn('default via 10.20.0.1 dev eth0', log)
        mac = server.addresses['private'][0]['OS-EXT-IPS-MAC:mac_addr']
        self.assertIn(mac, log)
        self.assertEqual(1, len(re.findall(r'^\d+: eth\d', log, re.M)))

    def _complete(self, server):
        log = self.console(server)
        return log if f'{server.name} is up' in log else None

    def test_servers_reach_each_other(self):
        one, two = self.create('one'), self.create('two')
        for address in self.addresses(two):
            self.assert_pings(one, address)
        for address in self.addresses(one):
            self.assert_pings(two, address)
        # Checksums left to a device would let ping through, but not TCP.
        self.assert_fetches(one, f'http://{self.addresses(two)[0]}/',
                            'two\n')

    def test_floating_ip_from_the_host(self):
        server = self.create('floating')
        self.assert_serves(self.floating_ip(server), 'floating\n')

    def test_metadata(self):
        server = self.create('metadata')
        self.assertEqual(server.id, self.metadata(server)['uuid'])


class LifeTest(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.create('life')

    def _ports(self):
        return self.host_of(self.server).ports()

    def _started(self):
        return self.container(self.server)['State']['StartedAt']

    def _assert_network(self):
        self.assert_pings(self.server, '10.20.0.1')

    def test_reboot(self):
        for kind in ('SOFT', 'HARD'):
            before = self._started()
            ports = self._ports()
            self.compute.reboot_server(self.server, kind)
            base.wait_for(f'{kind} reboot',
                          lambda: self._started() != before)
            self.wait_status(self.server, 'ACTIVE')
            self._assert_network()
            self.assertEqual(ports, self._ports())

    def test_hard_reboot_makes_a_lost_container_again(self):
        self.host_of(self.server).engine.remove_container(
            f'nova-{self.server.id}', force=True)
        base.wait_for('a hard reboot', self._reboot_hard)
        base.wait_for('the container', self._running)
        self.wait_status(self.server, 'ACTIVE')
        self._assert_network()

    def _reboot_hard(self):
        # Not while Nova tries to stop what it saw end.
        with contextlib.suppress(openstack.exceptions.ConflictException):
            self.compute.reboot_server(self.server, 'HARD')
            return True

    def _running(self):
        return [each for each in self.containers(self.server)
                if each['State'] == 'running']

    def test_pause_and_unpause(self):
        self.compute.pause_server(self.server)
        self.wait_status(self.server, 'PAUSED')
        self.assertTrue(self.container(self.server)['State']['Paused'])
        self.compute.unpause_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self.assertFalse(self.container(self.server)['State']['Paused'])
        self._assert_network()

    def test_stop_and_start(self):
        self.compute.stop_server(self.server)
        self.wait_status(self.server, 'SHUTOFF')
        self.assertFalse(self.container(self.server)['State']['Running'])
        self.assertIn('life is up', self.console(self.server))
        self.compute.start_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self._assert_network()

    def test_server_that_ends_by_itself_is_shut_off(self):
        self.host_of(self.server).engine.kill(f'nova-{self.server.id}')
        self.wait_status(self.server, 'SHUTOFF')
        self.compute.start_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self._assert_network()

    def test_rebuild(self):
        before = self.container(self.server)['Id']
        image = self.cloud.image.find_image('busybox')
        self.compute.rebuild_server(self.server, image=image.id)

        def another():
            return [each for each in self._running() if each['Id'] != before]
        base.wait_for('another container', another)
        self.wait_status(self.server, 'ACTIVE')
        self._assert_network()

    def test_compute_killed_in_the_middle_of_a_spawn(self):
        """The user is told, and what was half made goes with the server."""
        with contextlib.ExitStack() as hung:
            # Where a spawn plugs its ports; Nova's claim asks the engine.
            for host in self.hosts.values():
                hung.enter_context(host.hung('ovsdb-server'))
            server = self.build('killed')
            base.wait_for('spawning', lambda: self.compute.get_server(
                server.id).task_state == 'spawning')
            for host in self.hosts.values():
                host.kill('nova-compute')
        self.wait_status(server, 'ERROR')
        self.delete(server)
        self.create('next')

    def test_compute_killed_leaves_servers_alone(self):
        server = self.create('survivor')
        before = self.container(server)['State']['Pid']
        self.host_of(server).kill('nova-compute')
        self.compute.stop_server(server)
        self.wait_status(server, 'SHUTOFF')
        self.compute.start_server(server)
        self.wait_status(server, 'ACTIVE')
        self.assertNotEqual(before,
                            self.container(server)['State']['Pid'])
        self.assert_pings(server, '10.20.0.1')
