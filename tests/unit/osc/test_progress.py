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

import io

from oslotest import base

from nova_docker.osc import progress

MiB = 1 << 20


class Terminal(io.StringIO):

    def isatty(self):
        return True


class ProgressTest(base.BaseTestCase):

    def lines(self, chunks, size):
        terminal = Terminal()
        self.assertEqual(chunks, list(progress.shown(chunks, size, terminal)))
        return terminal.getvalue().split('\r')[1:]

    def test_known_size(self):
        lines = self.lines([bytes(MiB), bytes(3 * MiB)], 4 * MiB)
        self.assertEqual(
            '[=======>                      ]  25%      1.0 MiB', lines[0])
        self.assertEqual(
            '[=============================>] 100%      4.0 MiB\n', lines[-1])

    def test_unknown_size(self):
        self.assertEqual(['     1.0 MiB', '     1.5 MiB\n'],
                         self.lines([bytes(MiB), bytes(MiB // 2)], None))

    def test_more_than_the_size(self):
        self.assertIn('100%', self.lines([bytes(2)], 1)[-1])

    def test_no_terminal(self):
        stream = io.StringIO()
        self.assertEqual([b'x'], list(progress.shown([b'x'], 1, stream)))
        self.assertEqual('', stream.getvalue())

    def test_line_ends_when_the_data_fails(self):
        def chunks():
            yield b'x'
            raise OSError
        terminal = Terminal()
        self.assertRaises(OSError, list,
                          progress.shown(chunks(), None, terminal))
        self.assertTrue(terminal.getvalue().endswith('MiB\n'))
