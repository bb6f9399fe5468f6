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

"""Sub-ports of trunks as VLAN interfaces, with traffic on the real kernel.

Needs root, and for all but one test a kernel with VLANs (CONFIG_VLAN_8021Q).
"""

import dataclasses
import os
import subprocess

import fixtures
from oslotest import base

from nova_docker.network import netns
from nova_docker.privsep import link
from nova_docker.spec import bandwidth
from nova_docker.spec import ports
from tests.fixtures import network
from tests.fixtures import openvswitch
from tests.fixtures import privsep

_MTU = 1400


def make_subport(vlan, host=5, parent='eth0'):
    """A sub-port with IPv4 and IPv6 and a gateway, the peer."""
    return ports.SubPort(
        id=f'subport{vlan}', name=f'{parent}.{vlan}', vlan=vlan,
        mac=f'fa:16:3e:00:{vlan:02x}:{host:02x}', mtu=_MTU,
        addresses=(ports.Address(f'10.{vlan}.0.{host}', 24, 4),
                   ports.Address(f'fd00:{vlan}::{host}', 64, 6)),
        routes=(ports.Route('0.0.0.0/0', f'10.{vlan}.0.1',
                            1000000 + 100 * vlan, 4),
                ports.Route('::/0', f'fd00:{vlan}::1',
                            1001024 + 100 * vlan, 6)))


class TrunkTestCase(base.BaseTestCase):
    """A container on a switch, with a trunk of which a test makes ports."""

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.switch = self.useFixture(openvswitch.OpenVSwitch())
        self.switch.vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0',
                          'datapath_type=netdev')
        self.host = self.useFixture(network.HostPorts())
        self.inside = self.useFixture(network.Namespace())
        port = network.make_port()
        self.port = dataclasses.replace(
            port, addresses=(ports.Address('10.1.0.5', 24, 4),), routes=(
                ports.Route('0.0.0.0/0', '10.1.0.1', 0, 4),))

    def trunk(self, *vlans):
        """The port with sub-ports of these VLANs."""
        return dataclasses.replace(
            self.port, subports=tuple(map(make_subport, vlans)))

    def configure(self, port, earlier=()):
        netns.configure(self.inside.pid, [port], earlier)
        netns.route(self.inside.pid, [port], earlier)


class NoVlansTest(TrunkTestCase):

    def test_refused(self):
        if network.has_vlans():
            self.skipTest('the kernel has VLANs')
        self.host.make(self.port)
        error = self.assertRaises(OSError, self.configure, self.trunk(7))
        self.assertIn('VLAN interface eth0.7', str(error))
        # It can be started without, and what has none needs none.
        self.configure(self.port)
        self.inside.ip('link', 'show', 'eth0')


