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
import shlex
import socket

import fixtures
from oslotest import base

from evalcloud import bringup
from evalcloud import progress
from evalcloud import settings


class CheckTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def test_folder_of_the_user(self):
        (self.folder / 'letter').touch()
        self.assertRaisesRegex(progress.Failure, 'not empty',
                               bringup._check_folder, self.folder)
        self.assertTrue((self.folder / 'letter').exists())

    def test_folder_of_an_earlier_cloud(self):
        (self.folder / 'log').mkdir()
        bringup._check_folder(self.folder)
        bringup._check_folder(self.folder / 'fresh')

    def test_port_in_use(self):
        with socket.create_server(('127.0.0.1', 0)) as server:
            port = server.getsockname()[1]
            self.useFixture(fixtures.MockPatchObject(
                settings, 'PORTS', {'glance': port}))
            self.assertRaisesRegex(progress.Failure, f'{port}.*glance',
                                   bringup._check_ports)
        bringup._check_ports()


class ExportsTest(base.BaseTestCase):

    def _exports(self, who):
        cloud = settings.Settings(state=pathlib.Path('/s p'))
        return dict(each.split('=', 1) for each in shlex.split(
            bringup.exports(cloud, who)) if '=' in each)

    def test_exports(self):
        found = self._exports('demo')
        self.assertEqual('nova-docker-demo', found['OS_CLOUD'])
        self.assertEqual('/s p/clouds.yaml', found['OS_CLIENT_CONFIG_FILE'])
        self.assertEqual('unix:///s p/engine/docker.sock',
                         found['DOCKER_HOST'])
        self.assertEqual('/s p/run/ovs', found['OVS_RUNDIR'])
        self.assertEqual('/s p/bin:$PATH', found['PATH'])
        self.assertEqual('nova-docker', self._exports('admin')['OS_CLOUD'])

    def test_path_once(self):
        self.useFixture(fixtures.EnvironmentVariable('PATH', '/s p/bin:/bin'))
        self.assertNotIn('PATH', self._exports('demo'))
