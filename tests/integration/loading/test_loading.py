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


"""``compute_driver = docker.DockerDriver`` however both were installed.

Nova and the driver, each as wheel and as editable install, in fresh venvs
with Nova 2026.1 and 2026.2; nova-compute's own start up to the driver.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import fixtures
from oslotest import base
import uv

from tests.fixtures import wheels

ROOT = pathlib.Path(__file__).parents[3]
PROBE = pathlib.Path(__file__).with_name('probe.py')
DRIVER_FILES = ('LICENSE', 'README.rst', 'etc', 'nova_docker',
                'pyproject.toml', 'requirements.txt', 'setup.cfg', 'setup.py')
CONFIG = """
[DEFAULT]
compute_driver = docker.DockerDriver
host = loading
log_file = {folder}/nova-compute.log
state_path = {folder}
transport_url = fake:/
"""


class _LoadingTest:
    """All four ways for one Nova."""

    series: str
    version: str

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        self.venv = self.folder / 'venv'
        self._uv('venv', '-q', '-p', sys.executable, str(self.venv))

    def test_wheels_and_editable_installs(self) -> None:
        # The first brings all dependencies, the others replace one package.
        wheel, source = self._driver_wheel(), self._driver_source()
        found = self._load([f'nova=={self.version}', wheel])
        self._assert_from_wheel(found, 'nova', 'driver')
        self._assert_data_files(pathlib.Path(found['driver']).parent)

        found = self._load(['-e', source])
        self._assert_from_wheel(found, 'nova')
        self.assertEqual(f'{source}/nova_docker/__init__.py',
                         found['driver'])

        nova = self._nova_source()
        found = self._load(['-e', nova])
        self.assertEqual(f'{nova}/nova/__init__.py', found['nova'])
        self.assertEqual(f'{source}/nova_docker/__init__.py',
                         found['driver'])

        found = self._load([wheel])
        self.assertEqual(f'{nova}/nova/__init__.py', found['nova'])
        self._assert_from_wheel(found, 'driver')

    def _assert_from_wheel(self, found: dict[str, str],
                           *names: str) -> None:
        for name in names:
            self.assertTrue(found[name].startswith(f'{self.venv}/lib/'),
                            f'{name}: {found[name]}')

    def _load(self, packages: list[str]) -> dict[str, str]:
        """Install packages, start nova-compute up to its driver."""
        self._pip('install', *packages)
        config = self.folder / 'nova.conf'
        config.write_text(CONFIG.format(folder=self.folder))
        output = self._run(str(self.venv / 'bin/python'), str(PROBE),
                           '--config-file', str(config))
        found = json.loads(output)
        self.assertEqual('nova_docker.driver.DockerDriver', found['class'])
        self.assertTrue(found['client'], 'docker is not the client')
        self.assertIn('docker:pids_limit', found['extra_specs'])
        return found

    def _assert_data_files(self, package: pathlib.Path) -> None:
        hook = package / 'cdi' / 'hook.sh'
        self.assertTrue(hook.read_text().startswith('#!/bin/sh'))
        self.assertTrue((package / 'nova_virt' / 'docker.py').exists())
        for name in wheels.DATA:
            self.assertEqual((ROOT / name).read_text(),
                             (self.venv / name).read_text())

    def _nova_source(self) -> str:
        """Nova's released source, unpacked."""
        self._pip('install', 'pip')
        self._run(str(self.venv / 'bin/python'), '-m', 'pip', 'download',
                  '-q', '--no-deps', '--no-binary', 'nova', '-d',
                  str(self.folder), f'nova=={self.version}')
        name = f'nova-{self.version}'
        shutil.unpack_archive(self.folder / f'{name}.tar.gz', self.folder)
        return str(self.folder / name)

    def _driver_source(self) -> str:
        """A copy: building writes beside the code."""
        target = self.folder / 'nova-docker'
        if target.exists():
            return str(target)
        for name in DRIVER_FILES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(
                    source, target / name,
                    ignore=shutil.ignore_patterns('__pycache__'))
            else:
                target.mkdir(exist_ok=True)
                shutil.copy(source, target / name)
        # Where pbr takes the version from when there is no git.
        (target / 'PKG-INFO').write_text(
            'Metadata-Version: 2.1\nName: nova-docker\nVersion: 0.0.1\n')
        return str(target)

    def _driver_wheel(self) -> str:
        out = self.folder / 'dist'
        self._uv('build', '-q', '--wheel', '-o', str(out),
                 self._driver_source())
        return str(next(out.glob('*.whl')))

    def _pip(self, *arguments: str) -> None:
        constraints = ROOT / 'tools/constraints' / f'{self.series}.txt'
        self._uv('pip', arguments[0], '-q', '-p', str(self.venv), '-c',
                 str(constraints), *arguments[1:])

    def _uv(self, *arguments: str) -> None:
        self._run(uv.find_uv_bin(), *arguments)

    def _run(self, *command: str) -> str:
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(('OS_', 'PYTHON'))}
        done = subprocess.run(
            command, env=env, text=True, cwd=self.folder,
            stdin=subprocess.DEVNULL, capture_output=True)
        self.assertEqual(0, done.returncode, f'{command}\n{done.stdout}'
                                             f'\n{done.stderr}')
        return done.stdout


@unittest.skipUnless(os.environ.get('NOVA_DOCKER_TEST_LONG') == '1',
                     'as Nova20262Test')
class Nova20261Test(_LoadingTest, base.BaseTestCase):
    series = '2026.1'
    version = '33.0.2'


class Nova20262Test(_LoadingTest, base.BaseTestCase):
    series = '2026.2'
    version = '34.0.0'
