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
import shutil

import fixtures
from oslotest import base

from evalcloud import packages
from evalcloud import progress
from evalcloud import system_image

#: The machine's package sources, as they are handed on.
LINES = 'deb http://mirror.example/debian stable main\n'
STANZAS = 'Types: deb\nURIs: http://mirror.example/debian\n'

RECIPE = system_image.Recipe(
    name='small', include=('one', 'two'), options=('--an-option',),
    files={'/etc/motd': system_image.File('hello\n'),
           '/sbin/tool': system_image.File('#!/bin/sh\n', 0o755)},
    hooks=('rm -f "$1"/etc/hostname',))


class SystemImageTestCase(base.BaseTestCase):
    """mmdebstrap leaves a file and the tree that it was to copy."""

    def setUp(self):
        super().setUp()
        self.cache = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.tree = self.cache.with_name(self.cache.name + '-tree')
        self.addCleanup(shutil.rmtree, self.tree, ignore_errors=True)
        self.useFixture(fixtures.EnvironmentVariable(
            'NOVA_DOCKER_CACHE', str(self.cache)))
        for name, value in (('install', None), ('codename', 'stable'),
                            ('suite_sources', (LINES, STANZAS))):
            self.useFixture(fixtures.MockPatchObject(
                packages, name, autospec=True, return_value=value))
        self.run = self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True, side_effect=self._build)).mock
        self.sources = {}

    def _build(self, *command, log):
        """Do as mmdebstrap: read the files, write the tarball."""
        self.command = command
        suite = command.index('stable')
        self.sources = {pathlib.Path(source).suffix:
                        pathlib.Path(source).read_text()
                        for source in command[suite + 2:]}
        for option in command:
            _, found, words = option.partition('-hook=sync-in ')
            if found:
                source, target = words.split()
                self.assertEqual('/', target)
                shutil.copytree(source, self.tree, dirs_exist_ok=True)
        pathlib.Path(command[suite + 1]).write_text('tar')


class BuildTest(SystemImageTestCase):

    def test_made_once_from_the_sources_of_the_machine(self):
        first, second = (system_image.build(RECIPE) for _ in range(2))
        self.assertEqual(first, second)
        self.assertEqual('tar', first.read_text())
        self.run.assert_called_once()
        self.assertEqual((LINES, STANZAS),
                         (self.sources['.list'], self.sources['.sources']))
        self.assertIn('--include=one,two', self.command)
        self.assertIn('--an-option', self.command)

    def test_another_recipe_makes_another_file(self):
        first = system_image.build(RECIPE)
        other = system_image.Recipe(
            name='small', include=('one',), files={}, hooks=())
        self.assertNotEqual(first, system_image.build(other))

    def test_files_go_in_before_the_hooks(self):
        system_image.build(RECIPE)
        self.assertEqual('hello\n', (self.tree / 'etc/motd').read_text())
        self.assertEqual(0o644, (self.tree / 'etc/motd').stat().st_mode
                         & 0o777)
        self.assertEqual(0o755, (self.tree / 'sbin/tool').stat().st_mode
                         & 0o777)
        hooks = [option for option in self.command if '-hook=' in option]
        self.assertIn('sync-in', hooks[0])
        self.assertEqual(
            '--customize-hook=rm -f "$1"/etc/hostname', hooks[1])

    def test_packages_that_are_unpacked_only(self):
        # mmdebstrap ends such a run before the hooks "customize".
        system_image.build(system_image.Recipe(
            name='small', include=('one',), files={}, hooks=('true',),
            variant='extract'))
        self.assertIn('--extract-hook=true', self.command)

    def test_only_the_sources_that_there_are(self):
        packages.suite_sources.return_value = ('', STANZAS)
        system_image.build(RECIPE)
        self.assertNotIn('.list', self.sources)

    def test_failure_leaves_nothing(self):
        self.run.side_effect = progress.Failure('no network')
        self.assertRaises(progress.Failure, system_image.build, RECIPE)
        self.assertEqual(['.small.lock'],
                         [path.name for path in self.cache.iterdir()])
        self.run.side_effect = self._build
        self.assertTrue(system_image.build(RECIPE).exists())
