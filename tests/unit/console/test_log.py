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

from nova_docker.console import log
from nova_docker.engine import errors
from tests.fixtures import busybox
from tests.fixtures import engine


class TextTest(base.BaseTestCase):

    def test_plain(self):
        self.assertEqual('a\r\n\x1b[1mb', log.text(b'a\r\n\x1b[1mb'))

    def test_one_mark_for_each_other_character(self):
        self.assertEqual('caf? ?!', log.text('café €!'.encode()))

    def test_cut_within_a_character(self):
        for character in ('é', '€', '\N{GRINNING FACE}'):
            data = character.encode()
            for cut in range(1, len(data)):
                self.assertEqual(
                    'ok', log.text(data[cut:] + b'ok'), character)

    def test_ends_within_a_character(self):
        self.assertEqual('ok?', log.text(b'ok' + '€'.encode()[:2]))

    def test_no_utf8(self):
        self.assertEqual('a?b', log.text(b'a\xffb'))
        self.assertEqual('', log.text(b'\x80\x80'))
        self.assertEqual('', log.text(b''))

    def test_nova_can_pass_it_on(self):
        for byte in range(256):
            log.text(bytes([byte])).encode('ascii')


class ReadTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.engine.load_image([busybox.archive()])
        self.engine.create_container(
            'nova-x', {'Image': 'busybox', 'Cmd': ['sh']})
        self.engine.start_container('nova-x', 10)

    def test_end_of_the_output(self):
        self.engine.write_log('nova-x', b'first\nsecond\n')
        self.assertEqual('first\nsecond\n',
                         log.read(self.engine, 'nova-x', 1024))
        self.assertEqual('second\n', log.read(self.engine, 'nova-x', 7))

    def test_stopped(self):
        self.engine.write_log('nova-x', b'last words')
        self.engine.exit('nova-x', 1)
        self.assertEqual('last words', log.read(self.engine, 'nova-x', 1024))

    def test_no_container(self):
        self.assertRaises(errors.NotFound, log.read, self.engine, 'nova-y', 1)
