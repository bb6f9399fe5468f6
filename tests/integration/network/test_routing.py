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

"""Servers with several ports, with traffic on the real kernel; needs root.

What a port sends passes by a filter that drops what has not the port's MAC
and IP addresses, as Neutron's port security does.
"""

import contextlib
import dataclasses
import os
import re
import subprocess

import fixtures
from oslotest import base

from nova_docker.network import netns
from nova_docker.privsep import link
from nova_docker.spec import ports
from tests.fixtures import network
from tests.fixtures import openvswitch
from tests.fixtures import privsep

#: What is beyond the routers of the ports' subnets.
OUTSIDE = {4: '203.0.113.5', 6: '2001:db8::5'}

_SERVE = """
import socket
with socket.create_server(('', 7777), family=socket.AF_INET6,
                          dualstack_ipv6=True) as server:
    print('ready', flush=True)
    while True:
        wire, _ = server.accept()
        wire.sendall(wire.recv(9))
        wire.close()
"""
_CALL = """
import socket, sys
with socket.create_connection(
        (sys.argv[1], 7777), 3, source_address=(sys.argv[2], 0)) as wire:
    wire.sendall(b'x')
    assert wire.recv(9) == b'x'
"""


def run(*command, inside=None, **kwargs):
    enter = ['nsenter', f'--net=/proc/{inside.pid}/ns/net'] if inside else []
    return subprocess.run([*enter, *command], check=True, timeout=30,
                          capture_output=True, text=True, **kwargs).stdout


