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

"""What the cases of tests.engine_cases can't make an engine do."""

import io
import socket

from oslotest import base

from nova_docker.engine import terminal


class FakeResponse:
    """An answer whose headers were read; some of the body with them."""

    def __init__(self, connection, early):
        self.raw = self
        self._fp = self
        self.fp = io.BufferedReader(socket.SocketIO(connection, 'r'))
        if early:
            self.fp.peek()
        self.closed = 0

    def close(self):
        self.closed += 1


class TerminalTest(base.BaseTestCase):

    def connect(self, early=b''):
        own, self.far = socket.socketpair()
        self.addCleanup(own.close)
        self.addCleanup(self.far.close)
        self.far.send(early)
        self.calls = []
        self.response = FakeResponse(own, early)
        return terminal.Terminal(
            self.response, lambda: self.calls.append('release'),
            lambda *size: self.calls.append(size), lambda: (1, 'c'))

    def test_what_came_with_the_headers(self):
        connected = self.connect(b'early')
        self.assertTrue(connected.pending())
        self.far.send(b'late')
        self.assertEqual(b'ear', connected.recv(3))
        self.assertEqual(b'ly', connected.recv(3))
        self.assertFalse(connected.pending())
        self.assertEqual(b'late', connected.recv(9))

    def test_nothing_and_the_end(self):
        connected = self.connect()
        self.assertFalse(connected.pending())
        self.assertIsNone(connected.recv(9))
        self.far.close()
        self.assertEqual(b'', connected.recv(9))
        self.assertEqual(4, connected.send(b'lost'))

    def test_full(self):
        connected = self.connect()
        while connected.send(b'x' * 65536):
            pass
        self.far.recv(1 << 20)
        self.assertGreater(connected.send(b'x'), 0)

    def test_close(self):
        connected = self.connect()
        connected.close()
        connected.close()
        self.assertEqual(b'', self.far.recv(9))
        self.assertEqual(['release'], self.calls)
        self.assertEqual(1, self.response.closed)
        self.assertEqual(b'', connected.recv(9))

    def test_size_and_process(self):
        connected = self.connect()
        connected.resize(24, 80)
        self.assertEqual([(24, 80)], self.calls)
        self.assertEqual((1, 'c'), connected.process())
