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

import fixtures
from oslotest import base

from evalcloud import debian
from evalcloud import packages
from evalcloud import progress

#: The machine's package sources, as they are handed on.
LINES = 'deb http://mirror.example/debian stable main\n'
STANZAS = 'Types: deb\nURIs: http://mirror.example/debian\n'


class RootfsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.cache = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable(
            'NOVA_DOCKER_CACHE', str(self.cache)))
        for name, value in (('install', None), ('codename', 'stable'),
                            ('suite_sources', (LINES, STANZAS))):
            self.useFixture(fixtures.MockPatchObject(
                packages, name, autospec=True, return_value=value))
        self.run = self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True, side_effect=self._build)).mock
        self.read = {}

    def _build(self, *command, log):
        """Do as mmdebstrap: read the files, write the tarball."""
        self.command = command
        suite = command.index('stable')
        self.read = {pathlib.Path(source).suffix:
                     pathlib.Path(source).read_text()
                     for source in command[suite + 2:]}
        for option in command:
            if option.startswith('--customize-hook=upload '):
                _, source, path = option.split()
                self.read[path] = pathlib.Path(source).read_text()
        pathlib.Path(command[suite + 1]).write_text('tar')

    def test_made_once_from_the_sources_of_the_machine(self):
        first, second = debian.rootfs(), debian.rootfs()
        self.assertEqual(first, second)
        self.assertEqual('tar', first.read_text())
        self.run.assert_called_once()
        self.assertEqual((LINES, STANZAS),
                         (self.read['.list'], self.read['.sources']))
        self.assertIn(
            'network: {config: disabled}',
            self.read['/etc/cloud/cloud.cfg.d/90_container.cfg'])

    def test_nothing_of_this_machine_is_in_it(self):
        debian.rootfs()
        for name in ('etc/ssh/ssh_host_*', 'etc/hostname', 'etc/resolv.conf'):
            self.assertIn(f'--customize-hook=rm -f "$1"/{name}', self.command)

    def test_only_the_sources_that_there_are(self):
        packages.suite_sources.return_value = ('', STANZAS)
        debian.rootfs()
        self.assertNotIn('.list', self.read)

    def test_failure_leaves_nothing(self):
        self.run.side_effect = progress.Failure('no network')
        self.assertRaises(progress.Failure, debian.rootfs)
        self.assertEqual(['.debian.lock'],
                         [path.name for path in self.cache.iterdir()])
        self.run.side_effect = self._build
        self.assertTrue(debian.rootfs().exists())


class PropertiesTest(base.BaseTestCase):

    def test_they_make_a_system_container(self):
        self.assertEqual('true',
                         debian.PROPERTIES['docker_system_container'])
        self.assertEqual('rootfs', debian.PROPERTIES['docker_image_type'])
        self.assertEqual('/sbin/init', debian.PROPERTIES['docker_command'])
