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

import concurrent.futures
import dataclasses
import os
import socket
import time

import fixtures
from oslotest import base
from testtools import matchers

from nova_docker.engine import errors
from nova_docker.engine import transport
from tests.fixtures import http_engine
from tests.fixtures import tls


def ping(address):
    """Connect and do one request; the API version."""
    clients = transport.connect(address)
    clients.bounded.info()
    version = clients.bounded.api_version
    for api in clients:
        api.close()
    return version


class TransportTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(http_engine.HttpEngine())
        self.server.answers['GET /info'] = 200, {'ID': 'x'}
        self.address = transport.Address(self.server.url, timeout=5)

    def connect(self):
        clients = transport.connect(self.address)
        for api in clients:
            self.addCleanup(api.close)
        return clients


class NegotiationTest(TransportTest):

    def test_versions(self):
        for newest, oldest, agreed in (
                ('1.44', '1.24', '1.44'), ('1.45', '1.24', '1.45'),
                ('1.51', '1.24', '1.51'), ('1.52', '1.44', '1.51'),
                ('1.100', '1.44', '1.51'), ('1.60', '1.53', '1.53'),
                ('2.0', '1.44', '1.51')):
            self.server.be('99', newest, oldest)
            self.assertEqual(agreed, ping(self.address))
            self.assertEqual(f'/v{agreed}/info', self.server.requests[-1][1])

    def test_too_old(self):
        for version, api in (('24.0.9', '1.43'), ('20.10.24', '1.41'),
                             ('1.9', '1.9')):
            self.server.be(version, api, '1.12')
            error = self.assertRaises(errors.TooOld, transport.connect,
                                      self.address)
            self.assertEqual((version, api), (error.version, error.api))

    def test_no_engine(self):
        for answer in ((200, {}), (200, []), (200, {'ApiVersion': 'x'}),
                       (200, {'ApiVersion': None}), (200, b'<html>')):
            self.server.answers['GET /version'] = answer
            self.assertRaises(errors.Unavailable, transport.connect,
                              self.address)

    def test_engine_that_fails(self):
        self.server.answers['GET /version'] = 503, {'message': 'starting'}
        error = self.assertRaises(errors.ServerError, transport.connect,
                                  self.address)
        self.assertEqual('starting', str(error))


class StatusTest(TransportTest):

    def test_messages(self):
        api = self.connect().bounded
        for status, body, kind, text in (
                (400, {'message': 'bad'}, errors.BadRequest, 'bad'),
                (404, {'message': 'No such image: x'}, errors.NotFound,
                 'No such image: x'),
                (409, {'message': ' busy\n'}, errors.Conflict, 'busy'),
                (500, {'message': 'oops'}, errors.ServerError, 'oops'),
                (502, b'<html>\n', errors.ServerError, '<html>'),
                (403, {'error': 'no'}, errors.ApiError, '{"error": "no"}'),
                (500, b'[1]', errors.ServerError, '[1]'),
                (500, {'message': None}, errors.ServerError, 'None'),
                (500, b'', errors.ServerError, '')):
            self.server.answers['GET /info'] = status, body
            error = self.assertRaises(kind, api.info)
            self.assertEqual((status, text), (error.status, str(error)))


class FaultTest(TransportTest):

    def test_no_socket(self):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 's')
        error = self.assertRaises(errors.Unavailable, transport.connect,
                                  transport.Address(f'unix://{path}'))
        self.assertIn(path, str(error))
        self.assertIn('Errno 2', str(error))

    def listener(self, kind=socket.AF_UNIX):
        path = os.path.join(self.useFixture(fixtures.TempDir()).path, 's')
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(path)
        return listener, transport.Address(f'unix://{path}', timeout=0.3)

    def test_refused(self):
        # Bound and not listening, as the socket of an engine that died.
        _, address = self.listener()
        error = self.assertRaises(errors.Unavailable, transport.connect,
                                  address)
        self.assertIn('Errno 111', str(error))

    def test_never_answers(self):
        listener, address = self.listener()
        listener.listen(1)
        self.assertRaises(errors.Timeout, transport.connect, address)

    def test_never_accepts(self):
        listener, address = self.listener()
        listener.listen(0)
        filler = socket.socket(socket.AF_UNIX)
        self.addCleanup(filler.close)
        filler.connect(listener.getsockname())
        # The queue is full: not even connect() returns.
        self.assertRaises(errors.Unavailable, transport.connect, address)

    def test_hangs_up(self):
        api = self.connect().bounded
        self.server.answers['GET /info'] = lambda handler: handler.hang_up()
        self.assertRaises(errors.Unavailable, api.info)

    def test_hangs_up_in_the_middle(self):
        def half(handler):
            handler.begin()
            handler.chunk(b'{"ID":')
            handler.hang_up()
        api = self.connect().bounded
        self.server.answers['GET /info'] = half
        self.assertRaises(errors.Unavailable, api.info)

    def test_hangs_in_the_middle(self):
        def half(handler):
            handler.begin()
            handler.chunk(b'{"ID":')
            handler.wfile.flush()
            # Until the client hangs up.
            handler.rfile.read(1)
        self.address = dataclasses.replace(self.address, timeout=0.3)
        api = self.connect().bounded
        self.server.answers['GET /info'] = half
        self.assertRaises(errors.Timeout, api.info)

    def test_unbounded_waits(self):
        self.address = dataclasses.replace(self.address, timeout=0.1)
        clients = self.connect()

        def late(handler):
            handler.rfile.raw._sock.settimeout(0.5)
            try:
                handler.rfile.peek(1)
            except TimeoutError:
                pass
            handler.reply(200, {'ID': 'late'})
        self.server.answers['GET /info'] = late
        self.assertRaises(errors.Timeout, clients.bounded.info)
        self.assertEqual('late', clients.unbounded.info()['ID'])

    def test_no_url(self):
        for url in ('gopher://x', 'tcp://', 'tcp://127.0.0.1'):
            self.assertRaises(errors.Unavailable, transport.connect,
                              transport.Address(url))


