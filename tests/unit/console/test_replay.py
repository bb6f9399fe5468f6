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

from nova_docker.console import replay


class UnseenTest(base.BaseTestCase):

    def test_unseen(self):
        for seen, log, wanted in (
                (b'', b'all', b'all'), (b'old', b'oldnew', b'new'),
                (b'x' * 300 + b'old', b'x' * 300 + b'oldnew', b'new'),
                (b'gone', b'other', b'other'), (b'aba', b'ababa', b''),
                (b'old', b'', b'')):
            self.assertEqual(wanted, replay.unseen(seen, log))


class LastTest(base.BaseTestCase):

    def test_last(self):
        for output, size, wanted in (
                (b'', 4, b''), (b'abcd', 4, b'abcd'), (b'abcde', 4, b'bcde'),
                (b'a\nb\nc', 4, b'b\nc'), (b'ab\x1b[31mc\nde', 7, b'de'),
                (b'abcdefgh\n', 4, b'')):
            self.assertEqual(wanted, replay.last(output, size), output)


class UnaskedTest(base.BaseTestCase):

    def test_questions(self):
        for question in (
                b'\x05', b'\x1bZ', b'\x1b[c', b'\x1b[0c', b'\x1b[>c',
                b'\x1b[=c', b'\x1b[6n', b'\x1b[?6n', b'\xc2\x9b5n',
                b'\x1b[?2026$p',
                b'\x1b[>q', b'\x1b[>0q', b'\x1b[?u', b'\x1b[14t', b'\x1b[18t',
                b'\x1b]11;?\x07', b'\x1b]4;1;?\x1b\\', b'\x1bP+q544e\x1b\\',
                b'\x1bP$qm\x1b\\'):
            self.assertEqual(b'ab', replay.unasked(
                b'a' + question + b'b'), question)

    def test_others(self):
        for output in (b'text\r\n', b'\x1b[31mred', b'\x1b[2J\x1b[1;2H',
                       b'\x1b[8;24;80t', b'\x1b]2;title?\x07', b'\x1b[?25h',
                       b'\x1b[>4;2m', b'\x1b[2 q', b'\x1b[u', b'n6['):
            self.assertEqual(output, replay.unasked(output))


class JoinedTest(base.BaseTestCase):

    def test_joined(self):
        for log, live, wanted in (
                (b'old', b'', b'old'), (b'', b'new', b'new'),
                (b'old', b'new', b'oldnew'), (b'oldab', b'abc', b'oldabc'),
                (b'a' * 9, b'a' * 5, b'a' * 9),
                (b'old' + b'x' * 900, b'x' * 900 + b'new',
                 b'old' + b'x' * 900 + b'new'),
                (b'y\ny\ny', b'y\ny\nz', b'y\ny\ny\nz')):
            self.assertEqual(wanted, replay.joined(log, live), (log, live))
