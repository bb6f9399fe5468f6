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
from nova_docker.console import screen


class CanvasTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.screen = screen.Screen(4, 20)
        self.canvas = draw.Canvas(4, 20)
        self.width, self.height = draw.cell()

    def paint(self, text):
        """Boxes in cells."""
        self.screen.feed(b'\x1b[?25l' + text.encode())
        return [(left // self.width, top // self.height,
                 right // self.width, bottom // self.height)
                for left, top, right, bottom in self.canvas.paint(
                    self.screen.changed())]

    def colors(self, column, row=0, columns=1):
        image = self.canvas.image.crop((
            column * self.width, row * self.height,
            (column + columns) * self.width, (row + 1) * self.height))
        return {color: count for count, color in image.getcolors(10000)}

    def test_size(self):
        self.assertEqual((20 * self.width, 4 * self.height),
                         self.canvas.image.size)

    def test_only_what_has_changed(self):
        self.assertEqual([(0, 0, 20, 1), (0, 1, 20, 2), (0, 2, 20, 3),
                          (0, 3, 20, 4)], self.paint('hello'))
        self.assertEqual([], self.paint('\rhello'))
        self.assertEqual([(1, 0, 4, 1)], self.paint('\rhalpo'))

    def test_colors(self):
        self.paint('\x1b[41m \x1b[48;2;1;2;3m \x1b[0m\x1b[7m \x1b[0m '
                   '\x1b[97m█\x1b[38;5;196m█')
        full = self.width * self.height
        for column, color in ((0, (205, 0, 0)), (1, (1, 2, 3)),
                              (2, (229, 229, 229)), (3, (0, 0, 0)),
                              (4, (255, 255, 255)), (5, (255, 0, 0))):
            self.assertGreater(self.colors(column)[color], full * 0.8, column)

    def test_all_of_pytes_colors(self):
        for code in (*range(30, 38), *range(90, 98)):
            self.paint(f'\x1b[{code};{code + 10}mx')

    def test_letters_differ(self):
        self.paint('aab\x1b[1ma\x1b[0;4ma\x1b[0;9ma')
        cells = [self.canvas.image.crop((
            column * self.width, 0, (column + 1) * self.width,
            self.height)).tobytes() for column in range(6)]
        self.assertEqual(cells[0], cells[1])
        self.assertEqual(5, len({*cells}))

    def test_wide(self):
        self.paint('a日b')
        self.assertEqual([(1, 0, 3, 1)], self.paint('\ra本b'))
        self.assertGreater(len(self.colors(1, columns=2)), 1)
        self.assertEqual([(1, 0, 3, 1)], self.paint('\raxyb'))
