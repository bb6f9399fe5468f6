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
import socket
import threading

from nova_docker.console import hub
from nova_docker.console import rfb
from nova_docker.console import tls
from tests import engine_cases
from tests.fixtures import consoles
from tests.fixtures import tls as tls_fixture
from tests.unit.console import base


class ServerTest(base.ConsolesTestCase):

    def test_address(self):
        address = self.consoles.listen('a', 'serial')
        self.assertEqual(address, self.consoles.listen('a', 'serial'))
        others = [self.consoles.listen('a', 'vnc'),
                  self.consoles.listen('b', 'serial')]
        self.assertEqual(3, len({address, *others}))
        self.assertEqual('127.0.0.1', address[0])

    def test_instances_are_apart(self):
        one, two = self.serial('a'), self.serial('b')
        one.send(b'hello')
        one.wait_for(b'hello')
        two.send(b'world')
        self.assertEqual(b'', two.wait_for(b'world'))
        self.assertEqual(2, len(self.instances.opened))

    def test_restart(self):
        addresses = [self.consoles.listen('a', 'serial'),
                     self.consoles.listen('b', 'vnc')]
        client = self.serial('a')
        client.send(b'x')
        client.wait_for(b'x')
        self.consoles.stop()
        self.assert_closed(client)
        self.assertEqual([], self.instances.is_open())
        self.consoles = self.serve()
        again = consoles.SerialClient(addresses[0])
        self.addCleanup(again.close)
        again.send(b'y')
        again.wait_for(b'y')
        self.assertEqual(addresses, [self.consoles.listen('a', 'serial'),
                                     self.consoles.listen('b', 'vnc')])

    def test_close(self):
        address = self.consoles.listen('a', 'serial')
        one, two, other = self.serial(), self.vnc(), self.serial('b')
        for client in (one, other):
            client.send(b'x')
            client.wait_for(b'x')
        self.consoles.close('a')
        self.assert_closed(one)
        self.assert_closed(two)
        self.settle()
        self.assertRaises(OSError, socket.create_connection, address)
        self.assertEqual({'b'}, self.consoles.ports.instances())
        other.send(b'y')
        other.wait_for(b'y')
        self.assertNotEqual(address, self.consoles.listen('a', 'serial'))
        self.consoles.close('c')

    def test_too_many_viewers(self):
        clients = [self.serial() for _ in range(hub.MOST_VIEWERS + 1)]
        self.assert_closed(clients.pop())
        clients[0].send(b'x')
        clients[-1].wait_for(b'x')

    def test_no_thread_of_a_viewer(self):
        one = self.serial()
        one.send(b'x')
        one.wait_for(b'x')
        before = threading.active_count()
        for name in 'bcd':
            client = self.serial(name)
            client.send(b'x')
            client.wait_for(b'x')
        self.assertLessEqual(threading.active_count(), before)

    def test_viewer_who_fails(self):
        client = consoles.SerialClient(self.consoles.listen('a', 'vnc'))
        client.send(b'GET / HTTP/1.1\r\n\r\n')
        self.assert_closed(client)
        engine_cases.wait_until(lambda: not self.consoles._hubs)
        self.vnc()

    def test_tls(self):
        authority = self.useFixture(tls_fixture.Authority())
        self.consoles.stop()
        self.consoles = self.serve(
            security=(rfb.VENCRYPT,), context=tls.context(
                *authority.issue('server'), authority.ca_file))
        context = tls_fixture.ssl.SSLContext(
            tls_fixture.ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(authority.ca_file)
        with contextlib.suppress(OSError, AssertionError):
            self.vnc(secure=context.wrap_socket)
            self.fail('somebody without a certificate')
        context.load_cert_chain(*authority.issue('proxy'))
        client = self.vnc(secure=context.wrap_socket)
        client.type('hello')
        client.wait_for('hello')
