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

from nova_docker.console import keys


class KeysTest(base.BaseTestCase):

    def check(self, wanted, keysym, modifiers=0, application=False):
        self.assertEqual(wanted, keys.typed(keysym, modifiers, application))

    def test_text(self):
        self.check(b'a', ord('a'))
        self.check('é'.encode(), 0xe9)
        self.check('日'.encode(), 0x010065e5)
        self.check(b'5', 0xffb5)
        self.check(b'+', 0xffab)

    def test_text_of_before_unicode(self):
        for keysym, char in ((0x1b1, 'ą'), (0x6d1, 'я'), (0x6a3, 'ё'),
                             (0x6a6, 'і'), (0x7e1, 'α'), (0x7f2, 'σ'),
                             (0x7f3, 'ς'), (0x13bd, 'œ'), (0x20ac, '€'),
                             (0xce0, 'א')):
            self.check(char.encode(), keysym)

    def test_nothing(self):
        for keysym in (0, 0x85, 0xffe1, 0xffff1234, 0x0100d800, 0x01ffffff,
                       0xff13):
            self.check(b'', keysym)

    def test_control(self):
        self.check(b'\3', ord('c'), keys.CTRL)
        self.check(b'\3', ord('C'), keys.CTRL | keys.SHIFT)
        self.check(b'\0', ord(' '), keys.CTRL)
        self.check(b'\x1c', ord('\\'), keys.CTRL)
        self.check(b'\x1f', ord('/'), keys.CTRL)
        self.check(b'1', ord('1'), keys.CTRL)

    def test_alt(self):
        self.check(b'\x1bx', ord('x'), keys.ALT)
        self.check(b'\x1b\3', ord('c'), keys.ALT | keys.CTRL)
        self.check(b'\x1b\x7f', 0xff08, keys.ALT)
        self.check(b'', 0, keys.ALT)

    def test_special(self):
        for wanted, keysym in (
                (b'\r', 0xff0d), (b'\x7f', 0xff08), (b'\t', 0xff09),
                (b'\x1b', 0xff1b), (b'\x1b[A', 0xff52), (b'\x1b[H', 0xff50),
                (b'\x1b[5~', 0xff55), (b'\x1bOP', 0xffbe),
                (b'\x1b[15~', 0xffc2), (b'\x1b[24~', 0xffc9),
                (b'\x1b[3~', 0xffff)):
            self.check(wanted, keysym)
        self.check(b'\x1b[Z', 0xff09, keys.SHIFT)
        self.check(b'\x1b[1;5D', 0xff51, keys.CTRL)
        self.check(b'\x1b[3;2~', 0xffff, keys.SHIFT)

    def test_application_keys(self):
        self.check(b'\x1bOA', 0xff52, application=True)
        self.check(b'\x1b[1;5A', 0xff52, keys.CTRL, application=True)
        self.check(b'\x1b[5~', 0xff55, application=True)
