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

"""Programs of a compute host that die and are started again under servers."""

import contextlib
import functools
import json
import re
import signal
import subprocess

import openstack

from evalcloud import settings
from tests.integration.cloud import base

_SERVERS = 10 if base.LONG else 3
#: Seconds that a restarted program may take to serve, on a busy machine.
_PATIENCE = 180
_PING = ('ping', '-c', '1', '-W', '2')
#: What no packet passes through: of these a restart may lose none.
_BESIDE = (('nova-compute', signal.SIGKILL), ('dockerd', signal.SIGTERM),
           ('dockerd', signal.SIGKILL))
#: What makes up the packets' path, and who tells it what to do.
_PATH = {'ovn': ('ovs-vswitchd', 'ovsdb-server', 'ovn-controller'),
         'ovs': ('ovsdb-server', 'neutron-openvswitch-agent')}
#: The same of ML2/OVS where the network node is another host. Its routers and
#: DHCP servers are internal ports of Open vSwitch, which makes those of the
#: userspace datapath anew, outside their namespaces, when it starts again.
_PATH_APART = {**_PATH, 'ovs': ('ovs-vswitchd', *_PATH['ovs'])}


class RestartTestCase(base.CloudTestCase):
    """Several servers with floating IPs, the first one pings the second."""

    def setUp(self):
        super().setUp()
        self.settings = settings.load(base.state_dir())
        servers = [self.build(f'server-{number}')
                   for number in range(_SERVERS)]
        self.servers = [self.wait_status(server, 'ACTIVE')
                        for server in servers]
        self.public = [self.floating_ip(server) for server in self.servers]
        self.wait_reachable()
        self.interfaces = self._interfaces()

    def wait_reachable(self):
        """Wait until all are: from outside, and each by its neighbour."""
        for server, address in zip(self.servers, self.public, strict=True):
            base.wait_for(f'{server.name} from outside', functools.partial(
                self._answers, address), _PATIENCE)
        for server, other in zip(
                self.servers, [*self.servers[1:], *self.servers[:1]],
                strict=True):
            for address in self.addresses(other):
                base.wait_for(
                    f'{server.name} reaches {other.name}', functools.partial(
                        self._reaches, server, address), _PATIENCE)

    @staticmethod
    def _answers(address):
        return not subprocess.call([*_PING, address],
                                   stdout=subprocess.DEVNULL)

    def _reaches(self, server, address):
        return not self.execute(server, *_PING, address)[0]

    def _interfaces(self):
        """MAC, addresses and routes of each server."""
        return [self.execute(
            server, 'sh', '-c',
            'cat /sys/class/net/eth0/address; ip -o address; ip route')[1]
            for server in self.servers]

    def kill(self, program, number=signal.SIGKILL):
        """Kill a program on each host; wait until engine and Nova serve."""
        for host in self.hosts.values():
            host.kill(program, number)
            base.wait_for('the engine', host.answers, _PATIENCE)
        for server in self.servers:
            base.wait_for('nova-compute', functools.partial(
                self._serves, server), _PATIENCE)

    def _serves(self, server):
        with contextlib.suppress(openstack.exceptions.HttpException):
            return self.console(server)

    def set_live_restore(self, on):
        """As an operator does: change daemon.json and have it read again."""
        for host in self.hosts.values():
            file = host.engine_config
            before = file.read_text()
            file.write_text(json.dumps(
                json.loads(before) | {'live-restore': on}))
            self.addCleanup(host.send_signal, 'dockerd', signal.SIGHUP)
            self.addCleanup(file.write_text, before)
            host.send_signal('dockerd', signal.SIGHUP)
            base.wait_for('live-restore', lambda host=host: host.engine.info()[
                'LiveRestoreEnabled'] == on)

    def set_resume(self):
        """Have Nova start servers again that ended with their host."""
        for host in self.hosts.values():
            self.resume_on(host)
        self.kill('nova-compute')

    @contextlib.contextmanager
    def nothing_lost(self):
        """Ping all the time, from outside and between servers."""
        inside = [
            'nsenter', '--net=/proc/{}/ns/net'.format(
                self.container(self.servers[0])['State']['Pid']),
            'ping', '-i', '0.2', self.addresses(self.servers[1])[0]]
        pings = [subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
                 for command in (inside, *(['ping', '-i', '0.2', address]
                                           for address in self.public))]
        try:
            yield
        finally:
            for ping in pings:
                ping.send_signal(signal.SIGINT)
            outputs = [ping.communicate()[0] for ping in pings]
        for output in outputs:
            answered = {int(number) for number in
                        re.findall(r'icmp_seq=(\d+) ', output)}
            sent = int(re.search(r'(\d+) packets transmitted', output)[1])
            # What was on its way at the end does not count.
            self.assertEqual(set(), {*range(1, sent - 4)} - answered)

    def assert_all_works(self):
        """What the restarted programs do for a server, they do again."""
        network, _subnet = self.network_of_its_own('10.46.0.0/24')
        one, two = self.servers[:2]
        made = [self.compute.create_server_interface(
            server, net_id=network.id) for server in (one, two)]
        self.assert_pings(one, made[1].fixed_ips[0]['ip_address'])
        for interface, server in zip(made, (one, two), strict=True):
            self.compute.delete_server_interface(interface, server)
            port = interface.port_id
            base.wait_for('detached', lambda port=port: (
                not self.network.find_port(port)))
        self.assertEqual(self.interfaces, self._interfaces())

    def started(self):
        """When each of those that run was started."""
        states = [self.container(server)['State']
                  for server in self.servers]
        return [state['StartedAt'] for state in states if state['Running']]

    def status(self):
        return {self.compute.get_server(server.id).status
                for server in self.servers}


class LiveRestoreTest(RestartTestCase):
    """Servers go on, whatever is restarted."""

    def setUp(self):
        super().setUp()
        self.set_live_restore(True)

    def test_each_is_killed(self):
        before = self.started()
        for program, number in _BESIDE:
            with self.nothing_lost():
                self.kill(program, number)
                self.wait_reachable()
        paths = _PATH_APART if len(self.hosts) > 1 else _PATH
        for program in paths[self.settings.network]:
            self.kill(program)
            self.wait_reachable()
        self.assertEqual({'ACTIVE'}, self.status())
        self.assertEqual(before, self.started())
        self.assert_all_works()


class NoLiveRestoreTest(RestartTestCase):
    """Servers end with the engine, and Nova's option says what then."""

    def setUp(self):
        super().setUp()
        self.set_live_restore(False)

    def test_shut_off_and_started_again(self):
        """Both, with the same servers: making them takes long."""
        self.assert_shut_off()
        self.set_resume()
        self.assert_started_again()

    def assert_started_again(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            before = set(self.started())
            self.kill('dockerd', number)
            base.wait_for('all started', lambda before=before: len(
                {*self.started()} - before) == _SERVERS, _PATIENCE)
            self.wait_reachable()
            base.wait_for('ACTIVE', lambda: self.status() == {'ACTIVE'})
        self.assert_all_works()

    def assert_shut_off(self):
        self.kill('dockerd', signal.SIGTERM)
        base.wait_for('SHUTOFF', lambda: self.status() == {'SHUTOFF'},
                      _PATIENCE)
        for server in self.servers:
            self.compute.start_server(server)
        base.wait_for('ACTIVE', lambda: self.status() == {'ACTIVE'},
                      _PATIENCE)
        self.wait_reachable()
