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
import os

import fixtures
from oslotest import base

from nova_docker.privsep import interface
from tests.fixtures import netlink

ADDRESS = '0000:01:10.3'
PORT = {'pci_address': ADDRESS, 'parked_device': 'ens1v3', 'host_device': ''}
PAIR = {'pci_address': None, 'parked_device': 'ndp', 'host_device': 'tapp'}
BACK = [('link', 'set', {'index': 6, 'state': 'down'}),
        ('link', 'set', {'index': 6, 'net_ns_fd': 77, 'ifname': 'vf%d'})]


class InterfaceTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.fake = self.useFixture(netlink.FakeIPRoute())
        self.on_host = {}
        self.useFixture(fixtures.MockPatchObject(
            interface, '_name', autospec=True, side_effect=self.on_host.get))

    def _give_back(self, ip=True, ports=(PORT, PAIR)):
        return interface.give_back(
            self.fake.ip, self.fake.ip if ip else None, 77, ports)

    def _inside(self):
        self.fake.links.append(netlink.Link(
            6, 'eth0', None, IFLA_PARENT_DEV_NAME=ADDRESS))

    def test_parked(self):
        self.fake.links = [netlink.Link(5, 'ndp', 'veth'),
                           netlink.Link(7, 'dev7', None)]
        self.assertEqual(5, interface.parked(self.fake.ip, PAIR))
        self.assertIsNone(interface.parked(self.fake.ip, PORT))
        # Whatever it is called.
        self.on_host[ADDRESS] = 'dev7'
        self.assertEqual(7, interface.parked(self.fake.ip, PORT))

    def test_inside(self):
        self.fake.links = [netlink.Link(1, 'lo', None)]
        self.assertIsNone(interface.inside(self.fake.ip, self.fake.ip, PORT))
        self._inside()
        self.assertEqual(6, interface.inside(
            self.fake.ip, self.fake.ip, PORT)['index'])
        self.assertIsNone(interface.inside(self.fake.ip, self.fake.ip, PAIR))

    def test_give_back(self):
        self._inside()
        self.assertEqual([ADDRESS], self._give_back())
        self.assertEqual(BACK, self.fake.calls)

    def test_own_name(self):
        self.on_host[ADDRESS] = 'dev7'
        self.fake.links = [netlink.Link(7, 'dev7', None)]
        for ip in (True, False):
            self.fake.calls.clear()
            self.assertEqual([], self._give_back(ip))
            self.assertEqual(
                [('link', 'set', {'index': 7, 'state': 'down'}),
                 ('link', 'set', {'index': 7, 'ifname': 'ens1v3'})],
                self.fake.calls)
        # One that somebody else has by now.
        self.fake.ip.link = self._refuse(errno.EEXIST, 'ifname')
        self.assertEqual([], self._give_back())

    def test_what_is_back_is_left(self):
        self.on_host[ADDRESS] = 'ens1v3'
        self.fake.links = [netlink.Link(7, 'ens1v3', None)]
        self.assertEqual([], self._give_back())
        self.assertEqual([], self.fake.calls)

    def test_another_thread_is_faster(self):
        self._inside()
        self.fake.errors['link', 'set'] = errno.ENODEV
        self.assertEqual([ADDRESS], self._give_back())

    def _refuse(self, code, argument):
        record = self.fake.ip.link

        def link(command, **arguments):
            if argument in arguments:
                self.fake.errors['link', 'set'] = code
            return record(command, **arguments)

        return link


class NameTest(base.BaseTestCase):

    def test_name(self):
        listdir = self.useFixture(fixtures.MockPatchObject(
            os, 'listdir', autospec=True, return_value=['ens1v3'])).mock
        self.assertEqual('ens1v3', interface._name(ADDRESS))
        listdir.assert_called_once_with(
            f'/sys/bus/pci/devices/{ADDRESS}/net')
        # In a container, and no network card.
        for answer in ([[]], FileNotFoundError):
            listdir.side_effect = answer
            self.assertIsNone(interface._name(ADDRESS))
