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

from oslotest import base
from pyroute2.netlink.rtnl import ifinfmsg

from nova_docker.privsep import function
from tests.fixtures import netlink
from tests.fixtures import privsep

MAC = 'fa:16:3e:00:00:01'
NONE = '00:00:00:00:00:00'


def info(number, mac=NONE, vlan=0, trust=None):
    """A VF as the kernel tells of it; None: its card does not know trust."""
    attributes = [('IFLA_VF_MAC', {'vf': number, 'mac': mac}),
                  ('IFLA_VF_VLAN', {'vf': number, 'vlan': vlan, 'qos': 0})]
    if trust is not None:
        attributes.append(('IFLA_VF_TRUST', {'vf': number, 'trust': trust}))
    return 'IFLA_VF_INFO', {'attrs': attributes}


def card(*functions):
    """A physical function's interface, as it comes from the wire."""
    message = ifinfmsg.ifinfmsg()
    message['index'] = 4
    message['attrs'] = [('IFLA_IFNAME', 'ens1')]
    if functions:
        message['attrs'].append(
            ('IFLA_VFINFO_LIST', {'attrs': list(functions)}))
    message.encode()
    received = ifinfmsg.ifinfmsg(message.data)
    received.decode()
    return received


class FunctionTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.fake = self.useFixture(netlink.FakeIPRoute())
        record = self.fake.ip.link

        def link(command, **arguments):
            if command != 'get':
                return record(command, **arguments)
            return [self.asked(each, **arguments) for each in self.fake.links
                    if each['index'] == arguments['index']]

        self.fake.ip.link = link

    @staticmethod
    def asked(link, index, ext_mask=0):
        """Without this mask the kernel tells of no VF."""
        return link if ext_mask == 1 or index != 4 else card()

    def _card(self, *functions):
        self.fake.links = [card(*functions)]

    def test_configure(self):
        self._card(info(0, mac=MAC), info(3))
        function.configure('ens1', 3, MAC, 1001, True)
        self.assertEqual([('link', 'set', {'index': 4, 'vf': {
            'vf': 3, 'mac': MAC, 'vlan': 1001, 'trust': 1}})],
            self.fake.calls)

    def test_what_is_so_is_not_set(self):
        self._card(info(3, MAC, 1001, 1))
        function.configure('ens1', 3, MAC, 1001, True)
        self.assertEqual([], self.fake.calls)
        # It belongs to the last port, which had it in another VLAN.
        function.configure('ens1', 3, MAC, 0, False)
        self.assertEqual({'vf': 3, 'vlan': 0, 'trust': 0},
                         self.fake.calls[0][2]['vf'])

    def test_cards_that_trust_nobody(self):
        for trust in (None, 0xffffffff):
            self._card(info(3, MAC, trust=trust))
            function.configure('ens1', 3, MAC, 0, False)
        self.assertEqual([], self.fake.calls)

    def test_errors_cross_privsep(self):
        self._card()
        for name in ('ens1', 'ens2'):
            error = self.assertRaises(OSError, function.configure, name, 3,
                                      MAC, 0, False)
            self.assertEqual(errno.ENODEV, error.errno)
        self._card(info(3))
        self.fake.errors['link', 'set'] = errno.EOPNOTSUPP
        error = self.assertRaises(OSError, function.configure, 'ens1', 3, MAC,
                                  0, True)
        self.assertEqual(errno.EOPNOTSUPP, error.errno)

    def test_reset(self):
        self._card(info(3, MAC, 1001))
        self.assertTrue(function.reset('ens1', 3, MAC))
        self.assertEqual({'vf': 3, 'mac': NONE, 'vlan': 0},
                         self.fake.calls[0][2]['vf'])

    def test_reset_spares_another_port(self):
        self._card(info(3, 'fa:16:3e:00:00:02', 1001))
        self.assertFalse(function.reset('ens1', 3, MAC))
        self.assertEqual([], self.fake.calls)

    def test_set_mac(self):
        self.fake.links = [netlink.Link(5, 'ens1v3', None,
                                        IFLA_ADDRESS=NONE)]
        function.set_mac('ens1v3', MAC)
        function.set_mac('ens1v3', NONE)
        self.assertEqual([('link', 'set', {'index': 5, 'address': MAC})],
                         self.fake.calls)
        self.assertRaises(OSError, function.set_mac, 'ens1v4', MAC)
