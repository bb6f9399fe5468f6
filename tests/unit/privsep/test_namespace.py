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
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.privsep import namespace
from tests.fixtures import netlink


class NamespaceTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.setns = self.useFixture(fixtures.MockPatchObject(
            namespace, '_libc')).mock.setns
        self.setns.return_value = 0

    def _entered(self):
        return [call.args[0] for call in self.setns.call_args_list]

    def test_inside_and_back(self):
        with namespace.inside(77):
            self.assertEqual([77], self._entered())
        self.assertEqual(2, len(self._entered()))
        self.assertNotEqual(77, self._entered()[1])

    def test_back_after_an_error(self):
        def fail():
            with namespace.inside(77):
                raise ValueError

        self.assertRaises(ValueError, fail)
        self.assertEqual(2, len(self._entered()))

    def test_a_namespace_that_cannot_be_entered(self):
        self.setns.return_value = -1
        self.useFixture(fixtures.MockPatchObject(
            namespace.ctypes, 'get_errno', return_value=errno.EPERM))
        self.assertRaises(PermissionError,
                          namespace.inside(77).__enter__)
        self.assertEqual([77], self._entered())

    def test_opened_is_closed(self):
        with namespace.current() as descriptor:
            self.assertTrue(os.fstat(descriptor).st_ino)
        self.assertRaises(OSError, os.fstat, descriptor)
        self.assertRaises(FileNotFoundError,
                          namespace.opened('/none').__enter__)

    def test_netlink_socket_is_made_inside(self):
        made = []
        socket = self.useFixture(fixtures.MockPatchObject(
            namespace.socket, 'socket')).mock
        socket.side_effect = lambda *args: made.append(
            len(self._entered())) or mock.DEFAULT
        socket.return_value.detach.return_value = 5
        fake = self.useFixture(netlink.FakeIPRoute())
        self.assertIs(fake.ip, namespace.netlink(77))
        self.assertEqual([1], made)
        self.assertEqual(2, len(self._entered()))

    def test_set_sysctl(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 'value')
        with open(path, 'w') as sysctl:
            sysctl.write('0\n')
        name = os.path.relpath(path, '/proc/sys/net')
        for value, entered in (('0', 2), ('1', 4), ('1', 6)):
            before = os.stat(path).st_mtime_ns
            namespace.set_sysctl(77, name, value)
            with open(path) as sysctl:
                self.assertEqual(value, sysctl.read().strip())
            self.assertEqual(entered, len(self._entered()))
            # As it is already, nothing is written: it may be read-only.
            self.assertEqual(entered != 4, before == os.stat(path).st_mtime_ns)
        self.assertRaises(FileNotFoundError, namespace.set_sysctl, 77,
                          f'{name}s', '1')

    def test_find(self):
        fake = self.useFixture(netlink.FakeIPRoute(
            netlink.Link(3, 'eth0', 'veth')))
        self.assertEqual(3, namespace.find(fake.ip, 'eth0'))
        self.assertIsNone(namespace.find(fake.ip, 'eth1'))
