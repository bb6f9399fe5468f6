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

import fixtures
from oslotest import base

from nova_docker.privsep import bandwidth
from nova_docker.privsep import namespace
from tests.fixtures import netlink

LIMIT = {'rate': 1000, 'ceiling': 3000, 'burst': 2000, 'queue': 32}


class BandwidthTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fake = self.useFixture(netlink.FakeIPRoute(
            netlink.Link(6, 'eth0', 'veth')))
        self.entered = []
        self.useFixture(fixtures.MockPatchObject(
            namespace, 'inside', autospec=True, side_effect=self._enter))

    def _enter(self, descriptor):
        self.entered.append(descriptor)
        return contextlib.nullcontext()

    def _limit(self, inbound=None, outbound=None):
        bandwidth.limit(self.fake.ip, 77, 'eth0',
                        {'inbound': inbound, 'outbound': outbound})

    def _shape(self, index):
        return [
            ('tc', 'add', {'kind': 'htb', 'index': index, 'handle': 0x10000,
                           'default': 0x10001}),
            ('tc', 'add-class', {
                'kind': 'htb', 'index': index, 'handle': 0x10001,
                'parent': 0x10000, 'rate': 1000, 'ceil': 3000, 'burst': 2000,
                'cburst': 65536, 'quantum': 65536}),
            ('tc', 'add', {'kind': 'pfifo', 'index': index,
                           'handle': 0x20000, 'parent': 0x10001,
                           'limit': 32})]

    def test_no_limits(self):
        self._limit()
        self.assertEqual([], self.fake.calls)

    def test_outbound(self):
        self._limit(outbound=LIMIT)
        self.assertEqual(self._shape(6), self.fake.calls)

    def test_kernel_that_refuses(self):
        self.fake.errors['tc', 'add'] = errno.ENOENT
        error = self.assertRaises(OSError, self._limit, outbound=LIMIT)
        self.assertEqual(errno.ENOENT, error.errno)
        self.assertIn('bandwidth of eth0', str(error))

    def test_block_of_an_earlier_interface_is_replaced(self):
        self.fake.links.append(netlink.Link(7, 'ifb-eth0', 'ifb'))
        self._limit(inbound=LIMIT)
        self.assertEqual([
            ('link', 'del', {'index': 7}),
            ('link', 'add', {'ifname': 'ifb-eth0', 'kind': 'ifb'})],
            self.fake.calls[:2])

    def test_inbound(self):
        self._limit(inbound=LIMIT)
        self.assertEqual([
            ('link', 'add', {'ifname': 'ifb-eth0', 'kind': 'ifb'}),
            *self._shape(8),
            ('link', 'set', {'index': 8, 'state': 'up'}),
            ('tc', 'add', {'kind': 'ingress', 'index': 6})],
            self.fake.calls[:-1])
        _tc, command, arguments = self.fake.calls[-1]
        self.assertEqual('add-filter', command)
        self.assertEqual(6, arguments['index'])
        self.assertEqual(8, arguments['action']['ifindex'])
        # For a setting, which this host does not have.
        self.assertEqual([77], self.entered)
