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


import contextlib
import errno
import os
import socket
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.privsep import interface
from nova_docker.privsep import namespace
from nova_docker.privsep import netns
from nova_docker.spec import ports
from tests.fixtures import netlink
from tests.fixtures import privsep

PORT = ports.Port(
    'p', 'eth0', 'fa:16:3e:00:00:01', 1442, 'tapp', 'ndp',
    (ports.Address('10.0.0.5', 24, 4), ports.Address('fd00::5', 64, 6)),
    (ports.Route('10.9.0.1/32', None, 0, 4),
     ports.Route('::/0', 'fd00::1', 1024, 6))).to_dict()
SUBPORT = ports.SubPort(
    's', 'eth0.7', 7, 'fa:16:3e:00:00:07', 1400,
    (ports.Address('10.7.0.5', 24, 4), ports.Address('fd00:7::5', 64, 6)),
    (ports.Route('0.0.0.0/0', '10.7.0.1', 1000700, 4),)).to_dict()
TRUNK = PORT | {'subports': [SUBPORT]}

FUNCTION = dict(PORT, id='q', host_device='', parked_device='ens1v3',
                pci_address='0000:01:10.3')


class NetnsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.fake = self.useFixture(netlink.FakeIPRoute())
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.path = os.path.join(self.directory, 'netns')
        self.opened = self._patch(
            namespace, 'opened', lambda path: contextlib.nullcontext(77))
        self._patch(namespace, 'netlink', lambda descriptor: self.fake.ip)
        self.enable_ipv6 = self._patch(netns, '_enable_ipv6', None)

    def _patch(self, module, name, effect):
        return self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True, side_effect=effect)).mock

    def test_configure(self):
        self.fake.links = [netlink.Link(5, 'ndp', 'veth'),
                           netlink.Link(6, 'eth0', 'veth')]
        netns.configure(12, [PORT], [])
        self.opened.assert_called_once_with('/proc/12/ns/net')
        self.enable_ipv6.assert_called_once_with(77, 'eth0')
        self.assertEqual([
            ('link', 'set', {'index': 5, 'net_ns_fd': 77, 'ifname': 'eth0'}),
            ('link', 'set', {'index': 1, 'state': 'up'}),
            ('link', 'set', {'index': 6, 'address': 'fa:16:3e:00:00:01',
                             'mtu': 1442}),
            ('link', 'set', {'index': 6, 'state': 'up'}),
            ('addr', 'replace', {'index': 6, 'address': '10.0.0.5',
                                 'prefixlen': 24,
                                 'family': socket.AF_INET}),
            ('addr', 'replace', {'index': 6, 'address': 'fd00::5', 'flags': 2,
                                 'prefixlen': 64,
                                 'family': socket.AF_INET6}),
            ('route', 'replace', {'dst': '10.9.0.1/32', 'oif': 6,
                                  'priority': 0, 'scope': 'link',
                                  'family': socket.AF_INET}),
            ('route', 'replace', {'dst': '::/0', 'oif': 6, 'priority': 1024,
                                  'family': socket.AF_INET6,
                                  'gateway': 'fd00::1'})], self.fake.calls)

    def test_configure_what_is_inside(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0)]
        kept = dict(PORT, addresses=PORT['addresses'][:1],
                    routes=PORT['routes'][1:])
        # Root in the container was faster with one of them.
        self.fake.errors['route', 'del'] = errno.ESRCH
        netns.configure(12, [kept], [PORT])
        self.assertNotIn('net_ns_fd', str(self.fake.calls))
        self.assertEqual([
            ('route', 'del', {'dst': '10.9.0.1/32', 'oif': 9, 'priority': 0,
                              'family': socket.AF_INET, 'scope': 'link'}),
            ('addr', 'del', {'index': 9, 'address': 'fd00::5',
                             'prefixlen': 64, 'family': socket.AF_INET6})],
            [call for call in self.fake.calls if call[1] == 'del'])
        self.assertEqual(
            ['10.0.0.5', '::/0'],
            [arguments.get('address') or arguments['dst']
             for _, command, arguments in self.fake.calls
             if command == 'replace'])

    def test_limits_of_what_is_inside_stay(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0)]
        limit = {'rate': 1, 'ceiling': 2, 'burst': 3, 'queue': 4}
        netns.configure(12, [PORT | {
            'limits': {'inbound': limit, 'outbound': limit}}], [PORT])
        self.assertNotIn('tc', [call[0] for call in self.fake.calls])

    def test_configure_a_trunk(self):
        self.fake.links = [netlink.Link(5, 'ndp', 'veth'),
                           netlink.Link(6, 'eth0', 'veth')]
        netns.configure(12, [TRUNK], [])
        self.assertEqual([mock.call(77, 'eth0'), mock.call(77, 'eth0.7')],
                         self.enable_ipv6.mock_calls)
        start = self.fake.calls.index(
            ('link', 'add', {'ifname': 'eth0.7', 'kind': 'vlan', 'link': 6,
                             'vlan_id': 7}))
        self.assertEqual([
            ('link', {'index': 8, 'address': 'fa:16:3e:00:00:07',
                      'mtu': 1400}),
            ('link', {'index': 8, 'state': 'up'})],
            [(method, arguments) for method, _command, arguments
             in self.fake.calls[start + 1:start + 3]])
        self.assertEqual([('addr', 8), ('addr', 8), ('route', 8)], [
            (method, arguments.get('index') or arguments['oif'])
            for method, _command, arguments in self.fake.calls[start + 3:]])

    def test_configure_a_trunk_that_changes(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0),
            netlink.Link(20, 'own', 'vlan', IFLA_LINK=9, IFLA_VLAN_ID=7)]
        netns.configure(12, [TRUNK | {'subports': [
            SUBPORT | {'addresses': SUBPORT['addresses'][:1]}]}], [TRUNK])
        self.assertEqual([('addr', 'fd00:7::5')], [
            (method, arguments['address'])
            for method, command, arguments in self.fake.calls
            if command == 'del'])
        self.fake.calls.clear()
        netns.configure(12, [PORT], [TRUNK])
        self.assertEqual([('link', {'index': 20})], [
            (method, arguments) for method, command, arguments
            in self.fake.calls if command == 'del'])

    def test_route(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0)]
        set_sysctl = self._patch(namespace, 'set_sysctl', None)
        tables = [{'number': number, 'priority': number, 'vlan': 0,
                   'host_device': device, 'routes': [],
                   'addresses': PORT['addresses'][:1], 'pci_address': None}
                  for number, device in ((20000, 'tapp'), (20001, 'tapq'))]
        self.assertTrue(netns.route(12, tables))
        self.opened.assert_called_once_with('/proc/12/ns/net')
        self.assertEqual([(77, 'ipv4/conf/any/arp_ignore', '1'),
                          (77, 'ipv4/conf/any/arp_announce', '2')],
                         [each.args for each in set_sysctl.call_args_list])
        # The pair of the other one is gone.
        self.assertEqual([20000], [
            arguments['table'] for _, _, arguments in self.fake.calls])
        self.fake.errors['rule', 'get'] = errno.EOPNOTSUPP
        self.assertFalse(netns.route(12, tables))
        self.fake.errors['rule', 'get'] = errno.EPERM
        self.assertRaises(PermissionError, netns.route, 12, tables)

    def test_route_a_trunk(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0),
            netlink.Link(20, 'own', 'vlan', IFLA_LINK=9, IFLA_VLAN_ID=7)]
        set_sysctl = self._patch(namespace, 'set_sysctl', None)
        self.assertTrue(netns.route(12, [
            {'number': 200000000 + vlan, 'priority': 20000, 'vlan': vlan,
             'host_device': 'tapp', 'pci_address': None,
             'routes': SUBPORT['routes'],
             'addresses': SUBPORT['addresses'][:1]} for vlan in (7, 8)]))
        self.assertEqual({'ipv4/conf/own/arp_ignore',
                          'ipv4/conf/own/arp_announce'},
                         {each.args[1] for each in set_sysctl.call_args_list})
        # The interface of the other one is gone.
        self.assertEqual([('route', 20, 200000007), ('rule', None, 200000007)],
                         [(method, arguments.get('oif'), arguments['table'])
                          for method, _, arguments in self.fake.calls])

    def test_forget(self):
        netns.forget(12, PORT)
        self.assertEqual([], self.fake.calls)
        self.fake.links = [netlink.Link(7, 'ifb-eth0', 'ifb')]
        netns.forget(12, PORT)
        self.opened.assert_called_with('/proc/12/ns/net')
        self.assertEqual([('link', 'del', {'index': 7})], self.fake.calls)

    def test_configure_what_cannot_be_removed(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0)]
        self.fake.errors['addr', 'del'] = errno.EPERM
        self.assertRaises(
            PermissionError, netns.configure, 12,
            [dict(PORT, addresses=[], routes=[])], [PORT])

    def test_limits_come_before_the_link_is_up(self):
        self.fake.links = [netlink.Link(5, 'ndp', 'veth'),
                           netlink.Link(6, 'eth0', 'veth')]
        limit = {'rate': 1, 'ceiling': 2, 'burst': 3, 'queue': 4}
        netns.configure(12, [PORT | {
            'limits': {'inbound': None, 'outbound': limit}}], [])
        calls = [(method, arguments['index'])
                 for method, _command, arguments in self.fake.calls[:-4]]
        self.assertLess(calls.index(('tc', 6)), calls.index(('link', 6)))

    def test_configure_without_a_port(self):
        netns.configure(12, [], [])
        self.assertEqual([('link', 'set', {'index': 1, 'state': 'up'})],
                         self.fake.calls)
        self.enable_ipv6.assert_not_called()

    def test_netlink_errors_cross_privsep(self):
        self.fake.errors['link', 'set'] = errno.EPERM
        error = self.assertRaises(PermissionError, netns.configure, 12, [], [])
        self.assertEqual(errno.EPERM, error.errno)

    def test_configure_what_is_not_parked(self):
        self.assertRaises(OSError, netns.configure, 12, [PORT], [])
        self.assertEqual([], self.fake.calls)

    def test_take_back(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            # The other end of a pair in the container itself.
            netlink.Link(8, 'own', 'veth', IFLA_LINK=5),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0)]
        self.assertTrue(netns.take_back(self.path, [PORT]))
        self.assertEqual(
            [('link', 'set', {'index': 9, 'state': 'down'}),
             ('link', 'set', {'index': 9, 'net_ns_fd': 77,
                              'ifname': 'ndp'})], self.fake.calls)

    def test_take_back_a_trunk(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0),
            netlink.Link(20, 'eth0.7', 'vlan', IFLA_LINK=9, IFLA_VLAN_ID=7),
            # Of another one.
            netlink.Link(21, 'own', 'vlan', IFLA_LINK=3, IFLA_VLAN_ID=7)]
        self.assertTrue(netns.take_back(self.path, [TRUNK]))
        self.assertEqual([('del', 20), ('set', 9), ('set', 9)], [
            (command, arguments['index'])
            for _, command, arguments in self.fake.calls])

    def test_take_back_all_or_nothing(self):
        self.fake.links = [
            netlink.Link(5, 'tapp', 'veth'),
            netlink.Link(9, 'any', 'veth', IFLA_LINK=5, IFLA_LINK_NETNSID=0)]
        self.assertFalse(netns.take_back(
            self.path, [PORT, dict(PORT, host_device='tapq')]))
        self.assertEqual([], self.fake.calls)

    def test_take_back_what_is_not_held(self):
        def opened(path):
            if path == self.path:
                raise FileNotFoundError(path)
            return contextlib.nullcontext(77)

        self.opened.side_effect = opened
        self.assertFalse(netns.take_back(self.path, [PORT]))
        self.assertFalse(netns.set_down(self.path, 1, [PORT]))
        # A virtual function is where it belongs, but has another name.
        self._functions({FUNCTION['pci_address']: 'dev5'})
        self.fake.links = [netlink.Link(5, 'dev5', None)]
        self.assertFalse(netns.take_back(self.path, [FUNCTION]))
        self.assertEqual([], netns.give_back(self.path, [FUNCTION]))
        self.assertIn("'ifname': 'ens1v3'", str(self.fake.calls))

    def _functions(self, on_host):
        self._patch(interface, '_name', on_host.get)

    def test_configure_a_virtual_function(self):
        on_host = {FUNCTION['pci_address']: 'ens1v3'}
        self._functions(on_host)
        self.fake.links = [
            netlink.Link(5, 'ens1v3', None),
            netlink.Link(6, 'eth0', None, IFLA_PARENT_DEV_NAME=FUNCTION[
                'pci_address'])]
        netns.configure(12, [FUNCTION], [])
        self.assertEqual(
            ('link', 'set', {'index': 5, 'net_ns_fd': 77, 'ifname': 'eth0'}),
            self.fake.calls[0])
        self.assertIn(('link', 'set', {
            'index': 6, 'address': FUNCTION['mac'], 'mtu': 1442}),
            self.fake.calls)
        on_host.clear()
        # Its user may have called it something else.
        self.fake.links[1].attributes['IFLA_IFNAME'] = 'lan'
        self.fake.calls.clear()
        netns.configure(12, [FUNCTION], [])
        self.assertNotIn('net_ns_fd', str(self.fake.calls))
        self.enable_ipv6.assert_called_with(77, 'lan')
        self.fake.links.clear()
        self.assertRaises(OSError, netns.configure, 12, [FUNCTION], [])

    def test_virtual_functions_come_back_in_any_case(self):
        self._functions({})
        self.fake.links = [netlink.Link(
            6, 'eth0', None, IFLA_PARENT_DEV_NAME=FUNCTION['pci_address'])]
        back = [('link', 'set', {'index': 6, 'state': 'down'}),
                ('link', 'set', {'index': 6, 'net_ns_fd': 77,
                                 'ifname': 'vf%d'})]
        # A pair is missing, and so is the virtual function on the host.
        self.assertFalse(netns.take_back(self.path, [FUNCTION, PORT]))
        self.assertEqual(back, self.fake.calls)
        self.fake.calls.clear()
        self.assertEqual([FUNCTION['pci_address']],
                         netns.give_back(self.path, [FUNCTION, PORT]))
        self.assertEqual(back, self.fake.calls)

    def test_set_down_gives_virtual_functions_back(self):
        self._functions({})
        with open(self.path, 'w') as file:
            self.opened.side_effect = lambda path: contextlib.nullcontext(
                file.fileno())
            self.fake.links = [netlink.Link(
                6, 'eth0', None,
                IFLA_PARENT_DEV_NAME=FUNCTION['pci_address'])]
            inode = os.fstat(file.fileno()).st_ino
            self.assertFalse(netns.set_down(self.path, inode + 1, [FUNCTION]))
            self.assertEqual([], self.fake.calls)
            self.assertTrue(netns.set_down(self.path, inode, [FUNCTION]))
        self.assertIn('net_ns_fd', str(self.fake.calls))

    def test_set_down(self):
        with open(self.path, 'w') as file:
            inode = os.fstat(file.fileno()).st_ino
            self.opened.side_effect = lambda path: contextlib.nullcontext(
                file.fileno())
            self.fake.links = [netlink.Link(1, 'lo', None),
                               netlink.Link(6, 'eth0', 'veth')]
            self.assertFalse(netns.set_down(self.path, inode + 1, []))
            self.assertEqual([], self.fake.calls)
            self.assertTrue(netns.set_down(self.path, inode, []))
            self.assertEqual([('link', 'set', {'index': 6, 'state': 'down'})],
                             self.fake.calls)
            # Its other end went meanwhile.
            self.fake.errors['link', 'set'] = errno.ENODEV
            self.assertTrue(netns.set_down(self.path, inode, []))
            self.fake.errors['link', 'set'] = errno.EPERM
            self.assertRaises(OSError, netns.set_down, self.path, inode, [])

    def test_hold_and_release(self):
        libc = self.useFixture(fixtures.MockPatchObject(netns, '_libc')).mock
        libc.umount2.side_effect = [-1, 0, 0, -1]
        libc.mount.return_value = 0
        inode = netns.hold(self.path, 12)
        self.assertEqual(os.stat(self.path).st_ino, inode)
        self.assertEqual(b'/proc/12/ns/net', libc.mount.call_args.args[0])
        # Also what was mounted twice.
        netns.release(self.path)
        self.assertEqual(4, libc.umount2.call_count)
        self.assertFalse(os.path.exists(self.path))

    def test_hold_that_fails_leaves_nothing(self):
        libc = self.useFixture(fixtures.MockPatchObject(netns, '_libc')).mock
        libc.umount2.return_value = -1
        libc.mount.return_value = -1
        self.assertRaises(OSError, netns.hold, self.path, 12)
        self.assertEqual([], os.listdir(self.directory))
