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

from nova_docker.console import draw
from nova_docker.console import hub
from tests import engine_cases
from tests.unit.console import base


class HubTest(base.ConsolesTestCase):

    def test_one_terminal_for_all(self):
        self.instances.before = b'early\r\n'
        one = self.serial()
        one.wait_for(b'early')
        two, three = self.serial(), self.vnc()
        two.wait_for(b'early')
        three.wait_for('early')
        one.send(b'hello')
        for each in (one, two):
            each.wait_for(b'hello')
        three.wait_for('hello')
        three.type('again')
        one.wait_for(b'again')
        self.assertEqual(1, len(self.instances.opened))

    def test_terminal_goes_with_the_last_viewer(self):
        one, two = self.serial(), self.serial()
        one.send(b'hello')
        two.wait_for(b'hello')
        one.close()
        two.send(b'again')
        two.wait_for(b'again')
        self.assertTrue(self.instances.is_open())
        two.close()
        self.assertIs(self.terminal(), self.instances.closed.get(timeout=60))
        three = self.serial()
        three.send(b'new')
        self.assertEqual(b'', three.wait_for(b'new'))

    def test_viewer_who_leaves_while_it_opens(self):
        client = self.serial()
        client.close()
        self.terminal()
        self.instances.closed.get(timeout=60)
        engine_cases.wait_until(lambda: not self.consoles._hubs)

    def test_typed_before_it_is_open(self):
        self.instances.runs = False
        client = self.serial()
        client.send(b'early')
        client.wait_for(hub.WAITING)
        self.instances.runs = True
        client.wait_for(b'early')

    def test_next_terminal(self):
        self.instances.before = b'first\r\n'
        client = self.serial()
        client.wait_for(b'first\r\n')
        self.instances.before = b'first\r\nsecond\r\n'
        self.terminal().end()
        self.assertEqual(b'', client.wait_for(b'second\r\n'))
        client.send(b'hello')
        client.wait_for(b'hello')
        self.assertEqual([self.terminal(2)], self.instances.is_open())

    def test_no_terminal_for_a_while(self):
        client = self.serial()
        client.send(b'one')
        client.wait_for(b'one')
        self.instances.error = self.UNAVAILABLE
        self.terminal().end()
        client.wait_for(hub.WAITING)
        self.instances.error = ValueError('bug')
        client.send(b'lost')
        self.instances.error = None
        self.terminal(2)
        client.send(b'two')
        client.wait_for(b'two')
        self.assertNotIn(hub.WAITING, client.seen)

    def test_sizes(self):
        client = self.serial()
        engine_cases.wait_until(
            lambda: self.terminal().sizes == [(25, 80), (24, 80)])
        client.send(b'\x1b[8;30;100t')
        engine_cases.wait_until(
            lambda: self.terminal().sizes[2:] == [(30, 100)])
        picture = self.vnc()
        width, height = draw.cell()
        self.assertEqual((100 * width, 30 * height), picture.image.size)
        client.send(b'\x1b[8;30;100t\x1b[8;1;9999t')
        engine_cases.wait_until(
            lambda: self.terminal().sizes[3:] == [(4, 320)])
        self.terminal().end()
        engine_cases.wait_until(
            lambda: self.terminal(2).sizes == [(5, 320), (4, 320)])

    def test_answers_where_nobody_else_does(self):
        client = self.vnc()
        self.terminal().show(b'abc\x1b[6n')
        client.wait_for('abc')
        engine_cases.wait_until(
            lambda: self.instances.typed == [b'\x1b[1;4R'])
        serial = self.serial()
        serial.wait_for(b'abc')
        self.terminal().show(b'\r\ndef\x1b[6n')
        client.wait_for('def')
        self.assertEqual(1, len(self.instances.typed))