class VlansTest(TrunkTestCase):

    def setUp(self):
        super().setUp()
        if not network.has_vlans():
            self.skipTest('the kernel has no VLANs (CONFIG_VLAN_8021Q)')
        self.host.make(self.port)
        self.switch.vsctl('add-port', 'br0', self.port.host_device)
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'netns')
        self.addCleanup(netns.release, self.path)
        self.peer = self.useFixture(network.Namespace())
        self._wire('link', 'add', 'tap0', 'up', 'type', 'veth', 'peer', 'pe0')
        subprocess.run(['ethtool', '-K', 'pe0', 'tx', 'off'], check=True,
                       capture_output=True)
        self.switch.vsctl('add-port', 'br0', 'tap0')
        self._wire('link', 'set', 'pe0', 'netns', str(self.peer.pid))
        self.peer.ip('link', 'set', 'pe0', 'up')
        self.peer.ip('addr', 'add', '10.1.0.1/24', 'dev', 'pe0')
        for vlan in (7, 8):
            name = f'pe0.{vlan}'
            self.peer.ip('link', 'add', 'link', 'pe0', 'name', name, 'type',
                         'vlan', 'id', str(vlan))
            self.peer.ip('link', 'set', name, 'up')
            self.peer.ip('addr', 'add', f'10.{vlan}.0.1/24', 'dev', name)
            self.peer.ip('addr', 'add', f'fd00:{vlan}::1/64', 'nodad', 'dev',
                         name)
        # What is behind the peer, as seen from each network.
        self.peer.ip('link', 'set', 'lo', 'up')
        self.peer.ip('addr', 'add', '203.0.113.1', 'dev', 'lo')

    @staticmethod
    def _wire(*words):
        subprocess.run(['ip', *words], check=True)

    def _answers(self, address, *words):
        return not subprocess.run(
            ['nsenter', f'--net=/proc/{self.peer.pid}/ns/net', 'ping', '-c',
             '1', '-W', '3', *words, address], capture_output=True).returncode

    def _reached(self, *vlans):
        """Those of some VLANs in which the peer reaches the container."""
        return [vlan for vlan in vlans if
                self._answers(f'10.{vlan}.0.5') and
                self._answers(f'fd00:{vlan}::5')]

    def _links(self):
        return {each['ifname']: each for each in self.inside.ip(
            '-d', 'addr') if each['ifname'] != 'lo'}

    def _tables(self):
        """Source address and table of the rules, of IPv4."""
        return {(each['src'], each['table'], each['priority'])
                for each in self.inside.ip('rule') if each['src'] != 'all'}

    def test_sub_ports(self):
        port = self.trunk(7, 8)
        self.configure(port)
        links = self._links()
        self.assertEqual({'eth0', 'eth0.7', 'eth0.8'}, set(links))
        for subport in port.subports:
            inner = links[subport.name]
            self.assertEqual('eth0', inner['link'])
            self.assertEqual(subport.mac, inner['address'])
            self.assertEqual(_MTU, inner['mtu'])
            self.assertIn('UP', inner['flags'])
            self.assertEqual({'protocol': '802.1Q', 'id': subport.vlan},
                             {key: inner['linkinfo']['info_data'][key]
                              for key in ('protocol', 'id')})
        self.assertTrue(self._answers('10.1.0.5'))
        self.assertEqual([7, 8], self._reached(7, 8))
        self.assertEqual({('10.1.0.5', '20000', 20000),
                          ('10.7.0.5', '200000007', 20000),
                          ('10.8.0.5', '200000008', 20000)}, self._tables())
        # Each answers what comes from afar by its own gateway.
        for address in ('10.1.0.5', '10.7.0.5', '10.8.0.5'):
            self.assertTrue(self._answers(address, '-I', '203.0.113.1'))
        # A full frame of the parent's own size, which has a tag more.
        self.assertTrue(self._answers('10.7.0.5', '-M', 'do', '-s',
                                      str(_MTU - 28)))
        before = self._links()
        self.configure(port, [port])
        self.assertEqual(before, self._links())

    def test_default_route_is_that_of_the_parent(self):
        self.configure(self.trunk(7))
        route, = self.inside.ip('route', 'get', '203.0.113.9')
        self.assertEqual('eth0', route['dev'])

    def test_as_large_as_the_parent(self):
        port = self.trunk(7)
        port = dataclasses.replace(port, subports=(
            dataclasses.replace(port.subports[0], mtu=port.mtu),))
        self.peer.ip('link', 'set', 'pe0', 'mtu', '1500')
        self.configure(port)
        self.assertTrue(self._answers('10.7.0.5', '-M', 'do', '-s',
                                      str(port.mtu - 28)))

    def test_after_a_restart(self):
        port = self.trunk(7)
        self.configure(port)
        self.inside.ip('link', 'add', 'link', 'eth0', 'name', 'own', 'type',
                       'vlan', 'id', '9')
        netns.hold(self.path, self.inside.pid)
        self.inside.end()
        self.assertTrue(netns.set_down(self.path))
        self.assertEqual([], self._reached(7))
        self.assertTrue(netns.take_back(self.path, [port]))
        self.inside = self.useFixture(network.Namespace())
        # While the old namespace may not have ended yet.
        self.configure(self.trunk(7, 9))
        self.assertEqual({'eth0', 'eth0.7', 'eth0.9'}, set(self._links()))
        self.assertEqual([7], self._reached(7))

    def test_changed_while_it_runs(self):
        one, two = self.trunk(7), self.trunk(8)
        self.configure(self.port)
        self.configure(one, [self.port])
        self.assertEqual([7], self._reached(7, 8))
        self.inside.ip('link', 'add', 'link', 'eth0', 'name', 'own', 'type',
                       'vlan', 'id', '9')
        self.configure(two, [one])
        self.assertEqual([8], self._reached(7, 8))
        other = dataclasses.replace(two, subports=(dataclasses.replace(
            two.subports[0], addresses=two.subports[0].addresses[1:],
            routes=two.subports[0].routes[1:]),))
        self.configure(other, [two])
        self.assertFalse(self._answers('10.8.0.5'))
        self.assertTrue(self._answers('fd00:8::5'))
        self.configure(self.port, [other])
        self.assertEqual({'eth0', 'own'}, set(self._links()))
        self.assertEqual(set(), self._tables())
        self.assertTrue(self._answers('10.1.0.5'))

    def test_known_by_their_vlan(self):
        port = self.trunk(7)
        self.configure(port)
        self.inside.ip('link', 'set', 'eth0.7', 'down')
        self.inside.ip('link', 'set', 'eth0.7', 'name', 'x', 'address',
                       '02:00:00:00:00:01')
        self.configure(port, [port])
        self.assertEqual(port.subports[0].mac, self._links()['x']['address'])
        self.assertEqual([7], self._reached(7))

    def test_detached_with_their_parent(self):
        self.configure(self.trunk(7))
        link.delete_pair(self.port.host_device, self.port.parked_device)
        netns.route(self.inside.pid, [], [self.trunk(7)])
        self.assertEqual({}, self._links())
        self.assertEqual(set(), self._tables())

    def test_parent_with_limits(self):
        shape = bandwidth.of_flavor({
            'quota:vif_inbound_average': '10000',
            'quota:vif_outbound_average': '10000'})
        self.configure(dataclasses.replace(self.trunk(7), limits=shape))
        self.assertEqual([7], self._reached(7))
