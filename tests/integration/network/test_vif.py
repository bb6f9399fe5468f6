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


"""Ports plugged by os-vif into an Open vSwitch; needs root, no engine."""

import os
import subprocess

import fixtures
from nova import exception
from nova.network import model
from nova import test
from nova.tests.unit import fake_instance
from oslo_utils import uuidutils

from nova_docker.network import netns
from nova_docker.network import plugs
from nova_docker.network import vif
from nova_docker.spec import ports
from tests.fixtures import network
from tests.fixtures import openvswitch
from tests.fixtures import privsep
from tests.fixtures import starts

BRIDGE = 'br-int'

#: Sends 1 MB to itself in another namespace; the checksum must be right.
_SEND = """
import socket, sys
with socket.create_connection((sys.argv[1], 7777), timeout=60) as wire:
    wire.sendall(b'x' * 1000000)
    wire.shutdown(socket.SHUT_WR)
    assert wire.recv(10) == b'1000000', 'lost'
"""
_RECEIVE = """
import socket
with socket.create_server(('0.0.0.0', 7777)) as server:
    print('ready', flush=True)
    wire, _ = server.accept()
    count = 0
    while chunk := wire.recv(65536):
        count += len(chunk)
    wire.sendall(str(count).encode())
"""


class VifTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.ovs = self.useFixture(openvswitch.OpenVSwitch())
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.instance = fake_instance.fake_instance_obj(None)
        self.made = {}

    def _vif(self, host, **details):
        port = uuidutils.generate_uuid()
        return model.VIF(
            id=port, type='ovs', devname=f'tap{port[:11]}',
            address=f'fa:16:3e:{port[:2]}:{port[2:4]}:{port[4:6]}',
            details={'datapath_type': 'netdev'} | details,
            network=model.Network(
                id=uuidutils.generate_uuid(), bridge=BRIDGE, label='private',
                mtu=1400, subnets=[model.Subnet(
                    cidr='10.0.0.0/24', gateway=None,
                    ips=[model.FixedIP(address=f'10.0.0.{host}')])]))

    def _boot(self, *vifs):
        """Plug VIFs and give each a namespace like a container's."""
        vif.plug(self.instance, vifs)
        return [self._enter(each) for each in vifs]

    def _enter(self, plugged):
        inside = self.useFixture(network.Namespace())
        netns.configure(inside.pid, ports.plan([plugged], {}))
        return inside

    def _ping(self, inside, address):
        starts.wait_until(lambda: self._pinged(inside, address))

    def _pinged(self, inside, address):
        return subprocess.run(
            ['nsenter', f'--net=/proc/{inside.pid}/ns/net', 'ping', '-c',
             '1', '-W', '1', address],
            stdout=subprocess.DEVNULL).returncode == 0

    def _tcp(self, source, target, address):
        receiver = subprocess.Popen(
            ['nsenter', f'--net=/proc/{target.pid}/ns/net', 'python3', '-c',
             _RECEIVE], stdout=subprocess.PIPE)
        self.addCleanup(receiver.wait)
        self.addCleanup(receiver.kill)
        self.addCleanup(receiver.stdout.close)
        self.assertEqual(b'ready\n', receiver.stdout.readline())
        subprocess.run(
            ['nsenter', f'--net=/proc/{source.pid}/ns/net', 'python3', '-c',
             _SEND, address], check=True, timeout=90)

    def _links(self):
        return {each['ifname'] for each in network.links()} - {
            'lo', 'ovs-netdev', BRIDGE, 'ifb0', 'ifb1'}

    def _number(self, name):
        return self.ovs.vsctl('get', 'interface', name, 'ofport')

    def test_traffic(self):
        first, second = self._vif(1), self._vif(2)
        one, two = self._boot(first, second)
        self.assertEqual({first['devname'], second['devname']},
                         self.ovs.ports(BRIDGE))
        ids = self.ovs.vsctl('get', 'interface', first['devname'],
                             'external_ids')
        self.assertIn(first['id'], ids)
        self.assertIn(first['address'], ids)
        self._ping(one, '10.0.0.2')
        self._tcp(one, two, '10.0.0.2')
        self._tcp(two, one, '10.0.0.1')

    def test_plug_again_disturbs_nothing(self):
        first, second = self._vif(1), self._vif(2)
        one, _two = self._boot(first, second)
        number = self._number(first['devname'])
        vif.plug(self.instance, [first], running=True)
        self.assertEqual(number, self._number(first['devname']))
        self._ping(one, '10.0.0.2')

    def test_plug_again_heals_the_switch(self):
        first, second = self._vif(1), self._vif(2)
        one, _two = self._boot(first, second)
        self.ovs.vsctl('del-port', BRIDGE, first['devname'])
        vif.plug(self.instance, [first], running=True)
        self._ping(one, '10.0.0.2')

    def test_silence(self):
        first, second = self._vif(1), self._vif(2)
        one, two = self._boot(first, second)
        two.ip('route', 'add', '10.9.0.0/16', 'via', '10.0.0.1')
        two.ip('addr', 'add', 'fd00::2/64', 'dev', 'eth0', 'nodad')
        self._ping(one, '10.0.0.2')

        def inside():
            addresses = [each['local'] for link in two.ip('addr')
                         for each in link['addr_info']]
            return addresses, two.ip('route')

        before = inside()
        plan = ports.plan([second], {})
        vif.set_carrier(plan, False)
        self.assertFalse(self._pinged(one, '10.0.0.2'))
        self.assertFalse(self._pinged(two, '10.0.0.1'))
        vif.set_carrier(plan, True)
        self._ping(one, '10.0.0.2')
        self._ping(two, '10.0.0.1')
        starts.wait_until(lambda: inside() == before)

    def test_start_with_the_kept_pair(self):
        first, second = self._vif(1), self._vif(2)
        one, _two = self._boot(first, second)
        path = os.path.join(self.directory, 'netns')
        netns.hold(path, one.pid)
        self.addCleanup(netns.release, path)
        number = self._number(first['devname'])
        one.end()
        self.assertTrue(netns.take_back(path, ports.plan([first], {})))
        self._ping(self._enter(first), '10.0.0.2')
        self.assertEqual(number, self._number(first['devname']))

    def test_start_with_a_new_pair(self):
        first, second = self._vif(1), self._vif(2)
        one, _two = self._boot(first, second)
        self._ping(one, '10.0.0.2')
        one.end()
        # At once, while the kernel still cleans up, and later.
        for _ in range(2):
            again, = self._boot(first)
            self._ping(again, '10.0.0.2')
            again.end()
            starts.wait_until(lambda: first['devname'] not in self._links())

    def test_port_that_comes_and_goes(self):
        first, other = self._vif(1), self._vif(2)
        second = self._vif(3)
        second['network']['subnets'][0]['cidr'] = '10.0.1.0/24'
        second['network']['subnets'][0]['ips'][0]['address'] = '10.0.1.3'
        inside, peer = self._boot(first, other)
        plan = ports.plan([first], {})
        links, switch = self._links(), self.ovs.ports(BRIDGE)
        peer.ip('addr', 'add', '10.0.1.9/24', 'dev', 'eth0')
        # Twice, as the switch must forget the device in between.
        for _again in range(2):
            self.assertEqual({second['id']}, vif.plug(
                self.instance, [second], running=True))
            both = ports.plan([first, second], {}, earlier=plan)
            netns.configure(inside.pid, both[1:], plan)
            self._ping(inside, '10.0.1.9')
            self._ping(inside, '10.0.0.2')
            vif.unplug(self.instance, [second])
            self._ping(inside, '10.0.0.2')
            self.assertEqual(links, self._links())
            self.assertEqual(switch, self.ovs.ports(BRIDGE))
            self.assertEqual({'lo', 'eth0'}, {
                each['ifname'] for each in inside.ip('link')})

    def test_unplug_leaves_nothing(self):
        first, second = self._vif(1), self._vif(2)
        self._boot(first, second)
        vif.unplug(self.instance, [first, second])
        self.assertEqual(set(), self.ovs.ports(BRIDGE))
        self.assertEqual(set(), self._links())
        vif.unplug(self.instance, [first, second])

    def test_unplug_of_what_nova_forgot(self):
        first, second = self._vif(1, ovs_hybrid_plug=True), self._vif(2)
        plugs.plug(self.directory, self.instance, [first, second])
        self.assertEqual(2, len(self.ovs.ports(BRIDGE)))
        plugs.unplug_all(self.directory, self.instance, [])
        self.assertEqual(set(), self.ovs.ports(BRIDGE))
        self.assertEqual(set(), self._links())

    def test_hybrid_plug(self):
        first = self._vif(1, ovs_hybrid_plug=True)
        second = self._vif(2)
        one, two = self._boot(first, second)
        port = first['id'][:11]
        self.assertLessEqual({f'qbr{port}', f'qvb{port}', f'qvo{port}',
                              f'tap{port}'}, self._links())
        self.assertIn(f'qvo{port}', self.ovs.ports(BRIDGE))
        self._ping(one, '10.0.0.2')
        self._tcp(one, two, '10.0.0.2')
        vif.plug(self.instance, [first], running=True)
        self._ping(one, '10.0.0.2')
        vif.unplug(self.instance, [first, second])
        self.assertEqual(set(), self.ovs.ports(BRIDGE))
        self.assertEqual(set(), self._links())

    def test_hybrid_plug_of_the_next_start(self):
        first, second = self._vif(1, ovs_hybrid_plug=True), self._vif(2)
        one, two = self._boot(first, second)
        self._ping(one, '10.0.0.2')
        port = f'qvo{first["id"][:11]}'
        number = self._number(port)
        path = os.path.join(self.directory, 'netns')
        self.addCleanup(netns.release, path)
        # With the kept pair, which the bridge keeps, too.
        netns.hold(path, one.pid)
        one.end()
        self.assertTrue(netns.take_back(path, ports.plan([first], {})))
        vif.plug(self.instance, [first])
        one = self._enter(first)
        self._ping(one, '10.0.0.2')
        self.assertEqual(number, self._number(port))
        # With a new pair, as after a boot of the host.
        one.end()
        starts.wait_until(lambda: first['devname'] not in self._links())
        again, = self._boot(first)
        self._ping(again, '10.0.0.2')
        self._ping(two, '10.0.0.1')
        vif.unplug(self.instance, [first, second])
        self.assertEqual(set(), self.ovs.ports(BRIDGE))
        self.assertEqual(set(), self._links())

    def test_parent_port_of_a_trunk(self):
        # Has a bridge of its own, which Neutron's agent connects to br-int.
        trunk = 'tbr-11111111-2'
        parent, other = self._vif(1), self._vif(2)
        parent['network']['bridge'] = trunk
        inside, _other = self._boot(parent, other)
        for bridge, name, peer in ((trunk, 'tpt-1', 'tpi-1'),
                                   (BRIDGE, 'tpi-1', 'tpt-1')):
            self.ovs.vsctl('add-port', bridge, name, '--', 'set', 'interface',
                           name, 'type=patch', f'options:peer={peer}')
        self.assertIn(parent['devname'], self.ovs.ports(trunk))
        self._ping(inside, '10.0.0.2')
        # What the agent made is kept as long as the pair is.
        vif.plug(self.instance, [parent], running=True)
        self._ping(inside, '10.0.0.2')
        vif.unplug(self.instance, [parent, other])
        self.assertEqual(BRIDGE, self.ovs.vsctl('list-br'))
        self.assertNotIn(parent['devname'], self._links())

    def test_switch_that_is_away(self):
        self.ovs.configure(f'unix:{self.directory}/none.sock')
        self.assertRaises(exception.VirtualInterfacePlugException, vif.plug,
                          self.instance, [self._vif(1)])
        self.assertEqual(set(), self._links())
