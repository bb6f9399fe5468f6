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

"""Benchmarks run: a change of the driver can break what they set up."""

import json
import os
import pathlib
import subprocess
import sys

import fixtures
import testtools

_ROOT = os.path.join(os.path.dirname(__file__), '..', '..')


class BenchmarksTest(testtools.TestCase):
    """Each for one pair only; the figures say nothing then."""

    def _figure(self, name: str, *options: str) -> str:
        """The last line of a benchmark, which it also writes down."""
        file = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'json')
        # It starts an engine of its own: one with a bridge network.
        env = {key: value for key, value in os.environ.items()
               if key != 'DOCKER_HOST'}
        ran = subprocess.run(
            [sys.executable, '-m', 'tests.benchmarks', '--json', str(file),
             name, '--pairs', '1', *options],
            cwd=_ROOT, env=env, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace')
        self.assertEqual(0, ran.returncode, ran.stdout)
        written = json.loads(file.read_text())
        self.assertEqual(name, written['benchmark'])
        self.assertIn('engine', written['machine'])
        self.assertTrue(any('bare' in each for each in written['figures']))
        return ran.stdout.splitlines()[-1]

    def test_ports(self) -> None:
        self.assertRegex(self._figure('ports'),
                         r'^each further port: -?\d+ ms: ')

    def test_destroy(self) -> None:
        self.assertRegex(
            self._figure('destroy'),
            r'^destroy / docker rm --force \(bridge\): \d+\.\d\d ')

    def test_volumes(self) -> None:
        self.assertRegex(
            self._figure('volumes'),
            r'^detach a file system / os-brick and umount: \d+\.\d\d ')

    def test_migrate(self) -> None:
        self.assertRegex(
            self._figure('migrate', '--megabytes', '1'),
            r'^1 MiB in a file: migrate / docker commit, save and load: '
            r'\d+\.\d\d ')
