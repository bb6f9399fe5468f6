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

import errno
import socket

from oslotest import base
from pyroute2.netlink import exceptions

from nova_docker.privsep import routing
from tests.fixtures import netlink

TABLE = {
    'number': 200010042, 'priority': 20001, 'host_device': 'tapq', 'vlan': 42,
    'addresses': [
        {'address': '10.0.0.7', 'prefixlen': 24, 'version': 4},
        {'address': 'fd00::7', 'prefixlen': 64, 'version': 6}],
    'routes': [
        {'destination': '10.0.0.0/24', 'gateway': None, 'metric': 0,
         'version': 4},
        {'destination': '0.0.0.0/0', 'gateway': '10.0.0.1', 'metric': 100,
         'version': 4},
        {'destination': '::/0', 'gateway': 'fe80::1', 'metric': 1124,
         'version': 6}]}

RULE = {'src': '10.0.0.7', 'src_len': 32, 'table': 200010042,
        'priority': 20001, 'protocol': 210, 'family': socket.AF_INET}
RULE6 = dict(RULE, src='fd00::7', src_len=128, family=socket.AF_INET6)
CONNECTED = {'dst': '10.0.0.0/24', 'oif': 6, 'priority': 0, 'scope': 'link',
             'family': socket.AF_INET, 'table': 200010042, 'proto': 210}
DEFAULT = {'dst': '0.0.0.0/0', 'oif': 6, 'priority': 100,
           'gateway': '10.0.0.1', 'family': socket.AF_INET, 'table': 200010042,
           'proto': 210}
DEFAULT6 = {'dst': '::/0', 'oif': 6, 'priority': 1124, 'gateway': 'fe80::1',
            'family': socket.AF_INET6, 'table': 200010042, 'proto': 210}


def rule(address, table, protocol=210, priority=20001):
    return netlink.Message({}, FRA_SRC=address, FRA_TABLE=table,
                           FRA_PRIORITY=priority, FRA_PROTOCOL=protocol)


def route(destination, length, proto=210, **attributes):
    return netlink.Message(
        {'dst_len': length, 'proto': proto}, RTA_TABLE=200010042, RTA_OIF=6,
        **({'RTA_DST': destination} if destination else {}), **attributes)


class RoutingTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fake = self.useFixture(netlink.FakeIPRoute())
        self.rules, self.routes = self.fake.rules, self.fake.routes
        # What others have there is left alone.
        self.rules[socket.AF_INET] = [
            rule(None, 254, 2), rule('10.0.0.9', 20009, 4)]
        self.routes[socket.AF_INET] = [route('10.9.0.0', 24, 4)]

    def _there(self):
        self.rules[socket.AF_INET].append(rule('10.0.0.7', 200010042))
        self.rules[socket.AF_INET6].append(rule('fd00::7', 200010042))
        self.routes[socket.AF_INET] += [
            route('10.0.0.0', 24),
            route(None, 0, RTA_GATEWAY='10.0.0.1', RTA_PRIORITY=100)]
        self.routes[socket.AF_INET6] += [
            route(None, 0, RTA_GATEWAY='fe80::1', RTA_PRIORITY=1124)]

    def test_routes_come_before_the_rules_that_need_them(self):
        self.assertTrue(routing.apply(self.fake.ip, [(6, TABLE)]))
        self.assertEqual([
            ('route', 'replace', CONNECTED), ('route', 'replace', DEFAULT),
            ('rule', 'add', RULE), ('route', 'replace', DEFAULT6),
            ('rule', 'add', RULE6)], self.fake.calls)

    def test_again_changes_nothing(self):
        self._there()
        self.assertTrue(routing.apply(self.fake.ip, [(6, TABLE)]))
        self.assertEqual([], self.fake.calls)

    def test_what_changed(self):
        self._there()
        other = {'address': '10.0.0.8', 'prefixlen': 24, 'version': 4}
        hop = dict(TABLE['routes'][1], gateway='10.0.0.2')
        self.assertTrue(routing.apply(self.fake.ip, [(6, dict(
            TABLE, addresses=[other, TABLE['addresses'][1]],
            routes=[TABLE['routes'][0], hop, TABLE['routes'][2]]))]))
        self.assertEqual([
            ('rule', 'del', RULE), ('route', 'del', DEFAULT),
            ('route', 'replace', dict(DEFAULT, gateway='10.0.0.2')),
            ('rule', 'add', dict(RULE, src='10.0.0.8'))], self.fake.calls)

    def test_nothing_is_left(self):
        self._there()
        # Root in the container was faster.
        self.fake.errors['rule', 'del'] = errno.ENOENT
        self.fake.errors['route', 'del'] = errno.ESRCH
        self.assertTrue(routing.apply(self.fake.ip, []))
        self.assertEqual([
            ('rule', 'del', RULE), ('route', 'del', CONNECTED),
            ('route', 'del', DEFAULT), ('rule', 'del', RULE6),
            ('route', 'del', DEFAULT6)], self.fake.calls)

    def test_kernel_without_it(self):
        for code in (errno.EOPNOTSUPP, errno.EAFNOSUPPORT):
            self.fake.errors['rule', 'get'] = code
            self.assertFalse(routing.apply(self.fake.ip, [(6, TABLE)]))
            # Nobody needs it.
            self.assertTrue(routing.apply(self.fake.ip, []))
        # Its routes would be in the main table.
        self.assertEqual([], self.fake.calls)

    def test_what_the_kernel_refuses(self):
        for kind, command in (('rule', 'get'), ('rule', 'add'),
                              ('route', 'replace')):
            self.fake.errors = {(kind, command): errno.EPERM}
            self.assertRaises(exceptions.NetlinkError, routing.apply,
                              self.fake.ip, [(6, TABLE)])
