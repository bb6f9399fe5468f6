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

import pathlib
import runpy
from unittest import mock

import fixtures
from oslotest import base

from evalcloud import paths
from evalcloud import progress
from evalcloud import python


class ClientsTest(base.BaseTestCase):

    def test_made_once(self):
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable(
            'NOVA_DOCKER_CACHE', str(folder)))
        with (mock.patch.object(progress, 'run', autospec=True) as ran,
              mock.patch.object(python, 'uv', autospec=True),
              mock.patch.object(python.shutil, 'rmtree', autospec=True)):
            # What uv makes.
            (folder / 'venv-clients').mkdir()
            venvs = {python.clients_venv(paths.SOURCE) for _time in range(2)}
        self.assertEqual({folder / 'venv-clients'}, venvs)
        self.assertEqual(2, ran.call_count)
        self.assertIn('ansible', ran.mock_calls[1].args)
        self.assertNotIn('--compile-bytecode', ran.mock_calls[1].args)


class EnvironmentTest(base.BaseTestCase):

    def test_one_cache_that_stays(self):
        """The program's folder is cleared while it is installed."""
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        for name, value in (('NOVA_DOCKER_CACHE', str(folder)),
                            ('UV_CACHE_DIR', None)):
            self.useFixture(fixtures.EnvironmentVariable(name, value))
        with (mock.patch.object(progress, 'run', autospec=True),
              mock.patch.object(python.packages, 'install', autospec=True)):
            program = python.uv()
        tests = runpy.run_path(str(paths.SOURCE / 'tools/test'))
        cache = tests['environment']()['UV_CACHE_DIR']
        self.assertEqual(python.environment()['UV_CACHE_DIR'], cache)
        self.assertNotIn(program.parent.parent,
                         (pathlib.Path(cache), *pathlib.Path(cache).parents))
