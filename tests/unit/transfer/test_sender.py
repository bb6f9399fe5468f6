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

"""The sending program, and what may answer in place of the other host."""

import os
import socket

import fixtures
from nova import test

from nova_docker.transfer import program
from nova_docker.transfer import receiver
from nova_docker.transfer import wire


class SenderTest(test.NoDBTestCase):

    def setUp(self):
        super().setUp()
        self.fifo = self.useFixture(fixtures.TempDir()).join('fifo')
        os.mkfifo(self.fifo)
        self.context, self.fingerprint = receiver._certificate()
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(60)
        self.addCleanup(self.listener.close)
        self.program = program.Program('sender')
        self.addCleanup(lambda: self.program.__exit__(None, None, None))

    def start(self, **changes):
        self.program.tell(**{
            'address': '127.0.0.1', 'port': self.listener.getsockname()[1],
            'fingerprint': self.fingerprint, 'token': 'secret',
            'fifo': self.fifo, 'timeout': 60} | changes)
        self.program.tell(part='root', size=4)

    def accept(self):
        plain, _address = self.listener.accept()
        plain.settimeout(60)
        self.connection = self.context.wrap_socket(plain, server_side=True)
        self.addCleanup(self.connection.close)
        return wire.Messages(self.connection)

    def opened(self):
        for what in 'connected', 'opened':
            self.program.hear(what, 60)

    def write(self, data):
        with open(self.fifo, 'wb') as file:
            file.write(data)

    def part(self, messages, answer=None):
        """What it sends for a part, until it gets an answer."""
        self.opened()
        self.write(b'data')
        self.program.tell(packed=True)
        found = [messages.hear() for _each in range(4)]
        messages.tell(found[3] if answer is None else answer)
        return found

    def send(self, answer):
        """What it sends until it gets an answer to all."""
        self.start()
        messages = self.accept()
        found = self.part(messages)
        self.program.hear('sent', 60)
        self.program.tell()
        while found[-1]:
            found.append(messages.hear())
        messages.tell(answer(found))
        return found

    def assert_fails(self, reason=''):
        error = self.assertRaises(program.Failed, self.program.hear,
                                  'done', 60)
        self.assertIn(reason, str(error))

    def test_sends(self):
        found = self.send(lambda found: {'received': {'root': found[3]}})
        self.assertEqual([b'secret', {'part': 'root', 'size': 4}, b'data'],
                         found[:3])
        done = self.program.hear('done', 60)
        self.assertEqual({'root': found[3]}, done['done'])
        self.assertGreater(done['wire'], 4)

    def test_received_something_else(self):
        self.send(lambda found: {'received': {'root': {}}})
        self.assert_fails('something else')

    def test_received_another_part(self):
        for answer, reason in (({'size': 4}, 'something else'),
                               ({'error': 'no space'}, 'no space')):
            self.start()
            self.part(self.accept(), answer)
            error = self.assertRaises(program.Failed, self.program.hear,
                                      'sent', 60)
            self.assertIn(reason, str(error))
            self.program.__exit__(None, None, None)
            self.program = program.Program('sender')

    def test_another_certificate(self):
        self.start(fingerprint='0' * 64)
        self.assertRaises(OSError, self.accept().hear)
        self.assert_fails('is not the host that was asked')

    def test_nobody_listens(self):
        # One that nobody else gets meanwhile.
        with socket.socket() as bound:
            bound.bind(('127.0.0.1', 0))
            self.start(port=bound.getsockname()[1])
            self.assert_fails()

    def test_refused_meanwhile(self):
        self.start()
        messages = self.accept()
        self.opened()
        writer = os.open(self.fifo, os.O_WRONLY)
        self.addCleanup(os.close, writer)
        messages.tell({'error': 'no room'})
        self.assert_fails('no room')
        # Who packs has no reader any more.
        self.assertRaises(OSError, os.open, self.fifo,
                          os.O_WRONLY | os.O_NONBLOCK)

    def test_cut(self):
        self.start()
        self.accept()
        self.opened()
        self.connection.close()
        self.assert_fails()

    def test_nothing_is_packed(self):
        self.start(timeout=1)
        self.accept().hear()
        self.opened()
        self.assert_fails('nothing went on')

    def test_packed_in_part(self):
        self.start()
        messages = self.accept()
        self.opened()
        self.write(b'da')
        self.program.tell(packed=False)
        self.program.hear('stopped', 60)
        for expected in b'secret', {'part': 'root', 'size': 4}, b'da':
            self.assertEqual(expected, messages.hear())
        self.assertRaises(OSError, messages.hear)

    def test_says_that_there_will_be_more(self):
        self.start()
        messages = self.accept()
        self.part(messages)
        self.program.hear('sent', 60)
        while messages.hear() != wire.MORE:
            pass
        self.program.tell()
        while messages.hear():
            pass
