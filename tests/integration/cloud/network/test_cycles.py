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

"""What is left of ports and servers that come and go many times."""

import concurrent.futures

import openstack
import psutil

from tests.integration.cloud import base

#: How many are at it at once, each with its share of the cycles.
_WORKERS = 4
#: Cycles before those that count. They fill pools of connections, which are as
#: large as what happens at once.
_WARM_UP = _WORKERS
_CYCLES = 200 if base.LONG else 2 * _WORKERS


def _slack(what):
    """How many more a program may have of something, at any time."""
    if what[1:] == ('nova-compute', 'threads'):
        # Nova's pools get one more with each call until they are full, after
        # some hundred of them.
        return _CYCLES if base.LONG else 100
    return 4


class CyclesTest(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.admin = openstack.connect(cloud='nova-docker')
        self.addCleanup(self.admin.close)

    def assert_cycles_leave_nothing(self, cycle):
        """Run cycles, and see that nothing is there that was not before.

        :param cycle: a function of a connection and of a worker's number
        """
        self._run(cycle, _WARM_UP)
        before = {host: host.traces() for host in self.hosts.values()}
        ports = self._ports()
        used = self._used()
        self._run(cycle, _CYCLES)
        for host, traces in before.items():
            self.assert_nothing_left(host, traces)
        self.assert_becomes(set(), lambda: self._ports() - ports)
        self._assert_used(used)

    @staticmethod
    def _run(cycle, times):
        """Share cycles among workers, each a user with its own connection."""
        def work(number):
            with openstack.connect() as cloud:
                for _time in range(times // _WORKERS):
                    cycle(cloud, number)

        with concurrent.futures.ThreadPoolExecutor(_WORKERS) as pool:
            for done in [pool.submit(work, number)
                         for number in range(_WORKERS)]:
                done.result()

    def _ports(self):
        """What there is in Neutron, of all users."""
        return {port.id for port in self.admin.network.ports()}

    def _used(self):
        """How many descriptors and threads each program uses, by both."""
        found = {}
        for where, host in self.hosts.items():
            for name, process in self._programs(host):
                found[where, name, 'descriptors'] = process.num_fds()
                found[where, name, 'threads'] = process.num_threads()
        return found

    @staticmethod
    def _programs(host):
        """Processes of a host that work for servers, and their names."""
        for name in ('nova-compute', 'ovs-vswitchd', 'dockerd'):
            yield name, psutil.Process(host.pid(name))
        for child in psutil.Process(host.pid('dockerd')).children():
            yield child.name(), child
        for process in psutil.process_iter(['cmdline']):
            words = process.info['cmdline'] or []
            if str(host.compute_config) in words and (
                    '--privsep_context' in words):
                yield words[words.index('--privsep_context') + 1], process

    def _assert_used(self, before):
        def more():
            return {what: (before[what], number)
                    for what, number in self._used().items()
                    if number > before[what] + _slack(what)}
        self.assert_becomes({}, more)

    @base.long_only
    def test_attach_and_detach(self):
        network, _subnet = self.network_of_its_own('10.45.0.0/24')
        servers = [self.build(f'server-{number}')
                   for number in range(_WORKERS)]
        servers = [self.wait_status(server, 'ACTIVE') for server in servers]
        # Not by network: of a port that goes with its detach Neutron tells
        # Nova, which then writes its list of the server's ports down from a
        # copy that may not have the next one yet, and forgets that.
        ports = [self.network.create_port(network_id=network.id).id
                 for _server in servers]
        for port in ports:
            self.addCleanup(self.network.delete_port, port)
        # Not by exec: of each the engine keeps the connection until Go next
        # collects its garbage, which may be two minutes.
        inside = [(self.host_of(server), 'nsenter', '--net=/proc/{}/ns/net'
                   .format(self.container(server)['State']['Pid']))
                  for server in servers]

        def cycle(cloud, number):
            server, port = servers[number], ports[number]
            made = cloud.compute.create_server_interface(
                server, port_id=port)
            host, *enter = inside[number]
            host.run(*enter, 'ip', 'address', 'show', 'dev', 'eth1')
            cloud.compute.delete_server_interface(made, server)
            base.wait_for('detached', lambda: not cloud.network.get_port(
                port).device_id, 180)

        self.assert_cycles_leave_nothing(cycle)

    def test_create_and_delete(self):
        def cycle(cloud, number):
            server = self.build(f'server-{number}', cloud=cloud)
            self.wait_status(server, 'ACTIVE')
            self.delete(server)

        self.assert_cycles_leave_nothing(cycle)
