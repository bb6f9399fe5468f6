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

import logging
import re
import socket
import threading
from unittest import mock

import fixtures
from oslotest import base
import urllib3

from nova_docker.image import registries
from nova_docker.image import registry
from nova_docker.image import tar
from nova_docker.spec import reference
from tests.fixtures import archives
from tests.fixtures import registry as fake
from tests.fixtures import tls

LAYER = archives.layer(('hello', b'hello' * 100000))
SECRET = 'the-secret-password'


class ClientTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.authority = self.useFixture(tls.Authority())
        self.fake = self.useFixture(fake.Registry(self.authority))
        self.image = self.fake.push('team/app', '1', [LAYER])
        self.layer = fake.descriptor(LAYER, '')
        self.log = self.useFixture(fixtures.FakeLogger(level=logging.DEBUG))
        self.patch('_TIMEOUT', urllib3.Timeout(connect=5, read=0.5))

    def patch(self, name, value):
        self.useFixture(fixtures.MockPatchObject(registry, name, value))

    def client(self, *hosts, **changes):
        changes = {'ca_file': self.fake.ca_file} | changes
        client = registry.Client(registries.Registry(
            self.fake.host, self.fake.url, frozenset(
                map(reference.host, (self.fake.host, *hosts))), **changes),
            'team/app')
        self.addCleanup(client.close)
        return client

    def user(self):
        """Client of a registry that wants a password."""
        self.fake.users = {'nova': SECRET}
        return self.client(username='nova', password=SECRET)

    def blob(self, client=None, **changes):
        what = self.layer | changes
        return b''.join((client or self.client()).blob(
            what['digest'], what['size']))

    def fails(self, error, words, function, *args, **kwargs):
        text = str(self.assertRaises(error, function, *args, **kwargs))
        self.assertIsNotNone(re.search(words, text), text)
        self.assertIn(f'the registry {self.fake.host} ', text)
        self.assertNotIn('https:', text)
        self.assert_no_secret(text)
        return text

    def assert_no_secret(self, text=''):
        for secret in (SECRET, *self.fake.tokens):
            self.assertNotIn(secret, self.log.output + text)

    # What works

    def test_manifest(self):
        for name in ('1', self.image['digest']):
            data = self.client().manifest(name)
            self.assertEqual(self.image['digest'],
                             'sha256:' + archives.digest(data))

    def test_blob(self):
        self.assertEqual(LAYER, self.blob())

    def test_blob_without_length(self):
        def chunked(handler):
            handler.send_response(200)
            handler.send_header('Transfer-Encoding', 'chunked')
            handler.end_headers()
            handler.wfile.write(b'%x\r\n%s\r\n0\r\n\r\n' % (
                len(LAYER), LAYER))
        self.fake.faults['blobs'] = chunked
        self.assertEqual(LAYER, self.blob())

    def test_content_encoding_is_left_alone(self):
        # Some registries say so of a layer that is a gzip file.
        self.fake.faults['blobs'] = lambda handler: fake.send(
            handler, 200, LAYER, {'Content-Encoding': 'gzip'})
        self.assertEqual(LAYER, self.blob())

    def test_basic_authentication(self):
        client = self.user()
        client.manifest('1')
        self.assertEqual(LAYER, self.blob(client))
        # Asked for once.
        self.assertEqual([None], [
            seen.authorization for seen in self.fake.seen
            if not (seen.authorization or '').startswith('Basic ')])
        self.assert_no_secret()

    def test_token(self):
        client = self.user()
        self.fake.realm = f'{self.fake.url}/token?more=1'
        client.manifest('1')
        self.assertEqual(LAYER, self.blob(client))
        path = [seen for seen in self.fake.seen if '/token' in seen.path]
        self.assertEqual(1, len(path))
        for part in ('more=1', 'service=registry',
                     'scope=repository%3Ateam%2Fapp%3Apull'):
            self.assertIn(part, path[0].path)
        self.assertEqual('Bearer token-0', self.fake.seen[-1].authorization)
        self.assert_no_secret()

    def test_token_for_anonymous(self):
        self.fake.realm = f'{self.fake.url}/token'
        self.client().manifest('1')
        self.assertEqual([None, None, 'Bearer token-0'], [
            seen.authorization for seen in self.fake.seen])

    def test_token_expires(self):
        client = self.user()
        self.fake.realm = f'{self.fake.url}/token'
        client.manifest('1')
        self.fake.tokens[0] = 'expired'
        self.assertEqual(LAYER, self.blob(client))

    def test_token_of_another_host(self):
        other = self.useFixture(fake.Registry(self.authority))
        other.tokens = self.fake.tokens
        self.fake.realm = f'{other.url}/token'
        self.client(other.host).manifest('1')
        self.assertEqual(1, len(other.seen))

    def test_token_of_the_operator(self):
        self.fake.realm = 'https://192.0.2.1/'
        self.fake.tokens = ['of-the-operator']
        self.client(token='of-the-operator').manifest('1')
        self.assertEqual(['Bearer of-the-operator'], [
            seen.authorization for seen in self.fake.seen])
        self.assert_no_secret()

    def test_redirect(self):
        for target in (f'{self.fake.url}/elsewhere', '/elsewhere'):
            self.fake.content['/elsewhere'] = LAYER
            self.fake.faults['blobs'] = fake.redirect(target)
            self.assertEqual(LAYER, self.blob())

    def test_no_credentials_for_where_it_redirects_to(self):
        other = self.useFixture(fake.Registry(self.authority))
        other.content['/x'] = LAYER
        other.faults['/back'] = fake.redirect(f'{self.fake.url}/y')
        self.fake.faults['/y'] = fake.content(LAYER)
        self.user()
        client = self.client(other.host, username='nova', password=SECRET)
        client.manifest('1')
        for path in ('/x', '/back'):
            self.fake.faults['blobs'] = fake.redirect(f'{other.url}{path}')
            self.fake.seen.clear()
            self.assertEqual(LAYER, self.blob(client))
            self.assertIn('Basic', self.fake.seen[0].authorization)
        self.assertEqual([None, None], [x.authorization for x in other.seen])
        # Nor when it sends us back, where nobody asked for them.
        self.assertIsNone(self.fake.seen[-1].authorization)
        self.assert_no_secret()

    def test_nothing_of_the_environment(self):
        netrc = self.useFixture(fixtures.TempDir()).join('netrc')
        with open(netrc, 'w') as file:
            file.write(f'machine 127.0.0.1 login a password {SECRET}\n')
        for name, value in (('NETRC', netrc), ('HTTPS_PROXY', 'http://[::]:1'),
                            ('REQUESTS_CA_BUNDLE', '/nowhere')):
            self.useFixture(fixtures.EnvironmentVariable(name, value))
        self.client().manifest('1')
        self.assertIsNone(self.fake.seen[0].authorization)

    # What it says is wrong

    def test_status(self):
        for status, error, words in (
                (400, tar.Refused, '400'), (401, tar.Refused, 'credentials'),
                (403, tar.Refused, 'denies access.*403'),
                (404, tar.Refused, 'does not have team/app, 1'),
                (204, tar.Refused, '204'), (304, tar.Refused, '304'),
                (429, registry.Unavailable, '429'),
                (500, registry.Unavailable, '500'),
                (503, registry.Unavailable, '503')):
            self.fake.faults['manifests'] = fake.status(status)
            self.fails(error, words, self.client().manifest, '1')

    def test_wrong_password(self):
        self.fake.users = {'nova': 'another'}
        for realm in (None, f'{self.fake.url}/token'):
            self.fake.realm = realm
            self.fails(tar.Refused, 'denies access.*401', self.client(
                username='nova', password=SECRET).manifest, '1')

    def test_no_password(self):
        self.user()
        self.fails(tar.Refused, 'wants credentials', self.client().manifest,
                   '1')

    def test_wrong_token(self):
        self.fake.users = {'nova': 'another'}
        self.fails(tar.Refused, 'denies access',
                   self.client(token=SECRET).manifest, '1')

    def test_odd_challenges(self):
        for challenge in ('', 'Negotiate', 'Bearer', 'Bearer realm', 'Bearer '
                          'realm=', 'Bearer realm="ftp://a/"', 'Bearer =,=',
                          'Bearer realm="https://[/"', 'Bearer realm="//a/"'):
            self.fake.faults['manifests'] = lambda handler: fake.send(
                handler, 401, headers={'WWW-Authenticate': challenge})
            self.fails(tar.Refused, '', self.client().manifest, '1')

    def test_odd_tokens(self):
        client = self.user()
        self.fake.realm = f'{self.fake.url}/token'
        for answer in (b'', b'[]', b'{}', b'[' * 100000, b'{"token": "a\\nb"}',
                       b'\xff'):
            self.fake.faults['/token'] = fake.content(answer)
            self.fails(tar.Refused, '', client.manifest, '1')

    # Where it sends us

    def test_redirect_to_a_forbidden_host(self):
        other = self.useFixture(fake.Registry(self.authority))
        for target in (f'{other.url}/x', 'https://169.254.169.254/x',
                       'https://localhost/x', 'https://[::1]/x',
                       f'https://{self.fake.host}@{other.host}/x',
                       f'https://{other.host}\\@{self.fake.host}/x',
                       f'https://{self.fake.host.split(":")[0]}/x',
                       '//192.0.2.1/x'):
            self.fake.faults['blobs'] = fake.redirect(target)
            text = self.fails(tar.Refused, 'a host that this cloud does not',
                              self.blob)
            self.assertNotIn(other.host, text)
        self.assertEqual([], other.seen)
        # The operator learns which.
        self.assertIn('169.254.169.254', self.log.output)

    def test_redirect_to_other_schemes(self):
        for target in (f'http://{self.fake.host}/x', 'ftp://a/x',
                       'file:///etc/passwd', 'https:', 'https://[', ''):
            self.fake.faults['blobs'] = fake.redirect(target)
            self.fails(tar.Refused, '', self.blob)

    def test_redirect_loop(self):
        self.fake.faults['blobs'] = lambda handler: fake.redirect(
            handler.path + 'x')(handler)
        self.fails(tar.Refused, 'redirects without end', self.blob)
        self.assertLess(len(self.fake.seen), 10)

    def test_redirect_with_an_endless_body(self):
        def fault(handler):
            handler.send_response(307)
            handler.send_header('Location', '/x')
            handler.end_headers()
            while True:
                handler.wfile.write(b'x' * 65536)
        self.fake.faults['blobs'] = fault
        self.fake.content['/x'] = LAYER
        self.assertEqual(LAYER, self.blob())

    def test_token_of_a_forbidden_host(self):
        client = self.user()
        other = self.useFixture(fake.Registry(self.authority))
        self.fake.realm = f'{other.url}/token'
        self.fails(tar.Refused, 'a host that this cloud does not',
                   client.manifest, '1')
        self.assertEqual([], other.seen)

    def test_token_over_http(self):
        client = self.user()
        self.fake.realm = f'http://{self.fake.host}/token'
        self.fails(tar.Refused, 'no HTTPS address', client.manifest, '1')

    # Other content than was asked for

    def test_wrong_digest(self):
        other = LAYER[:-1] + b'x'
        self.fake.faults['/v2/'] = fake.content(other)
        self.fails(tar.Refused, 'something else', self.client().manifest,
                   self.image['digest'])
        self.fails(tar.Refused, 'something else', self.blob)

    def test_too_much(self):
        for fault in (fake.content(LAYER + b'x'), fake.endless):
            self.fake.faults['blobs'] = fault
            self.fails(tar.Refused, f'more than {len(LAYER)} bytes',
                       self.blob)

    def test_endless_manifest_and_token(self):
        self.patch('MAX_MANIFEST', 100000)
        self.fake.faults['manifests'] = fake.endless
        self.fails(tar.Refused, 'more than 100000', self.client().manifest,
                   '1')
        del self.fake.faults['manifests']
        client = self.user()
        self.fake.realm = f'{self.fake.url}/token'
        self.fake.faults['/token'] = fake.endless
        self.fails(tar.Refused, 'more than', client.manifest, '1')

    def test_too_little(self):
        for fault in (fake.content(LAYER[:-1]),
                      fake.content(LAYER[:-1], len(LAYER)),
                      fake.content(LAYER, len(LAYER) - 1),
                      fake.content(b'')):
            self.fake.faults['blobs'] = fault
            self.fails(registry.Unavailable, '', self.blob)

    def test_length_that_is_no_number(self):
        for length in ('many', '-1', '99999999999999999999999'):
            self.fake.faults['blobs'] = lambda handler: (
                handler.send_response(200),
                handler.send_header('Content-Length', length),
                handler.end_headers(), handler.wfile.write(LAYER),
                setattr(handler, 'close_connection', True))
            with mock.patch.object(registry, '_CHUNK', 1 << 16):
                try:
                    self.assertEqual(LAYER, self.blob())
                except registry.Unavailable:
                    pass

    # Trouble on the way

    def test_stalls(self):
        for what in (None, LAYER):
            self.fake.faults['blobs'] = fake.stall(self.fake, what)
            self.fails(registry.Unavailable, 'in time', self.blob)

    def test_stalls_in_the_handshake(self):
        silent = socket.create_server(('127.0.0.1', 0))
        self.addCleanup(silent.close)
        self.fake.host = '127.0.0.1:%d' % silent.getsockname()[1]
        self.fake.url = f'https://{self.fake.host}'
        self.fails(registry.Unavailable, 'in time', self.blob)

    def test_drips(self):
        self.patch('_SLOW_AFTER', 0.2)
        self.fake.faults['/v2/'] = fake.drip(self.fake)
        self.fails(registry.Unavailable, 'too slowly', self.blob)
        self.fails(registry.Unavailable, 'too slowly',
                   self.client().manifest, '1')

    def test_slow_reader(self):
        # The engine may be slower than the registry.
        self.patch('_SLOW_AFTER', 0.2)
        self.patch('_CHUNK', 100000)
        wait = threading.Event()
        for _ in self.client().blob(self.layer['digest'], len(LAYER)):
            wait.wait(0.05)

    def test_breaks_off(self):
        def fault(handler):
            handler.send_response(200)
            handler.send_header('Content-Length', str(len(LAYER)))
            handler.end_headers()
            handler.wfile.write(LAYER[:1000])
            handler.close_connection = True
        self.fake.faults['blobs'] = fault
        self.fails(registry.Unavailable, 'broke off', self.blob)

    def test_no_http(self):
        def fault(handler):
            handler.wfile.write(b'SSH-2.0-OpenSSH_9.2\r\n')
            handler.close_connection = True
        self.fake.faults['blobs'] = fault
        self.fails(registry.Unavailable, '', self.blob)

    def test_nobody_there(self):
        with socket.create_server(('127.0.0.1', 0)) as gone:
            self.fake.host = '127.0.0.1:%d' % gone.getsockname()[1]
        self.fake.url = f'https://{self.fake.host}'
        self.fails(registry.Unavailable, 'can not be reached', self.blob)
        self.assertIn('ConnectionRefusedError', self.log.output)

    def test_no_such_name(self):
        self.fake.host = 'nobody.invalid'
        self.fake.url = f'https://{self.fake.host}'
        self.fails(registry.Unavailable, 'can not be reached', self.blob)

    def test_another_authority(self):
        other = self.useFixture(tls.Authority())
        self.fails(registry.Unavailable, 'no certificate',
                   self.client(ca_file=other.ca_file).manifest, '1')
        self.assertEqual([], self.fake.seen)

    def test_certificate_of_another_host(self):
        self.authority.server = lambda: tls.Authority.server(
            self.authority, '192.0.2.1')
        self.fake = self.useFixture(fake.Registry(self.authority))
        self.fails(registry.Unavailable, 'no certificate',
                   self.client().manifest, '1')

    def test_no_ca_file(self):
        self.fails(registry.Unavailable, '',
                   self.client(ca_file='/nowhere').manifest, '1')

    def test_signed_addresses_are_not_told(self):
        # Where a blob is stored, an address may be as good as a password.
        with socket.create_server(('127.0.0.1', 0)) as gone:
            host = '127.0.0.1:%d' % gone.getsockname()[1]
        self.fake.faults['blobs'] = fake.redirect(
            f'https://{host}/x?signature={SECRET}')
        client = self.client(host)
        self.fails(registry.Unavailable, '', self.blob, client)
        self.assertIn('ConnectionRefusedError', self.log.output)
