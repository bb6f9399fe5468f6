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

import os
import socket

import fixtures
from nova import exception
from oslotest import base

from nova_docker.console import ports
from tests.fixtures import consoles


class PortsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'consoles.json')
        self.now = 1000
        self.listeners = []
        self.range = consoles.free_range(200)
        self.restart()

    def restart(self):
        self.ports = ports.Ports(self.path, 600, lambda: self.now)

    def place(self, numbers=None, kind='serial'):
        return ports.Place(kind, '127.0.0.1', 'proxied',
                           self.range if numbers is None else numbers)

    def listen(self, instance, numbers=None, kind='serial', keep=False):
        listener = self.ports.listen(instance, self.place(numbers, kind))
        # Not the method alone: eventlet's does not keep its socket.
        self.listeners.append(listener)
        self.addCleanup(lambda: listener.close())
        number = listener.getsockname()[1]
        if not keep:
            listener.close()
        return number

    def only(self, number):
        return range(number, number + 1)

    def test_one_of_each_instance_and_kind(self):
        numbers = {self.listen('a'), self.listen('b'),
                   self.listen('a', kind='vnc')}
        self.assertEqual(3, len(numbers))
        self.assertLessEqual(numbers, {*self.range})
        self.assertEqual({'a', 'b'}, self.ports.instances())
        self.assertEqual({('a', 'serial'), ('b', 'serial'), ('a', 'vnc')},
                         {*self.ports.known()})

    def test_it_stays(self):
        number = self.listen('a')
        self.listen('b')
        self.restart()
        self.assertEqual(number, self.listen('a'))

    def test_it_rests(self):
        number = self.listen('a')
        self.now += 5000
        self.ports.release('a')
        self.ports.release('a')
        self.restart()
        self.now += 599
        self.assertEqual(set(), self.ports.instances())
        for instance in ('a', 'b'):
            self.assertRaises(exception.SocketPortRangeExhaustedException,
                              self.listen, instance, self.only(number))
        self.now += 1
        self.assertEqual(number, self.listen('b', self.only(number)))
        self.restart()
        self.assertEqual([('b', 'serial')], self.ports.known())

    def test_in_use_by_others(self):
        number = self.listen('a', keep=True)
        self.restart()
        other = self.listen('a')
        self.assertNotEqual(number, other)
        self.restart()
        self.assertEqual(other, self.listen('a'))
        self.assertRaises(exception.SocketPortRangeExhaustedException,
                          self.listen, 'b', self.only(number))

    def test_another_range(self):
        number = self.listen('a')
        other = self.listen('a', range(number + 1, self.range.stop))
        self.assertNotEqual(number, other)

    def test_no_address_of_this_host(self):
        self.assertRaises(OSError, self.ports.listen, 'a', ports.Place(
            'serial', '192.0.2.1', 'proxied', self.range))
        self.assertEqual([], self.ports.known())

    def test_it_is_listened_on(self):
        number = self.listen('a', keep=True)
        socket.create_connection(('127.0.0.1', number)).close()
