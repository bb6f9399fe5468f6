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

import struct

from nova_docker.console import draw
from nova_docker.console import pixels
from nova_docker.console import viewer
from tests import engine_cases
from tests.fixtures import consoles
from tests.unit.console import base


class SerialTest(base.ConsolesTestCase):

    def test_slow(self):
        slow, quick = self.serial(), self.serial()
        for number in range(400):
            text = b'%05d' % number + b'x' * 30000
            self.terminal().show(text)
            quick.wait_for(text)
        self.terminal().show(b'the end')
        quick.wait_for(b'the end')
        slow.wait_for(viewer.LEFT_OUT)
        slow.wait_for(b'the end')
        slow.send(b'hello')
        slow.wait_for(b'hello')

    def test_size_is_not_typed(self):
        client = self.serial()
        client.send(b'a\x1b[8;30;100tb')
        client.wait_for(b'ab')


class VncTest(base.ConsolesTestCase):

    def test_encodings(self):
        for encodings in ((), (pixels.RAW,), (pixels.ZRLE,),
                          (pixels.RAW, pixels.ZRLE, pixels.DESKTOP_SIZE)):
            client = self.vnc(encodings=encodings)
            client.type('hello')
            client.wait_for('hello')
            client.close()

    def test_title(self):
        self.assertEqual('instance a', self.vnc().title)

    def test_keys(self):
        client = self.vnc()
        client.key(ord('c'), 0xffe3)
        client.key(0xff52)
        client.type('жa')
        wanted = b'\x03\x1b[A' + 'жa'.encode()
        engine_cases.wait_until(
            lambda: b''.join(self.instances.typed) == wanted)
        self.terminal().show(b'\x1b[?1h.')
        client.wait_for('.')
        client.key(0xff52)
        engine_cases.wait_until(
            lambda: b''.join(self.instances.typed) == wanted + b'\x1bOA')

    def test_slow_one_sees_the_last(self):
        slow, quick = self.vnc(), self.vnc()
        for number in range(20):
            self.terminal().show(b'\x1b[2J\x1b[H%d.' % number)
            quick.wait_for(f'{number}.')
        slow.wait_for('19.')

    def test_no_update_without_a_change(self):
        client = self.vnc()
        client.type('x')
        client.wait_for('x')
        client.socket.settimeout(0.3)
        self.assertRaises(TimeoutError, client.update)

    def test_resize(self):
        one = self.vnc()
        two = self.vnc(encodings=(pixels.ZRLE, pixels.DESKTOP_SIZE))
        three = self.vnc(encodings=(pixels.ZRLE,))
        width, height = draw.cell()
        one.resize(100 * width + 1, 30 * height + 1)
        engine_cases.wait_until(
            lambda: (30, 100) in self.terminal().sizes)
        self.terminal().show(b'hello')
        for each, size in ((one, (100, 30)), (two, (100, 30)),
                           (three, (80, 24))):
            each.wait_for('hello')
            self.assertEqual((size[0] * width, size[1] * height),
                             each.image.size)
        # To another one that is smaller.
        one.resize(40 * width, 10 * height)
        engine_cases.wait_until(
            lambda: (10, 40) in self.terminal().sizes)
        self.terminal().show(b'again')
        for each in (one, two, three):
            each.wait_for('again')

    def test_another_pixel_format(self):
        client = self.vnc(encodings=(pixels.RAW,))
        client.type('x')
        client.wait_for('x')
        client.socket.sendall(b'\0\0\0\0' + pixels.PixelFormat(
            8, 8, False, True, (7, 7, 3), (0, 3, 6)).to_bytes())
        client.type('y')
        kind, number = struct.unpack('!BxH', client.read(4))
        for _ in range(number):
            _, _, width, height, encoding = struct.unpack(
                '!HHHHi', client.read(12))
            self.assertEqual(0, encoding)
            client.read(width * height)

    def test_vanished(self):
        for _ in range(10):
            client = consoles.SerialClient(self.consoles.listen('a', 'vnc'))
            client.close()
        engine_cases.wait_until(lambda: not self.consoles._hubs)
        engine_cases.wait_until(lambda: not self.instances.is_open())
