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

import itertools
import threading
import time
import tracemalloc

from oslotest import base
import requests
from testtools import matchers

from nova_docker.engine import errors
from nova_docker.engine import stream
from nova_docker.engine import transport
from tests import engine_cases
from tests.fixtures import http_engine


def frame(data, kind=1):
    return bytes([kind, 0, 0, 0]) + len(data).to_bytes(4, 'big') + data


def pieces(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


class DemultiplexedTest(base.BaseTestCase):

    def test_any_pieces(self):
        data = frame(b'out\n') + frame(b'err\n', 2) + frame(b'') + frame(
            b'x' * 300)
        for size in (1, 2, 3, 7, 8, 9, 11, 100, len(data)):
            self.assertEqual(
                b'out\nerr\n' + b'x' * 300,
                b''.join(stream.demultiplexed(pieces(data, size))))

    def test_nothing(self):
        self.assertEqual([], list(stream.demultiplexed([])))
        self.assertEqual([], list(stream.demultiplexed([b''])))

    def test_truncated(self):
        self.assertEqual(b'ab', b''.join(stream.demultiplexed(
            [frame(b'abcd')[:-2]])))


class TailTest(base.BaseTestCase):

    def test_any_pieces(self):
        data = bytes(range(256)) * 4
        for size, length in itertools.product(
                (1, 10, 255, 4096), (0, 1, 9, 10, 11, 1023, 1024, 5000)):
            self.assertEqual(data[len(data) - min(length, len(data)):],
                             stream.tail(pieces(data, size), length))

    def test_memory(self):
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        kept = stream.tail((b'x' * 65536 for _ in range(4000)), 100000)
        self.assertEqual(100000, len(kept))
        self.assertThat(tracemalloc.get_traced_memory()[1],
                        matchers.LessThan(1 << 20))


class SourceTest(base.BaseTestCase):

    def test_passes_on(self):
        self.assertEqual([b'a', b'b'], list(stream.source([b'a', b'b'])))

    def test_fails(self):
        def failing():
            yield b'a'
            raise BrokenPipeError('x')
        source = stream.source(failing())
        self.assertEqual(b'a', next(source))
        failed = self.assertRaises(stream.SourceFailed, next, source)
        self.assertIsInstance(failed.__cause__, BrokenPipeError)


class AnswerTest(base.BaseTestCase):
    """Answers of a server that sends them piece by piece."""

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(http_engine.HttpEngine())
        self.go = threading.Event()
        self.addCleanup(self.go.set)

    def get(self, *chunks, end=True, **headers):
        """The answer with these chunks; without end, it breaks off."""
        def answer(handler):
            handler.begin(**headers)
            for chunk in chunks:
                if chunk is self.go:
                    chunk.wait(engine_cases.PATIENCE)
                else:
                    handler.chunk(chunk)
            if end:
                handler.chunk(b'')
            handler.hang_up()
        self.server.answers['GET /info'] = answer
        api = transport.Client(transport.Address(self.server.url), '1.44', 60)
        self.addCleanup(api.close)
        response = api._get(api._url('/info'), stream=True)
        self.addCleanup(response.close)
        return response


class ObjectsTest(AnswerTest):

    def test_any_chunks(self):
        data = b'{"a":1}\n{"b":"\xc3\xa4"}\r\n\r\n{"c":3}'
        for size in (1, 5, 100):
            self.assertEqual(
                [{'a': 1}, {'b': 'ä'}, {'c': 3}],
                list(stream.objects(self.get(*pieces(data, size)))))


class OutputTest(AnswerTest):

    def test_frames(self):
        self.assertEqual(b'cd', stream.output(self.get(
            frame(b'abc') + frame(b'd'),
            content_type='application/vnd.docker.multiplexed-stream'), 2))

    def test_raw(self):
        data = frame(b'like a frame')
        self.assertEqual(data, stream.output(self.get(
            data, content_type='application/vnd.docker.raw-stream'), 100))


class ImageTest(AnswerTest):

    def image(self, *chunks, **options):
        self.released = []
        return stream.Image(self.get(*chunks, **options), self.server.url,
                            lambda: self.released.append(True))

    def test_pieces(self):
        with self.image(b'ab', self.go, b'c') as image:
            pieces = iter(image)
            self.assertEqual(b'ab', next(pieces))
            self.go.set()
            self.assertEqual(b'c', b''.join(pieces))
            self.assertEqual([], self.released)
        self.assertEqual([True], self.released)

    def test_the_rest_is_read(self):
        with self.image(b'ab', b'cd', b'ef') as image:
            self.assertEqual(b'ab', next(iter(image)))
        self.assertEqual([], list(image))

    def test_breaks_off(self):
        with self.image(b'ab', end=False) as image:
            pieces = iter(image)
            next(pieces)
            self.assertRaises(errors.Unavailable, next, pieces)

    def test_close_wakes_the_reader(self):
        with self.image(b'ab', self.go) as image:
            reader = engine_cases.Reader(image)
            engine_cases.wait_until(lambda: reader.events)
            image.close()
            reader.join()
            self.assertIsInstance(reader.error, errors.Unavailable)
            image.close()
        image.close()

    def test_close_unread(self):
        with self.image(self.go) as image:
            image.close()
            self.assertRaises(errors.Unavailable, list, image)


class EventsTest(AnswerTest):

    def events(self, *chunks, **options):
        return stream.Events(self.get(*chunks, **options), self.server.url)

    def test_each_at_once(self):
        events = self.events(b'{"a":1}\n{"b":2}\n', self.go, b'{"c":3}\n')
        reader = iter(events)
        self.assertEqual({'a': 1}, next(reader))
        self.assertEqual({'b': 2}, next(reader))
        self.go.set()
        self.assertEqual({'c': 3}, next(reader))

    def test_ends(self):
        reader = iter(self.events(b'{}\n'))
        self.assertEqual({}, next(reader))
        error = self.assertRaises(errors.Unavailable, next, reader)
        self.assertIn(self.server.url, str(error))

    def test_breaks_off(self):
        reader = iter(self.events(b'{}\n', end=False))
        self.assertEqual({}, next(reader))
        self.assertRaises(errors.Unavailable, next, reader)

    def test_no_json(self):
        reader = iter(self.events(b'{}\n<html>\n', self.go))
        self.assertEqual({}, next(reader))
        self.assertRaises(errors.Unavailable, next, reader)

    def test_close_wakes_the_reader(self):
        events = self.events(b'{}\n', self.go)
        reader = engine_cases.Reader(events)
        engine_cases.wait_until(lambda: reader.events)
        events.close()
        reader.join()
        self.assertIsNone(reader.error)
        events.close()

    def test_close_by_the_reader(self):
        events = self.events(b'{}\n', self.go)
        for _ in events:
            events.close()
        self.assertEqual([], list(events))

    def test_close_unread(self):
        events = self.events(self.go)
        events.close()
        self.assertEqual([], list(events))

    def test_dropped_reader(self):
        response = self.get(b'{}\n', self.go)
        reader = iter(stream.Events(response, self.server.url))
        next(reader)
        reader.close()
        self.assertTrue(response.raw.closed)

    def test_error_of_the_user_is_his(self):
        def use():
            for _ in self.events(b'{}\n'):
                raise requests.ConnectionError('not of the engine')
        self.assertRaises(requests.ConnectionError, use)

    def test_close_while_events_come(self):
        events = self.events(*[b'{}\n'] * 20000, self.go)
        reader = engine_cases.Reader(events)
        time.sleep(0.05)
        events.close()
        reader.join()
        self.assertIsNone(reader.error)
