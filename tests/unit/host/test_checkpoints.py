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

import os

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.host import checkpoints
from nova_docker.privsep import criu

INFO = {'ServerVersion': '26.1.5+dfsg1', 'ExperimentalBuild': True}


class InstallTest(base.BaseTestCase):

    def test_install_and_replace(self):
        folder = self.useFixture(fixtures.TempDir()).path
        for _time in range(2):
            checkpoints.install(folder)
        self.assertEqual([checkpoints.config(folder)],
                         [each.path for each in os.scandir(folder)])
        with open(checkpoints.config(folder)) as file:
            self.assertEqual('tcp-established\nghost-limit 1G\n',
                             file.read())


class DirectoryTest(base.BaseTestCase):

    def test_directory(self):
        self.assertEqual(
            '/data/containers/abc/checkpoints/name', checkpoints.directory(
                {'DockerRootDir': '/data'}, 'abc', 'name'))


class VersionTest(base.BaseTestCase):

    def test_version(self):
        asked = self.useFixture(fixtures.MockPatchObject(
            criu, 'version', autospec=True, return_value='4.2')).mock
        self.assertEqual('', checkpoints.version(''))
        asked.assert_not_called()
        self.assertEqual('4.2', checkpoints.version('/opt/criu'))
        asked.assert_called_once_with('/opt/criu')


class RefusalTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.check = self.useFixture(fixtures.MockPatchObject(
            criu, 'check', autospec=True)).mock

    def of(self, program='/opt/criu', **changes):
        return checkpoints.refusal(INFO | changes, program)

    def test_none(self):
        self.assertEqual('', self.of())
        self.check.assert_called_once_with('/opt/criu')

    def test_not_asked(self):
        self.check.side_effect = FileNotFoundError('no criu')
        self.assertEqual('', self.of(program=''))

    def test_not_experimental(self):
        self.assertIn('"experimental": true',
                      self.of(ExperimentalBuild=False))

    def test_version(self):
        for version, refused in (('25.0.3', False), ('27.5.1', False),
                                 ('28.5.2', True), ('29.0.0-rc.1', True),
                                 ('dev', False)):
            self.assertEqual(refused, 'does not restore' in self.of(
                ServerVersion=version), version)

    def test_criu(self):
        for error in (FileNotFoundError(2, 'no such file'),
                      processutils.ProcessExecutionError(
                          stderr='no such file')):
            self.check.side_effect = error
            found = self.of()
            self.assertIn('CRIU does not work', found)
            self.assertIn('no such file', found)
