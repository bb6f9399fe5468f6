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

from nova_docker.image import pipe


class PipeTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.pipe = pipe.Pipe(capacity=10, stall=20)

    def in_thread(self, function, *args):
        """Run a function in a thread that must end; the list of its result."""
        results = []

        def body():
            try:
                results.append(function(*args))
            except Exception as error:
                results.append(error)

        thread = threading.Thread(target=body, daemon=True)
        thread.start()

        def join():
            thread.join(60)
            self.assertFalse(thread.is_alive())
            return results[0]

        return join

    def test_data_in_order_and_at_most_size(self):
        self.assertEqual(5, self.pipe.write(b'abcde'))
        self.pipe.write(b'')
        self.pipe.write(bytearray(b'fg'))
        self.pipe.finish()
        self.assertEqual([b'abc', b'de', b'fg', b'', b''],
                         [self.pipe.read(3) for _ in range(5)])

    def test_writer_waits_for_room(self):
        self.pipe.write(b'x' * 10)
        written = self.in_thread(self.pipe.write, b'y')
        self.assertEqual(b'x' * 10, self.pipe.read(100))
        self.assertEqual(1, written())
        self.assertEqual(b'y', self.pipe.read(100))

    def test_reader_waits_for_data(self):
        read = self.in_thread(self.pipe.read, 5)
        self.pipe.write(b'abc')
        self.assertEqual(b'abc', read())

    def test_reader_waits_for_end(self):
        read = self.in_thread(self.pipe.read, 5)
        self.pipe.finish()
        self.assertEqual(b'', read())

    def test_abandon_stops_waiting_writer(self):
        self.pipe.write(b'x' * 10)
        written = self.in_thread(self.pipe.write, b'y')
        self.pipe.abandon()
        self.assertIsInstance(written(), pipe.Abandoned)
        self.assertRaises(pipe.Abandoned, self.pipe.write, b'z')
        self.pipe.abandon()

    def test_error_ends_the_data_at_once(self):
        self.pipe.write(b'abc')
        self.pipe.finish(ValueError('broken'))
        self.assertRaises(ValueError, self.pipe.read, 5)

    def test_stall(self):
        self.assertRaises(pipe.Stalled, pipe.Pipe(1, stall=0.01).read, 5)

    def test_truncate_does_nothing(self):
        self.pipe.write(b'abc')
        self.pipe.truncate(0)
        self.assertEqual(b'abc', self.pipe.read(5))
