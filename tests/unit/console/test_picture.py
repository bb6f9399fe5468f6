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
        self.loop = FakeLoop()
        self.answers = []
        self.boxes = []
        self.picture = picture.Picture(self.loop, 24, 80,
                                       self.answers.append)
        self.picture.viewers.append(self.boxes.append)
        self.loop.run()

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

    def test_answers(self):
        self.picture.replay(b'\x1b[6n')
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
        self.assertTrue(self.picture.has_application_keys)
