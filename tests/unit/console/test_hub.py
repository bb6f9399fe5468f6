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

    def test_many_sizes(self):
        client = self.vnc()
        client.type('x')
        client.wait_for('x')
        engine_cases.wait_until(lambda: len(self.terminal().sizes) == 2)
        width, height = draw.cell()
        for number in range(500):
            client.resize((20 + number % 2) * width, 10 * height)
        client.resize(100 * width, 30 * height)
        engine_cases.wait_until(
            lambda: self.terminal().sizes[-1] == (30, 100))
        self.assertLess(len(self.terminal().sizes), 100)
        while client.image.size != (100 * width, 30 * height):
            client.update()

    def test_who_waits_does_not_ask_more_often(self):
        self.instances.runs = False
        one = self.serial()
        one.wait_for(hub.WAITING)
        for _ in range(20):
            late = self.serial()
            late.wait_for(hub.WAITING)
            late.close()
        self.settle()
        self.assertLessEqual(len(self.consoles._loop._timers), 1)
        self.instances.runs = True
        one.send(b'hello')
        one.wait_for(b'hello')

    def test_history_from_where_a_line_begins(self):
        one = self.serial()
        one.send(b'x' * 20 + b'\r\n')
        one.wait_for(b'x\r\n')
        for number in range(10):
            text = b'%d' % number + b'y' * (hub.HISTORY // 9) + b'\r\n'
            self.terminal().show(text)
            one.wait_for(text)
        two = self.serial()
        self.assertEqual(b'2', two.wait_for(b'y')[:1])

    def test_one_terminal_answers(self):
        one = self.serial()
        one.send(b'a')
        one.wait_for(b'a')
        two = self.serial()
        two.wait_for(b'a')
        self.terminal().show(b'\x1b[6nb')
        self.assertEqual(b'\x1b[6n', one.wait_for(b'b'))
        self.assertEqual(b'', two.wait_for(b'b'))
        one.close()
        two.send(b'c')
        two.wait_for(b'c')
        engine_cases.wait_until(lambda: self.hub().viewers == 1)
        self.terminal().show(b'\x1b[cd')
        self.assertEqual(b'\x1b[c', two.wait_for(b'd'))
        self.assertEqual(b'abc', self.serial().wait_for(b'd'))

    def test_picture_as_long_as_somebody_sees_it(self):
        serial, picture = self.serial(), self.vnc()
        picture.type('one')
        serial.wait_for(b'one')
        picture.close()
        engine_cases.wait_until(lambda: self.hub().viewers == 1)
        self.assertIsNone(self.hub()._picture)
        serial.send(b'two')
        serial.wait_for(b'two')
        self.vnc().wait_for('onetwo')

    def test_picture_while_nothing_runs(self):
        self.instances.runs = False
        self.serial().wait_for(hub.WAITING)
        self.vnc().wait_for('waiting for the server')

    def hub(self, instance='a'):
        return self.consoles._hubs[instance]

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