class PoolTest(TransportTest):

    def test_one_connection_for_all_paths(self):
        api = self.connect().bounded
        before = self.server.connections
        for number in range(60):
            self.assertRaises(errors.NotFound, api.inspect_container,
                              f'c{number}')
        self.assertEqual(before + 1, self.server.connections)

    def test_many_paths_from_many_threads(self):
        # docker-py closes the pools of all but the last 25 URLs.
        api = self.connect().bounded
        before = self.server.connections

        def ask(number):
            self.assertRaises(errors.NotFound, api.inspect_container,
                              f'c{number}')
        with concurrent.futures.ThreadPoolExecutor(16) as threads:
            for _ in threads.map(ask, range(800)):
                pass
        self.assertThat(self.server.connections - before,
                        matchers.LessThan(17))

    def test_server_that_dropped_the_connection(self):
        def once(handler):
            handler.reply(200, {'ID': 'x'})
            handler.hang_up()
        api = self.connect().bounded
        self.server.answers['GET /info'] = once
        for _ in range(3):
            self.assertEqual('x', api.info()['ID'])
            time.sleep(0.1)


class TLSTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.authority = self.useFixture(tls.Authority())

    def serve(self, **options):
        server = self.useFixture(http_engine.HttpEngine(
            self.authority.server(**options)))
        server.answers['GET /info'] = 200, {'ID': 'x'}
        return transport.Address(server.url, self.authority.ca_file)

    def test_trusted(self):
        address = self.serve()
        self.assertEqual('1.51', ping(address))
        self.assertEqual('1.51', ping(dataclasses.replace(
            address, url=address.url.replace('tcp', 'https'))))

    def test_not_trusted(self):
        address = dataclasses.replace(self.serve(), ca_file=None)
        error = self.assertRaises(errors.Unavailable, ping, address)
        self.assertIn('certificate verify failed', str(error))

    def test_trusted_by_the_system(self):
        self.useFixture(fixtures.EnvironmentVariable(
            'SSL_CERT_FILE', self.authority.ca_file))
        self.assertEqual('1.51', ping(dataclasses.replace(
            self.serve(), ca_file=None)))

    def test_another_host(self):
        address = self.serve(address='127.0.0.2')
        error = self.assertRaises(errors.Unavailable, ping, address)
        self.assertIn('certificate', str(error))

    def test_not_verified(self):
        self.assertEqual('1.51', ping(dataclasses.replace(
            self.serve(address='127.0.0.2'), ca_file=None, verify=False)))

    def test_client_certificate(self):
        address = self.serve(client=True)
        cert_file, key_file = self.authority.issue('client')
        self.assertEqual('1.51', ping(dataclasses.replace(
            address, cert_file=cert_file, key_file=key_file)))
        self.assertRaises(errors.Unavailable, ping, address)

    def test_files_that_are_not_there(self):
        address = self.serve()
        for change in ({'ca_file': '/none'}, {'cert_file': '/none'},
                       {'cert_file': '/none', 'key_file': '/none'},
                       {'key_file': address.ca_file}):
            self.assertRaises(errors.Unavailable, ping,
                              dataclasses.replace(address, **change))

    def test_no_proxy(self):
        for name in ('HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'):
            self.useFixture(fixtures.EnvironmentVariable(
                name, 'http://127.0.0.1:1'))
        self.assertEqual('1.51', ping(self.serve()))

    def test_never_without_tls(self):
        server = self.useFixture(http_engine.HttpEngine())
        plain = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(plain.close)
        address = transport.Address(
            f'tcp://127.0.0.1:{plain.getsockname()[1]}', verify=False,
            timeout=0.3)
        self.assertRaises(errors.EngineError, ping, address)
        plain.settimeout(5)
        connection, _ = plain.accept()
        self.addCleanup(connection.close)
        # A ClientHello and no HTTP.
        self.assertEqual(b'\x16', connection.recv(1))
        self.assertEqual([], server.requests)
