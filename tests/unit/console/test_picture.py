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
from unittest import mock

from oslotest import base

from nova_docker.console import draw
from nova_docker.console import picture
from tests.fixtures import consoles


class FakeLoop:
    """Calls what is later when a test says so."""

    def __init__(self):
        self.calls = []

    def later(self, seconds, function):
        self.calls.append(function)

    def run(self):
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class PictureTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.work(consoles.PATIENCE)
        self.loop = FakeLoop()
        self.answers = []
        self.boxes = []
        self.picture = picture.Picture(self.loop, 24, 80,
                                       self.answers.append)
        self.picture.viewers.append(self.boxes.append)
        self.loop.run()

    def work(self, seconds):
        """How much of it there may be for a picture."""
        patcher = mock.patch.object(picture, '_WORK', seconds)
        patcher.start()
        self.addCleanup(patcher.stop)

    def shows(self, text):
        width, height = draw.cell()
        image = self.picture.image.crop((0, 0, len(text) * width, height))
        return image.tobytes() == consoles.rendered(text).tobytes()

    def test_drawn_together(self):
        self.picture.show(b'hel')
        self.picture.show(b'lo')
        self.assertEqual(1, len(self.loop.calls))
        self.assertFalse(self.shows('hello'))
        self.loop.run()
        self.assertTrue(self.shows('hello'))
        self.assertEqual(1, len(self.boxes))
        self.assertEqual([], self.loop.calls)

    def test_very_much(self):
        self.picture.show(b'old' + b'x' * picture.MOST_UNDRAWN +
                          b'\x1b[2J\x1b[H\r\nlast\x1b[H')
        while self.loop.calls:
            self.loop.run()
        self.assertLess(len(self.boxes), 5)
        self.picture.show(b'ok\x1b[K')
        self.loop.run()
        self.assertTrue(self.shows('ok'))

    def test_much(self):
        self.picture.show(b'x\r' * 5000 + b'hello')
        while self.loop.calls:
            self.loop.run()
        self.assertGreater(len(self.boxes), 1)
        self.assertTrue(self.shows('hello'))

    def test_little_at_a_time(self):
        self.picture.show(b'.')
        self.loop.run()
        self.boxes.clear()
        self.work(0)
        self.picture.show(b'\x1b#8' * 9 + b'\xc2\x9b2J' * 9 + b'\x1b[2J' * 9 +
                          b'\x1b[Hhello\r\n' + b'x' * 900)
        pictures = 0
        while self.loop.calls:
            self.loop.run()
            pictures += 1
        self.assertGreater(pictures, 3 * 9 + 900 // 256)
        self.assertLessEqual({len(boxes) for boxes in self.boxes}, {0, 1})
        self.assertTrue(self.shows('hello'))

    def test_rest_after_work(self):
        seconds = []
        self.loop.later = lambda after, function: (
            seconds.append(after), self.loop.calls.append(function))
        self.picture.show(b'quick')
        with mock.patch.object(picture.time, 'thread_time', autospec=True,
                               side_effect=itertools.count()):
            self.loop.run()
        self.picture.show(b'slow')
        self.assertGreater(1, seconds[0])
        self.assertLess(1, seconds[1])

    def test_answers(self):
        self.picture.replay(b'\x1b[6n')
        self.loop.run()
        self.assertEqual([], self.answers)
        self.picture.show(b'\x1b[6n')
        self.assertEqual([], self.answers)
        self.loop.run()
        self.assertEqual([b'\x1b[1;1R'], self.answers)

    def test_past_comes_after_what_was_shown(self):
        self.picture.show(b'hel')
        self.picture.replay(b'lo')
        self.loop.run()
        self.assertTrue(self.shows('hello'))

    def test_resize(self):
        self.picture.show(b'hello')
        self.loop.run()
        self.picture.resize(10, 40)
        self.loop.run()
        width, height = draw.cell()
        self.assertEqual((40 * width, 10 * height), self.picture.image.size)
        self.assertTrue(self.shows('hello'))

    def test_application_keys(self):
        self.picture.replay(b'\x1b[?1h')
        self.loop.run()
        self.assertTrue(self.picture.has_application_keys)
