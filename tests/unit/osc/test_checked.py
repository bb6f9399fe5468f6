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

import threading

from oslotest import base

from nova_docker.image import tar
from nova_docker import osc
from nova_docker.osc import checked

CHUNK = bytes(1 << 20)


def read_all(data):
    size = 0
    while chunk := data.read(1 << 16):
        size += len(chunk)
    return size


class CheckedTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        threads = set(threading.enumerate())
        self.addCleanup(lambda: self.assertEqual(
            set(), set(threading.enumerate()) - threads))

    def aborted(self, data):
        """What came out before the data was aborted."""
        chunks = []
        self.assertRaises(checked.Aborted, chunks.extend, data)
        return chunks

    def test_passes(self):
        data = checked.Checked([b'a' * 10, b'b' * 20], read_all)
        self.assertEqual([b'a' * 10, b'b' * 20], list(data))
        self.assertEqual(30, data.facts)
        self.assertIsNone(data.error)

    def test_check_that_stops_reading(self):
        data = checked.Checked([CHUNK] * 20, lambda source: source.read(1))
        self.assertEqual(20, len(list(data)))
        self.assertEqual(1, len(data.facts))

    def test_refused_in_the_middle(self):
        sent = []

        def refuse(data):
            data.read(1)
            raise tar.Refused('odd')

        def chunks():
            while True:
                sent.append(CHUNK)
                yield CHUNK

        data = checked.Checked(chunks(), refuse)
        self.aborted(data)
        self.assertEqual('odd', str(data.error))

    def test_refused_at_the_end(self):
        """All was sent, and the request must not end well."""
        def refuse(data):
            read_all(data)
            raise tar.Refused('truncated')
        data = checked.Checked([CHUNK] * 3, refuse)
        self.assertEqual([CHUNK] * 3, self.aborted(data))
        self.assertEqual('truncated', str(data.error))

    def test_source_fails(self):
        def chunks():
            yield CHUNK
            # urllib3 would take it for an error of its socket.
            raise BrokenPipeError('the source')
        data = checked.Checked(chunks(), read_all)
        self.aborted(data)
        self.assertEqual('the source', str(data.error))
        self.assertIsNone(data.facts)

    def test_interrupted(self):
        def chunks():
            yield CHUNK
            raise KeyboardInterrupt
        data = checked.Checked(chunks(), read_all)
        self.assertRaises(KeyboardInterrupt, list, data)

    def test_given_up(self):
        pieces = iter(checked.Checked([CHUNK] * 3, read_all))
        next(pieces)
        pieces.close()

    def test_only_once(self):
        """A repeated request would send no data and succeed."""
        data = checked.Checked([CHUNK], read_all)
        list(data)
        self.assertEqual([], self.aborted(data))
        self.assertIsInstance(data.error, osc.SourceError)

    def test_does_not_run_ahead_of_the_check(self):
        go = threading.Event()
        self.addCleanup(go.set)
        read = []

        def check(data):
            while chunk := data.read(1 << 20):
                read.append(chunk)
                go.wait(30)

        def chunks():
            for number in range(40):
                self.assertLess(number - len(read), 7)
                if number == 5:
                    go.set()
                yield CHUNK

        self.assertEqual(40, len(list(checked.Checked(chunks(), check))))
