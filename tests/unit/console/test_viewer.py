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

import socket
import struct
from unittest import mock

from oslotest import base as test_base

from nova_docker.console import draw
from nova_docker.console import picture
from nova_docker.console import pixels
from nova_docker.console import rfb
from nova_docker.console import viewer
from tests import engine_cases
from tests.fixtures import consoles
from tests.unit.console import base
from tests.unit.console import test_picture


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


class Connection:
    """One that, unlike those by TCP, has at once what was sent."""

    def __init__(self, local):
        self._local = local

    def setsockopt(self, *args):
        """It has no such options."""

    def __getattr__(self, name):
        return getattr(self._local, name)


class PaceTest(test_base.BaseTestCase):
    """What a client may ask for that does not wait."""

    REQUEST = struct.pack('!BBHHHH', 3, 0, 0, 0, 9, 9)

    def setUp(self):
        super().setUp()
        self.loop = test_picture.FakeLoop()
        self.loop.watch = self.loop.forget = mock.Mock()
        self.console = mock.Mock(title='a', picture=picture.Picture(
            self.loop, 120, 320, mock.Mock()))
        own, self.far = socket.socketpair()
        for end in (own, self.far):
            self.addCleanup(end.close)
        self.far.settimeout(consoles.PATIENCE)
        self.viewer = viewer.Vnc(
            self.loop, Connection(own), self.console, (rfb.NONE,), None)
        self.far.sendall(rfb.VERSION + b'\1\1' + struct.pack(
            '!BxHi', 2, 1, pixels.ZRLE))
        self.viewer.ready(True, False)
        self.far.recv(65536)

    def ask(self, times=1):
        """Ask for all of the picture; the rectangles that come."""
        self.far.sendall(self.REQUEST * times)
        self.viewer.ready(True, False)
        return self.rectangles()

    def rectangles(self):
        self.far.setblocking(False)
        try:
            data = self.far.recv(1 << 20)
        except BlockingIOError:
            return []
        finally:
            self.far.settimeout(consoles.PATIENCE)
        kind, number = struct.unpack('!BxH', data[:4])
        data = data[4:]
        found = []
        for _ in range(number):
            *box, _encoding, size = struct.unpack('!HHHHiI', data[:16])
            found.append(box)
            data = data[16 + size:]
        self.assertEqual(b'', data, 'another update')
        return found

    def test_one_update_at_a_time(self):
        self.assertNotEqual([], self.ask(300))
        self.assertEqual([], self.ask(300))
        self.loop.run()
        self.assertNotEqual([], self.rectangles())
        self.loop.run()
        self.assertEqual([], self.rectangles())

    def test_large_picture_in_parts(self):
        tops = []
        found = self.ask()
        width, height = self.console.picture.image.size
        while found:
            self.assertLess(sum(box[2] * box[3] for box in found),
                            viewer._MOST_PIXELS + width * draw.cell()[1])
            tops += [box[1] for box in found]
            self.far.sendall(struct.pack('!BBHHHH', 3, 1, 0, 0, 9, 9))
            self.viewer.ready(True, False)
            self.loop.run()
            found = self.rectangles()
        self.assertEqual([*range(0, height, draw.cell()[1])], tops)
