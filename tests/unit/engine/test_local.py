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

import fixtures
from oslotest import base

from nova_docker.engine import errors
from nova_docker.engine import local
from tests.fixtures import http_engine

ID = 'sha256:' + 'a' * 64


class SavedTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.server = self.useFixture(http_engine.HttpEngine())
        self.useFixture(fixtures.EnvironmentVariable('DOCKER_HOST',
                                                     self.server.url))
        for name in ('DOCKER_TLS_VERIFY', 'DOCKER_CERT_PATH'):
            self.useFixture(fixtures.EnvironmentVariable(name))
        self.server.answers['GET /images/nginx/json'] = 200, {'Id': ID}

    def read(self, name):
        with local.saved(name) as chunks:
            return b''.join(chunks)

    def test_one_image(self):
        """By its id: its name alone would stand for all its tags."""
        self.server.answers[f'GET /images/{ID}/get'] = 200, b'archive'
        self.assertEqual(b'archive', self.read('nginx'))

    def test_no_such_image(self):
        error = self.assertRaises(errors.NotFound, self.read, 'absent')
        self.assertIn('no such thing', str(error))

    def test_engine_fails(self):
        self.server.answers[f'GET /images/{ID}/get'] = 500, {
            'message': 'no space left'}
        error = self.assertRaises(errors.ServerError, self.read, 'nginx')
        self.assertEqual('no space left', str(error))

    def test_engine_breaks_off(self):
        def answer(handler):
            handler.begin()
            handler.chunk(b'some')
            handler.hang_up()
        self.server.answers[f'GET /images/{ID}/get'] = answer
        with local.saved('nginx') as chunks:
            self.assertRaises(errors.Unavailable, list, chunks)

    def test_errors_of_the_caller_are_its_own(self):
        self.server.answers[f'GET /images/{ID}/get'] = 200, b'archive'

        def fail():
            with local.saved('nginx') as chunks:
                next(chunks)
                raise OSError
        self.assertRaises(OSError, fail)

    def test_no_engine(self):
        self.useFixture(fixtures.EnvironmentVariable(
            'DOCKER_HOST', 'unix:///nonexistent'))
        error = self.assertRaises(errors.Unavailable, self.read, 'nginx')
        self.assertIn('unix:///nonexistent', str(error))
