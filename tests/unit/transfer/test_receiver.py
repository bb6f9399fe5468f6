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

"""The receiving program, and what may come to it instead of a server."""

import contextlib
import os
import socket
import ssl
import time

import fixtures
from nova import test
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.transfer import program
from nova_docker.transfer import spool
from nova_docker.transfer import wire

TOKEN = 'a' * 64


class ReceiverTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.state_dir = self.useFixture(fixtures.TempDir()).path
        self.program = program.Program('receiver')
        self.addCleanup(lambda: self.program.__exit__(None, None, None))

    def start(self, timeout=60):
        self.directory = spool.begin(self.state_dir, uuids.instance)
        self.program.tell(
            address='127.0.0.1', ports=[0],
            directory=self.directory, token=TOKEN, timeout=timeout)
        self.port = self.program.hear('port', 60)['port']

    def connect(self, token=TOKEN):
        plain = socket.create_connection(('127.0.0.1', self.port), 60)
        self.addCleanup(plain.close)
        connection = wire.context(server=False).wrap_socket(plain)
        self.addCleanup(connection.close)
        self.connection = connection
        messages = wire.Messages(connection)
        messages.give(token.encode())
        return connection, messages

    def give(self, messages, data=b'data', told=None, name='root', size=4):
        digest = wire.Digest()
        digest.add(data)
        messages.tell({'part': name, 'size': size})
        messages.give(data)
        messages.tell(digest.told() | (told or {}))

    def put(self, messages, **options):
        """The same, and it is on the disk."""
        self.give(messages, **options)
        self.assertEqual(4, messages.hear_object()['size'])

    def assert_received(self, messages):
        self.put(messages)
        messages.tell({})
        self.assertEqual(4, messages.hear_object()[
            'received']['root']['size'])
        self.assertEqual(4, self.program.hear('done', 60)[
            'done']['root']['size'])
        self.assertEqual({'root': 4}, spool.parts(
            self.state_dir, uuids.instance))

    def assert_refused(self, messages, reason):
        self.assertIn(reason, messages.hear_object()['error'])
        self.connection.close()
        error = self.assertRaises(program.Failed, self.program.hear,
                                  'done', 60)
        self.assertIn(reason, str(error))
        self.assertFalse(spool.complete(self.state_dir, uuids.instance))

    def test_received(self):
        self.start()
        self.assert_received(self.connect()[1])

    def test_strangers_do_not_keep_it(self):
        self.start()
        silent = socket.create_connection(('127.0.0.1', self.port), 60)
        self.addCleanup(silent.close)
        for data in b'', b'GET / HTTP/1.0\r\n\r\n':
            with socket.create_connection(
                    ('127.0.0.1', self.port), 60) as plain:
                with contextlib.suppress(ConnectionError):
                    plain.sendall(data)
                    # It may have gone as soon as it has seen the data.
                    with contextlib.suppress(OSError):
                        plain.shutdown(socket.SHUT_WR)
                    while plain.recv(1000):
                        pass
        for token in 'b' * 64, 'a', 'ä':
            _connection, messages = self.connect(token)
            self.assertRaises(OSError, messages.hear)
        self.assert_received(self.connect()[1])

    def test_no_older_tls(self):
        self.start()
        context = wire.context(server=False)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(('127.0.0.1', self.port), 60) as plain:
            self.assertRaises(ssl.SSLError, context.wrap_socket, plain)

    def test_one_only(self):
        self.start()
        _connection, messages = self.connect()
        # Once that one is in, nobody listens.
        self.assertRaises(ConnectionRefusedError, self._knock)
        self.assert_received(messages)

    def _knock(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(ConnectionResetError):
                socket.create_connection(
                    ('127.0.0.1', self.port), 60).close()

    def test_more_than_was_announced(self):
        """As of a server that writes meanwhile; or less, or none."""
        self.start()
        _connection, messages = self.connect()
        for name, size in ('root', 3), ('ephemeral0', 5), ('other', 0):
            self.put(messages, name=name, size=size)
        messages.tell({})
        self.assertEqual(3, len(messages.hear_object()['received']))
        self.assertEqual({'root': 4, 'ephemeral0': 4, 'other': 4},
                         spool.parts(self.state_dir, uuids.instance))

    def test_no_such_part(self):
        for name, size in (('../root', 4), (None, 4), ('root', None)):
            self.start()
            _connection, messages = self.connect()
            messages.tell({'part': name, 'size': size})
            self.assert_refused(messages, 'no such part')
            self.assertEqual([], os.listdir(self.directory))
            self.again()

    def test_part_that_came_before(self):
        self.start()
        _connection, messages = self.connect()
        self.put(messages)
        self.give(messages)
        self.assert_refused(messages, 'exists')

    def test_there_will_be_more(self):
        self.start(timeout=1)
        _connection, messages = self.connect()
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            messages.tell(wire.MORE)
            time.sleep(0.1)
        self.assert_received(messages)

    def test_other_data(self):
        self.start()
        _connection, messages = self.connect()
        self.give(messages, told={'sha256': '0' * 64})
        self.assert_refused(messages, 'did not come as it was sent')

    def test_cut(self):
        for cut in (lambda messages: None,
                    lambda messages: messages.tell(
                        {'part': 'root', 'size': 4}),
                    lambda messages: self.give(messages)):
            self.start()
            connection, messages = self.connect()
            cut(messages)
            connection.close()
            self.assertRaises(program.Failed, self.program.hear, 'done', 60)
            self.assertFalse(spool.complete(self.state_dir, uuids.instance))
            self.again()

    def again(self):
        self.program.__exit__(None, None, None)
        self.program = program.Program('receiver')

    def test_silent_peer(self):
        self.start(timeout=1)
        _connection, messages = self.connect()
        self.assert_refused(messages, 'nothing went on')

    def test_nobody_comes(self):
        self.start(timeout=1)
        error = self.assertRaises(program.Failed, self.program.hear,
                                  'done', 60)
        self.assertIn('did not connect', str(error))

    def test_no_space(self):
        self.start()
        _connection, messages = self.connect()
        messages.tell({'part': 'root', 'size': 1 << 60})
        self.assert_refused(messages, '')
