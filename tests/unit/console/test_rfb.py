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

from oslotest import base

from nova_docker.console import pixels
from nova_docker.console import rfb

FORMAT = pixels.PixelFormat(16, 16, False, True, (31, 63, 31), (11, 5, 0))


class FakeSide:

    def __init__(self):
        self.encoder = pixels.Encoder()
        self.sent = b''
        self.calls = []

    def send(self, data):
        self.sent += data

    def joined(self):
        return b'joined'

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, *args))


class ConversationTest(base.BaseTestCase):

    def begin(self, *security):
        self.side = FakeSide()
        self.talk = rfb.Conversation(self.side, security or (rfb.NONE,))

    def said(self, data=b''):
        """What is answered to this."""
        self.side.sent = b''
        self.talk.feed(data)
        return self.side.sent

    def join(self):
        self.begin()
        return self.said(rfb.VERSION + b'\1' + b'\1')

    def test_begin(self):
        self.begin()
        self.assertEqual(b'RFB 003.008\n', self.side.sent)
        self.assertEqual(b'\1\1', self.said(rfb.VERSION))
        self.assertEqual(b'\0\0\0\0', self.said(b'\1'))
        self.assertEqual(b'joined', self.said(b'\0'))

    def test_vencrypt(self):
        self.begin(rfb.VENCRYPT)
        self.assertEqual(b'\1\x13', self.said(rfb.VERSION))
        self.assertEqual(b'\0\2', self.said(b'\x13'))
        self.assertEqual(bytes.fromhex('00 01 00000104'), self.said(b'\0\2'))
        self.assertEqual([], self.side.calls)
        self.assertEqual(b'\1\0\0\0\0', self.said(struct.pack('!I', 260)))
        self.assertEqual([('start_tls',)], self.side.calls)
        self.assertEqual(b'joined', self.said(b'\0'))

    def test_violations_of_the_beginning(self):
        for security, data in (
                (rfb.NONE, b'RFB 003.003\n'),
                (rfb.VENCRYPT, rfb.VERSION + b'\1'),
                (rfb.NONE, rfb.VERSION + b'\x13'),
                (rfb.VENCRYPT, rfb.VERSION + b'\x13\0\1'),
                (rfb.VENCRYPT, rfb.VERSION + b'\x13\0\2\0\0\1\1'),
                (rfb.VENCRYPT, rfb.VERSION + b'\x13\0\2\0\0\1\4early')):
            self.begin(security)
            self.assertRaises(rfb.Violation, self.talk.feed, data)

    def test_messages(self):
        self.join()
        self.talk.feed(b''.join((
            b'\0\0\0\0' + FORMAT.to_bytes(),
            struct.pack('!BxHii', 2, 2, 16, -308), struct.pack('!BxH', 2, 0),
            struct.pack('!BBHHHH', 3, 1, 0, 0, 9, 9),
            struct.pack('!BBHHHH', 3, 0, 0, 0, 9, 9),
            struct.pack('!BBHH', 5, 1, 3, 4),
            struct.pack('!BxxxI', 6, 100000) + b'x' * 100000,
            struct.pack('!BBxxI', 4, 1, 0xff0d),
            struct.pack('!BBxxI', 4, 0, 0xff0d),
            struct.pack('!BxHHBx', 251, 800, 600, 2) + b'x' * 32)))
        self.assertEqual(FORMAT, self.side.encoder.pixels)
        self.assertEqual([
            ('encodings', {16, -308}), ('encodings', set()),
            ('wanted', True), ('wanted', False), ('key', True, 0xff0d),
            ('key', False, 0xff0d), ('size_wanted', 800, 600)],
            self.side.calls)

    def test_byte_by_byte(self):
        self.begin()
        for byte in rfb.VERSION + b'\1\1' + struct.pack(
                '!BBxxI', 4, 1, 0xff0d):
            self.talk.feed(bytes([byte]))
        self.assertEqual([('key', True, 0xff0d)], self.side.calls)

    def test_violations(self):
        for data in (b'\x63', struct.pack('!BxH', 2, 1000),
                     b'\0\0\0\0' + b'\x18' * 16):
            self.join()
            self.assertRaises(rfb.Violation, self.talk.feed, data)