class RoutingTest(base.BaseTestCase):
    """A container with two ports, and a peer in the networks of both."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.switch = self.useFixture(openvswitch.OpenVSwitch())
        self.host = self.useFixture(network.HostPorts())
        self.peer = self.useFixture(network.Namespace())
        self.inside = self.useFixture(network.Namespace())
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'netns')
        self.addCleanup(netns.release, self.path)

    @staticmethod
    def _port(index, subnet, host):
        metric = 100 * index
        return dataclasses.replace(
            network.make_port(index), addresses=(
                ports.Address(f'10.{subnet}.0.{host}', 24, 4),
                ports.Address(f'10.{subnet}.0.{host + 100}', 24, 4),
                ports.Address(f'fd00:{subnet}::{host}', 64, 6)),
            routes=(
                ports.Route('0.0.0.0/0', f'10.{subnet}.0.1', metric, 4),
                ports.Route('::/0', f'fd00:{subnet}::1', 1024 + metric, 6)))

    def _network(self, subnet, *members):
        """A switch with the peer, which is the subnet's router, and ports."""
        bridge, tap, eth = (f'{name}{subnet}' for name in ('br', 'pt', 'pe'))
        self.switch.vsctl('add-br', bridge, '--', 'set', 'bridge', bridge,
                          'datapath_type=netdev')
        run('ip', 'link', 'add', tap, 'up', 'type', 'veth', 'peer', eth)
        run('ethtool', '-K', eth, 'tx', 'off')
        self.switch.vsctl('add-port', bridge, tap)
        run('ip', 'link', 'set', eth, 'netns', str(self.peer.pid))
        for words in ((f'10.{subnet}.0.1/24',),
                      (f'fd00:{subnet}::1/64', 'nodad'),
                      (f'{network.ROUTER}/64', 'nodad')):
            self.peer.ip('addr', 'add', *words, 'dev', eth)
        self.peer.ip('link', 'set', eth, 'up')
        self.host.make(*members)
        for port in members:
            self._secure(bridge, port)

    def _secure(self, bridge, port):
        """Drop what the port may not send, as the firewall of Neutron."""
        self.switch.vsctl('add-port', bridge, port.host_device)
        match = f'in_port={port.host_device},dl_src={port.mac}'
        flows = [f'priority=9,{match},ipv6,ipv6_src=fe80::/10,actions=NORMAL']
        for address in port.addresses:
            kinds = ((f'ip,nw_src={address.address}',
                      f'arp,arp_spa={address.address}')
                     if address.version == 4 else
                     (f'ipv6,ipv6_src={address.address}',))
            flows += [f'priority=9,{match},{kind},actions=NORMAL'
                      for kind in kinds]
        flows += [f'priority=8,in_port={port.host_device}{kind},actions=drop'
                  for kind in (',arp', ',ip', '')]
        run('ovs-ofctl', 'add-flows', self._management(bridge), '-',
            input='\n'.join(flows))

    def _management(self, bridge):
        return f'unix:{self.switch.directory}/{bridge}.mgmt'

    def _dropped(self, bridge='br1'):
        """Packets of IPv4 and ARP that ports were not allowed to send."""
        run('ovs-appctl', '-t', f'{self.switch.directory}/ovs-vswitchd.ctl',
            'revalidator/wait')
        flows = run('ovs-ofctl', 'dump-flows', self._management(bridge))
        return sum(int(re.search(r'n_packets=(\d+)', flow).group(1))
                   for flow in flows.splitlines()
                   if re.search('priority=8,(arp|ip),', flow))

    def _configure(self, *members, earlier=()):
        netns.configure(self.inside.pid, members, earlier)
        netns.route(self.inside.pid, members, earlier)

    @contextlib.contextmanager
    def _served(self):
        with subprocess.Popen(
                ['nsenter', f'--net=/proc/{self.inside.pid}/ns/net',
                 'python3', '-c', _SERVE],
                stdout=subprocess.PIPE, text=True) as server:
            try:
                self.assertEqual('ready\n', server.stdout.readline())
                yield
            finally:
                server.kill()

    def _ping(self, address, source):
        run('ping', '-c', '1', '-W', '3', address,
            *(['-I', source] if source else []), inside=self.peer)

    def _call(self, *members, source=None):
        """Ping each address of the ports and connect to it."""
        with self._served():
            for port in members:
                for address in port.addresses:
                    own = source[address.version] if source else ''
                    self._ping(address.address, own)
                    run('python3', '-c', _CALL, address.address, own,
                        inside=self.peer)

    def _policy(self):
        """What there is of rules, and of routes that are not the kernel's."""
        return [
            (family, each.get('src'), each.get('table'))
            for family in ('-4', '-6')
            for each in (*self.inside.ip(family, 'rule'), *self.inside.ip(
                family, 'route', 'show', 'table', 'all'))
            if 'dst' not in each and each['src'] != 'all' or
            each.get('table', '').startswith('200')]

    def _two_in_one_subnet(self):
        made = [self._port(0, 1, 5), self._port(1, 1, 6)]
        self._network(1, *made)
        return made

    def test_the_filter_drops_what_leaves_by_the_wrong_port(self):
        made = self._two_in_one_subnet()
        netns.configure(self.inside.pid, made)
        self._call(made[0])
        self.assertRaises(subprocess.CalledProcessError, self._call, made[1])
        self.assertLess(0, self._dropped())

    def test_two_ports_in_one_subnet(self):
        made = self._two_in_one_subnet()
        self._configure(*made)
        self._call(*made)
        # Nor does one answer ARP for the other.
        self.assertEqual(0, self._dropped())

    def test_neighbours_do_not_need_the_gateway(self):
        # Which is away.
        made = [dataclasses.replace(port, routes=tuple(
            dataclasses.replace(route, gateway=f'{route.gateway}99')
            for route in port.routes)) for port in self._two_in_one_subnet()]
        self._configure(*made)
        self._call(*made)
        for port in made:
            self._ping(port.addresses[-1].address, f'{network.ROUTER}%pe1')
        self.assertEqual(0, self._dropped())

    def test_strict_reverse_path_filter(self):
        made = self._two_in_one_subnet()
        run('sh', '-c', 'for each in all default; do echo 1 > '
            '/proc/sys/net/ipv4/conf/$each/rp_filter; done',
            inside=self.inside)
        self._configure(*made)
        self._call(*made)

    def _route_outside(self):
        for version, address in OUTSIDE.items():
            self.peer.ip('addr', 'add', address, 'dev', 'lo')
        self.peer.ip('link', 'set', 'lo', 'up')

    def test_by_the_gateway_of_each(self):
        made = [self._port(0, 1, 5), self._port(1, 2, 6)]
        for port, subnet in zip(made, (1, 2)):
            self._network(subnet, port)
        self._route_outside()
        self._configure(*made)
        self._call(*made, source=OUTSIDE)
        # From the subnet of one port to another one, through the router.
        self._call(made[0], source={4: '10.2.0.1', 6: 'fd00:2::1'})
        self._call(made[1], source={4: '10.1.0.1', 6: 'fd00:1::1'})

    def test_gateway_outside_of_the_subnet(self):
        made = self._two_in_one_subnet()
        self._route_outside()
        made[1] = dataclasses.replace(made[1], addresses=(
            ports.Address('10.1.0.6', 32, 4),), routes=(
                ports.Route('10.1.0.1/32', None, 100, 4),
                ports.Route('0.0.0.0/0', '10.1.0.1', 100, 4)))
        self._configure(*made)
        self._call(*made, source=OUTSIDE)

    def test_after_a_restart(self):
        made = self._two_in_one_subnet()
        self._configure(*made)
        netns.hold(self.path, self.inside.pid)
        before = self._policy()
        self.inside.end()
        self.assertTrue(netns.take_back(self.path, made))
        self.inside = self.useFixture(network.Namespace())
        self._configure(*made)
        self.assertEqual(before, self._policy())
        self._call(*made)

    def test_single_port_has_no_policy(self):
        one = self._port(0, 1, 5)
        self._network(1, one)
        before = self._policy()
        self._configure(one)
        self.assertEqual([], self._policy())
        self.assertEqual([], before)

    def test_attach_change_and_detach(self):
        first, second = self._two_in_one_subnet()
        self._configure(first)
        netns.configure(self.inside.pid, [second], [first])
        netns.route(self.inside.pid, [first, second], [first])
        self._call(first, second)
        moved = dataclasses.replace(second, addresses=second.addresses[1:])
        netns.configure(self.inside.pid, [moved], [first, second])
        netns.route(self.inside.pid, [first, moved], [first, second])
        self.assertNotIn('10.1.0.6', {
            address for _, address, _ in self._policy()})
        self._call(first, moved)
        link.delete_pair(second.host_device, second.parked_device)
        netns.route(self.inside.pid, [first], [first, moved])
        self.assertEqual([], self._policy())
        self._call(first)

    def test_again_changes_nothing(self):
        made = self._two_in_one_subnet()
        self._configure(*made)
        before = self._policy()
        # Two rules of IPv4 and one of IPv6 for each.
        self.assertEqual(6, sum(each[1] is not None for each in before))
        self._configure(*made, earlier=made)
        self.assertEqual(before, self._policy())
