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

import ssl

from oslotest import base

from nova_docker.console import tls
from tests.fixtures import tls as fixture


class ChannelTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.authority = self.useFixture(fixture.Authority())

    def connect(self, ca_file=None, certificate=None):
        """Both ends, after their handshake."""
        server = tls.Channel(tls.context(
            *self.authority.issue('server'), ca_file))
        server.send(b'early')
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.authority.ca_file)
        if certificate:
            context.load_cert_chain(*certificate)
        self.to_client, self.to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(self.to_client, self.to_server)
        for _ in range(2):
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            server.received(self.to_server.read())
            self.to_client.write(server.taken())
        return server, client

    def test_both_ways(self):
        server, client = self.connect()
        self.assertEqual(b'early', client.read())
        server.send(b'x' * 50000)
        self.to_client.write(server.taken())
        data = b''
        while len(data) < 50000:
            data += client.read(65536)
        client.write(b'hello')
        sealed = self.to_server.read()
        self.assertEqual(b'', server.received(sealed[:10]))
        self.assertEqual(b'hello', server.received(sealed[10:]))
        self.assertEqual(b'', server.taken())

    def test_somebody_trusted(self):
        server, client = self.connect(
            self.authority.ca_file, self.authority.issue('proxy'))
        self.assertEqual(b'early', client.read())

    def test_somebody_else(self):
        other = self.useFixture(fixture.Authority())
        for certificate in (None, other.issue('proxy')):
            self.assertRaises(OSError, self.connect, self.authority.ca_file,
                              certificate)

    def test_no_tls(self):
        channel = tls.Channel(tls.context(*self.authority.issue('server'),
                                          None))
        self.assertRaises(OSError, channel.received, b'GET / HTTP/1.1\r\n')
