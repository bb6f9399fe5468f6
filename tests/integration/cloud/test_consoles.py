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

"""Consoles as a browser reaches them, by Nova's proxies."""

import urllib.parse

from websockify import websocket

from tests.fixtures import consoles
from tests.integration.cloud import base


class ProxiedSocket:
    """The bytes of a WebSocket."""

    def __init__(self, url):
        self._socket = websocket.WebSocket()
        self._socket.connect(url, protocols=['binary'])
        self._left = b''

    def sendall(self, data):
        self._socket.send(data)

    def recv(self, size):
        if not self._left:
            self._left = self._socket.recv() or b''
        data, self._left = self._left[:size], self._left[size:]
        return data

    def close(self):
        self._socket.close()


class ConsolesTest(base.CloudTestCase):

    def connect(self, server, protocol, kind):
        """A connection with a console, by its proxy."""
        url = urllib.parse.urlsplit(self.compute.create_console(
            server, console_type=kind, console_protocol=protocol)['url'])
        query = urllib.parse.parse_qs(url.query)
        # noVNC has the path of the WebSocket as a parameter of its page.
        path = query['path'][0] if 'path' in query else f'?{url.query}'
        connected = ProxiedSocket(f'ws://{url.netloc}/{path.lstrip("/")}')
        self.addCleanup(connected.close)
        return connected

    def setUp(self):
        super().setUp()
        self.server = self.create('console')

    def test_serial(self):
        client = consoles.SerialClient(
            self.connect(self.server, 'serial', 'serial'))
        client.send(b'echo a""b\n')
        client.wait_for(b'ab\r\n')

    def test_vnc(self):
        client = consoles.VncClient(self.connect(
            self.server, 'vnc', 'novnc'))
        client.type('echo a""b\n')
        client.wait_for('ab')
