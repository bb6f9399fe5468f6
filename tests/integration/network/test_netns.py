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


"""Pairs and namespaces on the real kernel; needs root, and no engine."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import fixtures
from oslotest import base

from nova_docker.network import netns
from nova_docker.privsep import link
from nova_docker.privsep import netns as root
from nova_docker.spec import ports
from tests.fixtures import network
from tests.fixtures import starts

#: An ARP probe of RFC 5227, and who answers it.
_PROBE = '''
import socket
import sys
# It hears nothing before it is bound.
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as link:
    link.bind(('eth0', 0x0806))
    mac, anybody = link.getsockname()[4], bytes(6)
    link.settimeout(2)
    link.send(b'\\xff' * 6 + mac + bytes.fromhex('08060001080006040001') +
              mac + bytes(4) + anybody + socket.inet_aton(sys.argv[1]))
    try:
        sys.stdout.write(link.recv(64)[6:12].hex())
    except TimeoutError:
        pass
'''


class KernelTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.host = self.useFixture(network.HostPorts())
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'netns')
        self.addCleanup(netns.release, self.path)

    def _state(self, port):
        return link.pair_state(port.host_device, port.parked_device)


class PairTest(KernelTest):

    def test_life_of_a_pair(self):
        port = network.make_port()
        self.assertEqual(link.ABSENT, self._state(port))
        self.host.make(port)
        self.assertEqual(link.PARKED, self._state(port))
        by_name = {each['ifname']: each for each in network.links()}
        inner = by_name[port.parked_device]
        self.assertEqual(port.mac, inner['address'])
        self.assertEqual(network.MTU, inner['mtu'])
        outer = by_name[port.host_device]
        self.assertEqual(network.MTU, outer['mtu'])
        self.assertIn('UP', outer['flags'])
        link.delete_pair(port.host_device, port.parked_device)
        link.delete_pair(port.host_device, port.parked_device)
        self.assertEqual(link.ABSENT, self._state(port))

    def test_the_host_does_not_listen(self):
        """Not even where no switch takes what a container sends."""
        port = network.make_port()
        self.host.make(port)
        with open('/proc/sys/net/ipv6/conf/'
                  f'{port.host_device}/disable_ipv6') as sysctl:
            self.assertEqual('1\n', sysctl.read())
        address = '198.18.{}.{}'.format(*os.urandom(2))
        subprocess.run(['ip', 'addr', 'add', f'{address}/32', 'dev', 'lo'],
                       check=True)
        self.addCleanup(subprocess.run, [
            'ip', 'addr', 'del', f'{address}/32', 'dev', 'lo'], check=True)
        inside = self.useFixture(network.Namespace())
        netns.configure(inside.pid, [port])
        enter = ('nsenter', f'--net=/proc/{inside.pid}/ns/net')
        subprocess.run([*enter, 'ip', 'route', 'add', address, 'dev',
                        'eth0'], check=True)
        # Its end says that nobody has answered.
        self.assertNotEqual(0, subprocess.run(
            [*enter, 'ping', '-c', '1', '-W', '2', address],
            stdout=subprocess.DEVNULL).returncode)
        self.assertNotIn('lladdr', subprocess.run(
            [*enter, 'ip', 'neigh', 'show', address],
            check=True, capture_output=True, text=True).stdout)
        # Nor does it to who asks whether that may be his own.
        self.assertEqual(b'', subprocess.run(
            [*enter, sys.executable, '-c', _PROBE, address],
            check=True, capture_output=True).stdout)

    def test_half_pairs_are_absent_and_made_whole(self):
        port = network.make_port()
        for name in (port.host_device, port.parked_device):
            subprocess.run(['ip', 'link', 'add', name, 'type', 'bridge'],
                           check=True)
        self.assertEqual(link.ABSENT, self._state(port))
        self.host.make(port)
        self.assertEqual(link.PARKED, self._state(port))

    def test_ends_of_two_pairs_are_no_pair(self):
        port, other = network.make_port(), network.make_port()
        self.host.make(port, other)
        self.assertEqual(link.ABSENT, link.pair_state(
            port.host_device, other.parked_device))

    def test_assert_pair(self):
        port = network.make_port()
        self.host.make(port)
        subprocess.run(['ip', 'link', 'set', port.host_device, 'down', 'mtu',
                        '1300'], check=True)
        # As of a pair that was made before the driver cared.
        setting = pathlib.Path('/proc/sys/net/ipv4/conf', port.host_device,
                               'rp_filter')
        setting.write_text('0')
        link.assert_pair(port.host_device, 1400)
        self.assertEqual('1\n', setting.read_text())
        outer = next(each for each in network.links()
                     if each['ifname'] == port.host_device)
        self.assertEqual(1400, outer['mtu'])
        self.assertIn('UP', outer['flags'])

    def test_checksums_are_off_and_stay_off_in_a_container(self):
        port = network.make_port()
        self.host.make(port)
        self.assertIn('tx-checksumming: off',
                      self._features(port.parked_device))
        inside = self.useFixture(network.Namespace())
        netns.configure(inside.pid, [port])
        self.assertIn('tx-checksumming: off', self._features(
            'eth0', 'nsenter', f'--net=/proc/{inside.pid}/ns/net'))

    @staticmethod
    def _features(name, *prefix):
        return subprocess.run(
            [*prefix, 'ethtool', '-k', name], check=True,
            capture_output=True, text=True).stdout

    def test_bridge(self):
        port = network.make_port()
        bridge = f'qbr{port.id}'[:14]
        self.host.make(port)
        self.assertRaises(FileNotFoundError, link.set_bridge,
                          port.host_device, bridge)
        subprocess.run(['ip', 'link', 'add', bridge, 'type', 'bridge'],
                       check=True)
        self.addCleanup(subprocess.run, ['ip', 'link', 'del', bridge],
                        check=True)
        link.set_bridge(port.host_device, bridge)
        outer = next(each for each in network.links()
                     if each['ifname'] == port.host_device)
        self.assertEqual(bridge, outer['master'])


class NamespaceTest(KernelTest):

    def setUp(self):
        super().setUp()
        self.inside = self.useFixture(network.Namespace())
        self.ports = [network.make_port(0, 1), network.make_port(1, 2)]

    def _configure(self):
        self.host.make(*self.ports)
        netns.configure(self.inside.pid, self.ports)
        netns.hold(self.path, self.inside.pid)

    def test_configure(self):
        self._configure()
        links = {each['ifname']: each for each in self.inside.ip('addr')}
        self.assertEqual({'lo', 'eth0', 'eth1'}, set(links))
        self.assertIn('UP', links['lo']['flags'])
        for port in self.ports:
            inner = links[port.name]
            self.assertEqual(port.mac, inner['address'])
            self.assertEqual(port.mtu, inner['mtu'])
            self.assertIn('UP', inner['flags'])
            addresses = {
                f'{each["local"]}/{each["prefixlen"]}': each
                for each in inner['addr_info'] if each['scope'] == 'global'}
            self.assertEqual(
                {f'{each.address}/{each.prefixlen}'
                 for each in port.addresses}, set(addresses))
            # Usable at once.
            self.assertFalse(any(each.get('tentative')
                                 for each in addresses.values()))
            self.assertEqual(link.INSIDE, self._state(port))

    def test_routes(self):
        self._configure()
        routes = {(each['dst'], each.get('gateway'), each['dev'],
                   each.get('metric', 0))
                  for each in self.inside.ip('route')}
        self.assertLessEqual({
            ('default', '192.0.2.1', 'eth0', 0),
            ('default', '192.0.2.2', 'eth1', 1),
            ('169.254.169.254', '10.1.0.2', 'eth0', 0),
            ('169.254.169.254', '10.2.0.2', 'eth1', 1),
            ('192.0.2.1', None, 'eth0', 0),
            ('10.1.0.0/24', None, 'eth0', 0)}, routes)
        routes = {(each['dst'], each.get('gateway'), each['dev'],
                   each['metric']) for each in self.inside.ip('-6', 'route')}
        self.assertLessEqual({
            ('default', '2001:db8::1', 'eth0', 1024),
            ('default', '2001:db8::2', 'eth1', 1025),
            ('2001:db8::1', None, 'eth0', 1024)}, routes)

    def test_port_that_comes_later(self):
        first, second = self.ports
        self.host.make(first, second)
        netns.configure(self.inside.pid, [first])
        before = self.inside.ip('addr', 'show', 'eth0')
        netns.configure(self.inside.pid, [second])
        self.assertEqual(before, self.inside.ip('addr', 'show', 'eth0'))
        self.assertEqual([link.INSIDE] * 2,
                         [self._state(port) for port in self.ports])
        self.assertEqual({'lo', 'eth0', 'eth1'}, {
            each['ifname'] for each in self.inside.ip('link')})

    def test_port_that_comes_later_and_whose_name_is_taken(self):
        self.host.make(*self.ports)
        netns.configure(self.inside.pid, self.ports[:1])
        self.inside.ip('link', 'add', 'eth1', 'type', 'veth', 'peer', 'x')
        self.assertRaises(OSError, netns.configure, self.inside.pid,
                          self.ports[1:])
        # Wherever the kernel has left it, it goes with its pair.
        link.delete_pair(self.ports[1].host_device,
                         self.ports[1].parked_device)
        self.assertEqual({'lo', 'eth0', 'eth1', 'x'}, {
            each['ifname'] for each in self.inside.ip('link')})

    def test_port_that_changes(self):
        self._configure()
        old, other = self.ports
        new = dataclasses.replace(
            old, mtu=1400, addresses=(
                # The first one is gone, and with it the kernel takes the
                # others of its subnet, and what is routed by them.
                ports.Address('10.1.0.6', 24, 4),
                ports.Address('10.1.0.7', 24, 4),
                ports.Address('fd00:1::7', 64, 6)),
            routes=(
                ports.Route('0.0.0.0/0', '10.1.0.1', 0, 4),
                ports.Route('::/0', 'fd00:1::1', 1024, 6)))
        untouched = self.inside.ip('addr', 'show', other.name)
        # Whatever root calls it inside.
        for words in (('eth0', 'down'), ('eth0', 'name', 'x'), ('x', 'up')):
            self.inside.ip('link', 'set', *words)
        for _again in range(2):
            netns.configure(self.inside.pid, [new], [old])
            inner, = self.inside.ip('addr', 'show', 'x')
            self.assertEqual(1400, inner['mtu'])
            self.assertEqual(
                {'10.1.0.6', '10.1.0.7', 'fd00:1::7'},
                {each['local'] for each in inner['addr_info']
                 if each['scope'] == 'global'})
            self.assertEqual(
                {('default', '10.1.0.1'), ('10.1.0.0/24', None)},
                {(each['dst'], each.get('gateway'))
                 for each in self.inside.ip('route', 'show', 'dev', 'x')})
            default, = self.inside.ip('-6', 'route', 'show', 'default',
                                      'dev', 'x')
            self.assertEqual('fd00:1::1', default['gateway'])
        self.assertEqual(untouched,
                         self.inside.ip('addr', 'show', other.name))

    def test_port_that_root_inside_has_changed_already(self):
        self._configure()
        old = self.ports[0]
        self.inside.ip('addr', 'flush', 'dev', 'eth0')
        netns.configure(self.inside.pid, [dataclasses.replace(
            old, addresses=old.addresses[:1], routes=())], [old])
        inner, = self.inside.ip('-4', 'addr', 'show', 'eth0')
        self.assertEqual('10.1.0.5', inner['addr_info'][0]['local'])

    def test_two_ports_of_one_subnet(self):
        first, second = (
            dataclasses.replace(
                port, addresses=(
                    ports.Address(f'10.0.0.{metric + 5}', 24, 4),
                    ports.Address(f'fd00::{metric + 5}', 64, 6)),
                routes=(
                    ports.Route('0.0.0.0/0', '10.0.0.1', metric, 4),
                    ports.Route('::/0', 'fd00::1', 1024 + metric, 6)))
            for port, metric in zip(self.ports, (0, 100)))
        self.host.make(first, second)
        netns.configure(self.inside.pid, [first, second])
        for family in '-4', '-6':
            self.assertEqual({'eth0', 'eth1'}, {
                each['dev'] for each in self.inside.ip(
                    family, 'route', 'show', 'default')})
        # The other one takes over.
        link.delete_pair(first.host_device, first.parked_device)
        for family in '-4', '-6':
            self.assertEqual(['eth1'], [
                each['dev'] for each in self.inside.ip(
                    family, 'route', 'show', 'default')])

    def test_router_that_advertises_the_subnet(self):
        mac = 'fa:16:3e:12:34:56'
        # Neutron's address in a SLAAC subnet: of the prefix and the MAC.
        port = dataclasses.replace(
            self.ports[0], mac=mac, addresses=(
                ports.Address('fd00::f816:3eff:fe12:3456', 64, 6),),
            routes=(ports.Route('::/0', 'fd00::1', 1024, 6),))
        self.host.make(port)
        netns.configure(self.inside.pid, [port])
        starts.wait_until(lambda: self._heeded(port))
        addresses = {each['local'] for each in self.inside.ip(
            '-6', 'addr', 'show', 'eth0')[0]['addr_info']}
        self.assertEqual({'fd00::f816:3eff:fe12:3456',
                          'fe80::f816:3eff:fe12:3456'}, addresses)
        # Nor does a change of the port trip over them.
        changed = dataclasses.replace(port, mtu=1400)
        netns.configure(self.inside.pid, [changed], [port])

    def test_addresses_that_the_instance_finds_itself(self):
        port = dataclasses.replace(
            self.ports[0], mac='fa:16:3e:12:34:56', addresses=(), routes=(),
            ipv6=True)
        self._disable_ipv6()
        self.host.make(port)
        netns.configure(self.inside.pid, [port])
        starts.wait_until(lambda: self._heeded(port))
        [link_] = self.inside.ip('addr', 'show', 'eth0')
        self.assertEqual('UP', link_['operstate'])
        self.assertEqual({'fd00::f816:3eff:fe12:3456',
                          'fe80::f816:3eff:fe12:3456'}, {
            each['local'] for each in link_['addr_info']})

    def _heeded(self, port):
        """Advertise, and see whether the router is known in the namespace."""
        network.advertise(port.host_device, 'fd00::')
        return any(each.get('gateway') == network.ROUTER
                   for each in self.inside.ip('-6', 'route'))

    def _disable_ipv6(self):
        subprocess.run(
            ['nsenter', f'--net=/proc/{self.inside.pid}/ns/net', 'sh', '-c',
             'for all in all default; do echo 1 > '
             '/proc/sys/net/ipv6/conf/$all/disable_ipv6; done'], check=True)

    def test_ipv6_is_enabled_where_the_engine_disabled_it(self):
        self._disable_ipv6()
        self._configure()
        self.assertIn('fd00:1::5', {
            each['local'] for each in self.inside.ip(
                'addr', 'show', 'eth0')[0]['addr_info']})

    def test_configure_without_the_device(self):
        self.host.make(self.ports[0])
        error = self.assertRaises(OSError, netns.configure, self.inside.pid,
                                  self.ports)
        self.assertIn(self.ports[1].parked_device, str(error))

    def test_configure_what_the_kernel_refuses(self):
        self.host.make(self.ports[0])
        bad = self.ports[0].to_dict()
        bad['routes'] = [{'destination': '0.0.0.0/0', 'metric': 0,
                          'gateway': '203.0.113.1', 'version': 4}]
        self.assertRaises(OSError, netns.configure, self.inside.pid,
                          [type(self.ports[0]).from_dict(bad)])

    def test_configure_without_the_process(self):
        self.host.make(*self.ports)
        self.inside.end()
        self.assertRaises(OSError, netns.configure, self.inside.pid,
                          self.ports)

    def test_held_namespace_outlives_its_process(self):
        self._configure()
        indexes = [self.host.index(port) for port in self.ports]
        self.assertTrue(netns.held(self.path))
        self.assertTrue(netns.in_use(self.path))
        self.inside.end()
        self.assertFalse(netns.in_use(self.path))
        self.assertEqual([link.INSIDE] * 2,
                         [self._state(port) for port in self.ports])
        self.assertTrue(netns.take_back(self.path, self.ports))
        self.assertFalse(netns.held(self.path))
        self.assertFalse(os.path.exists(self.path))
        self.assertEqual([link.PARKED] * 2,
                         [self._state(port) for port in self.ports])
        again = self.useFixture(network.Namespace())
        netns.configure(again.pid, self.ports)
        self.assertEqual(self.ports[0].mac, again.ip(
            'link', 'show', 'eth0')[0]['address'])
        # The same pair: nothing that the switch could see happened.
        self.assertEqual(indexes,
                         [self.host.index(port) for port in self.ports])

    def test_take_back_knows_ports_whatever_they_are_called(self):
        self._configure()
        for words in (('set', 'eth0', 'down'), ('set', 'eth1', 'down'),
                      ('set', 'eth0', 'name', 'x'),
                      ('set', 'eth1', 'name', 'eth0'),
                      ('set', 'x', 'name', 'eth1'),
                      ('set', 'eth1', 'address', '02:00:00:00:00:01')):
            self.inside.ip('link', *words)
        self.inside.end()
        self.assertTrue(netns.take_back(self.path, self.ports))
        self.assertEqual([link.PARKED] * 2,
                         [self._state(port) for port in self.ports])

    def test_take_back_all_or_nothing(self):
        self._configure()
        self.inside.end()
        link.delete_pair(self.ports[1].host_device,
                         self.ports[1].parked_device)
        self.assertFalse(netns.take_back(self.path, self.ports))
        self.assertFalse(netns.held(self.path))
        # What is left goes with the namespace.
        starts.wait_until(
            lambda: self._state(self.ports[0]) == link.ABSENT)

    def test_take_back_of_nothing(self):
        self.assertFalse(netns.take_back(self.path, self.ports))

    def test_set_down(self):
        self._configure()
        self.assertFalse(netns.set_down(self.path))
        self.inside.end()
        self.assertTrue(netns.set_down(self.path))
        outer = next(each for each in network.links()
                     if each['ifname'] == self.ports[0].host_device)
        self.assertIn('NO-CARRIER', outer['flags'])

    def test_set_down_spares_a_later_namespace(self):
        self._configure()
        inode = os.stat(self.path).st_ino
        self.inside.end()
        again = self.useFixture(network.Namespace())
        netns.hold(self.path, again.pid)
        self.assertFalse(root.set_down(self.path, inode, []))

    def test_release_ends_the_namespace(self):
        self._configure()
        self.inside.end()
        netns.release(self.path)
        netns.release(self.path)
        self.assertEqual([], os.listdir(os.path.dirname(self.path)))
        starts.wait_until(lambda: not self.host.left())

    def test_hold_again_replaces(self):
        self._configure()
        netns.hold(self.path, self.inside.pid)
        netns.release(self.path)
        with open('/proc/self/mounts') as mounts:
            self.assertNotIn(self.path, mounts.read())

    def test_hold_without_the_process(self):
        self.inside.end()
        self.assertRaises(OSError, netns.hold, self.path, self.inside.pid)
        self.assertFalse(os.path.exists(self.path))
