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

import socket
import struct

from oslotest import base

from nova_docker.transfer import wire


class MessagesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.near, self.far = socket.socketpair()
        for end in self.near, self.far:
            self.addCleanup(end.close)
            end.settimeout(60)
        self.messages = wire.Messages(self.far)

    def test_objects_and_data(self):
        sender = wire.Messages(self.near)
        sender.tell({'part': 'root'})
        sender.give(b'data')
        sender.tell({})
        self.assertEqual({'part': 'root'}, self.messages.hear())
        self.assertEqual(b'data', self.messages.hear())
        self.assertEqual({}, self.messages.hear_object())

    def test_what_is_no_message(self):
        for data in (b'X\0\0\0\0', b'D\0\0\0\0',
                     struct.pack('>cI', b'D', wire.PIECE + 1),
                     struct.pack('>cI', b'J', 1 << 24),
                     struct.pack('>cI', b'J', 2) + b'[]'):
            self.near.sendall(data)
            self.assertRaises(wire.Failed, self.messages.hear)
        self.near.sendall(struct.pack('>cI', b'J', 1) + b'{')
        self.assertRaises(ValueError, self.messages.hear)
        wire.Messages(self.near).give(b'data')
        self.assertRaises(wire.Failed, self.messages.hear_object)

    def test_cut(self):
        self.near.sendall(b'D\0\0\0\4da')
        self.near.close()
        self.assertRaises(ConnectionError, self.messages.hear)

    def test_silence(self):
        self.far.settimeout(0.01)
        error = self.assertRaises(TimeoutError, self.messages.hear)
        self.assertIn('too long', wire.reason(error))


class DigestTest(base.BaseTestCase):

    def test_told(self):
        digest = wire.Digest()
        for piece in b'a', b'bc':
            digest.add(piece)
        self.assertEqual(3, digest.told()['size'])
        self.assertTrue(digest.told()['sha256'].startswith('ba7816bf'))


class ContextTest(base.BaseTestCase):

    def test_tls_13_only(self):
        for server in True, False:
            self.assertEqual('TLSv1_3', wire.context(
                server).minimum_version.name)
        self.assertEqual(0, wire.context(True).num_tickets)

    def test_acknowledged(self):
        with socket.create_server(('127.0.0.1', 0)) as server:
            with socket.create_connection(server.getsockname()) as near:
                far, _address = server.accept()
                with far:
                    near.sendall(b'x' * 1000)
                    self.assertEqual(1000, len(far.recv(
                        1000, socket.MSG_WAITALL)))
                    far.sendall(b'x')
                    near.recv(1)
                # The first byte of a connection is no data.
                self.assertEqual(1001, wire.acknowledged(near))
