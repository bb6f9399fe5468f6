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

from oslotest import base

from nova_docker.console import screen


class ScreenTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.answers = []
        self.screen = screen.Screen(4, 20, self.answers.append)

    def text(self):
        """The rows that have changed, without their cursor."""
        return {number: ''.join(cell.data for cell in row).rstrip()
                for number, row in self.screen.changed().items()}

    def feed(self, *output):
        for part in output:
            self.screen.feed(part)
        return self.text()

    def test_changed_rows(self):
        self.assertEqual({0, 1, 2, 3}, {*self.text()})
        self.assertEqual({0: 'hello'}, self.feed(b'hello'))
        self.assertEqual({0: 'hello', 2: 'x'}, self.feed(b'\r\n\nx'))
        self.assertEqual({2: 'x'}, self.text())

    def test_cursor(self):
        self.feed(b'ab\b')
        row = self.screen.changed()[0]
        self.assertEqual([False, True, False],
                         [cell.reverse for cell in row[:3]])
        self.screen.feed(b'\x1b[?25l')
        self.assertFalse(self.screen.changed()[0][1].reverse)

    def test_utf8_in_parts_and_wide(self):
        text = 'ä日'.encode()
        self.assertEqual('ä日', self.feed(text[:1], text[1:3], text[3:])[0])
        self.assertEqual('', self.screen.changed()[0][2].data)

    def test_marks_do_not_pile_up(self):
        self.assertEqual('é', self.feed(
            'e\u0301'.encode(), '\u0301'.encode() * 1000)[0])

    def test_characters_without_width(self):
        for text in ('a\u200db', 'a\ufe0fb', 'a\x01b', 'a\x85b'):
            self.assertEqual('ab', self.feed(
                b'\x1b[2J\x1b[H', text.encode())[0], ascii(text))

    def test_saved_cursor(self):
        self.feed(b'ab\x1b7' * 1000)
        self.assertEqual(1, len(self.screen._cells.savepoints))
        self.feed(b'\x1b[2J\x1b[Hab\x1b7')
        self.assertEqual('abc', self.feed(b'xyz\x1b8\x1b[Kc')[0])
        self.assertEqual('abd', self.feed(b'xyz\x1b8\x1b[Kd')[0])

    def test_no_other_width(self):
        for output in (b'\x1b[?3h', b'\x1b[?3l'):
            self.assertEqual('ok', self.feed(b'\rok' + output)[0])
            self.assertEqual(20, self.screen.columns)

    def test_answers(self):
        self.feed(b'abc\x1b[6n')
        self.assertEqual([b'\x1b[1;4R'], self.answers)

    def test_another_screen(self):
        self.feed(b'first')
        self.assertEqual('', self.feed(b'\x1b[?1049h')[0])
        self.assertEqual('     second', self.feed(b'second')[0])
        self.assertEqual('first', self.feed(b'\x1b[?1049l')[0])
        self.assertEqual('firstly', self.feed(b'ly')[0])

    def test_another_screen_again(self):
        self.feed(b'first\x1b[?1049hsecond')
        self.assertEqual('', self.feed(b'\x1b[?1049h')[0])
        self.feed(b'\x1b[H')
        self.screen.resize(6, 20)
        self.assertEqual('first', self.feed(b'\x1b[?1049l')[0])
        self.assertEqual('first', self.feed(b'\x1b[?1049l')[0])

    def test_another_screen_that_is_larger(self):
        self.feed(b'first\x1b[?1049h')
        self.screen.resize(10, 40)
        self.screen.feed(b'\x1b[9;30Hx')
        self.screen.resize(4, 20)
        self.assertEqual('first', self.feed(b'\x1b[?1049l')[0])

    def test_what_is_not_understood(self):
        for output in (b'\x1b[>4;2m', b'\x1b[?4m', b'\x1b[?1;2r',
                       b'\x1b[9999999999999999999999999999A',
                       '\x1b[²A'.encode(), b'\x1bZ', b'\x9b', b'\xff\xfe'):
            self.feed(b'\r\x1b[2J\x1b[H', output)
            found = self.feed(b'\r\x1b[2J\x1b[Hok')
            self.assertEqual('ok', found[0], output)
            self.assertFalse(self.screen.changed()[0][0].underscore, output)

    def test_sequences_without_an_end(self):
        for begin in (b'\x1b]2;', b'\x1b['):
            for _ in range(10):
                self.feed(begin + b'1' * 1000)
                begin = b''
            self.assertEqual('ok', self.feed(b'\r\x1b[2J\x1b[Hok')[0])

    def test_application_keys(self):
        self.assertFalse(self.screen.has_application_keys)
        self.feed(b'\x1b[?1h')
        self.assertTrue(self.screen.has_application_keys)

    def test_resize(self):
        self.feed(b'hello')
        self.screen.resize(6, 30)
        self.assertEqual((6, 30), (self.screen.rows, self.screen.columns))
        self.assertEqual({0, 1, 2, 3, 4, 5}, {*self.text()})
        self.assertEqual('hello', self.feed(b'\x1b[6;30Hx')[0])

    def test_resize_to_less(self):
        self.feed(b'1\r\n2')
        self.screen.resize(2, 20)
        self.assertEqual({0: '1', 1: '2x'}, self.feed(b'x\x1b[?25l'))
        self.screen.resize(4, 20)
        self.feed(b'\r\n3\r\n4')
        self.screen.resize(2, 10)
        self.assertEqual({0: '3', 1: '4x'}, self.feed(b'x'))
