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

import fixtures
from oslotest import base
from pyroute2.netlink import exceptions

from nova_docker.privsep import link
from tests.fixtures import netlink
from tests.fixtures import privsep


class LinkTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.fake = self.useFixture(netlink.FakeIPRoute())
        self.tx_off = self.useFixture(fixtures.MockPatchObject(
            link, '_disable_tx_checksum', autospec=True)).mock

    def _add(self, index, name, kind='veth', **attributes):
        self.fake.links.append(netlink.Link(index, name, kind, **attributes))

    def test_pair_state(self):
        self.assertEqual(link.ABSENT, link.pair_state('tapx', 'ndx'))
        self._add(2, 'tapx', IFLA_LINK=3)
        self.assertEqual(link.ABSENT, link.pair_state('tapx', 'ndx'))
        self._add(3, 'ndx', IFLA_LINK=2)
        self.assertEqual(link.PARKED, link.pair_state('tapx', 'ndx'))

    def test_pair_state_inside(self):
        self._add(2, 'tapx', IFLA_LINK=3, IFLA_LINK_NETNSID=0)
        self.assertEqual(link.INSIDE, link.pair_state('tapx', 'ndx'))

    def test_pair_state_of_other_things(self):
        self._add(2, 'tapx', 'tun')
        self._add(3, 'ndx', 'veth', IFLA_LINK=9)
        self.assertEqual(link.ABSENT, link.pair_state('tapx', 'ndx'))
        self.fake.links[0] = netlink.Link(2, 'tapx', 'veth', IFLA_LINK=8)
        self.assertEqual(link.ABSENT, link.pair_state('tapx', 'ndx'))

    def test_make_pair_in_place_of_what_is_there(self):
        self._add(3, 'ndx', 'tun')
        link.make_pair('tapx', 'ndx', 'fa:16:3e:00:00:01', 1442, None)
        self.assertEqual([
            ('link', 'del', {'index': 3}),
            ('link', 'add', {
                'ifname': 'tapx', 'kind': 'veth', 'mtu': 1442, 'peer': {
                    'ifname': 'ndx', 'address': 'fa:16:3e:00:00:01',
                    'mtu': 1442}}),
            ('link', 'set', {'index': 8, 'state': 'up'})], self.fake.calls)

    def test_make_pair_with_the_mtu_of_the_kernel(self):
        link.make_pair('tapx', 'ndx', 'fa:16:3e:00:00:01', 0, None)
        self.assertNotIn('mtu', self.fake.calls[0][2])

    def test_checksums_are_left_to_the_kernels_datapath_only(self):
        self._add(2, 'br-kernel', 'openvswitch')
        self._add(3, 'br-user', 'tun')
        self._add(4, 'br-linux', 'bridge')
        for switch in ('br-user', 'br-linux', 'br-absent', None):
            link.make_pair('tapx', 'ndx', 'fa:16:3e:00:00:01', 0, switch)
            self.tx_off.assert_called_once_with('ndx')
            self.tx_off.reset_mock()
        link.make_pair('tapx', 'ndx', 'fa:16:3e:00:00:01', 0, 'br-kernel')
        self.tx_off.assert_not_called()

    def test_delete_pair(self):
        link.delete_pair('tapx', 'ndx')
        self.assertEqual([], self.fake.calls)
        self._add(2, 'tapx')
        self.fake.errors['link', 'del'] = errno.ENODEV
        link.delete_pair('tapx', 'ndx')
        self.assertEqual([('link', 'del', {'index': 2})], self.fake.calls)
        self.fake.errors['link', 'del'] = errno.EPERM
        self.assertRaises(exceptions.NetlinkError, link.delete_pair, 'tapx',
                          'ndx')

    def test_assert_pair(self):
        self._add(2, 'tapx')
        link.assert_pair('tapx', 1400)
        self.assertEqual(
            [('link', 'set', {'index': 2, 'state': 'up', 'mtu': 1400})],
            self.fake.calls)

    def test_set_carrier(self):
        self._add(2, 'tapx')
        link.set_carrier(['tapx', 'tapy'], False)
        link.set_carrier(['tapx'], True)
        self.assertEqual(
            [('link', 'set', {'index': 2, 'state': 'down'}),
             ('link', 'set', {'index': 2, 'state': 'up'})], self.fake.calls)

    def test_set_carrier_of_a_pair_that_goes(self):
        self._add(2, 'tapx')
        self.fake.errors['link', 'set'] = errno.ENODEV
        link.set_carrier(['tapx'], False)
        self.fake.errors['link', 'set'] = errno.EPERM
        self.assertRaises(exceptions.NetlinkError, link.set_carrier,
                          ['tapx'], False)

    def test_set_bridge(self):
        self._add(2, 'tapx')
        self.assertRaises(FileNotFoundError, link.set_bridge, 'tapx', 'qbr')
        self.assertRaises(FileNotFoundError, link.set_bridge, 'tapy', 'tapx')
        self._add(3, 'qbr', 'bridge')
        link.set_bridge('tapx', 'qbr')
        self.assertEqual(
            [('link', 'set', {'index': 2, 'master': 3, 'state': 'up'})],
            self.fake.calls)
