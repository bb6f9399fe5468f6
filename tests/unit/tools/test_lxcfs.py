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

import configparser
from unittest import mock

import fixtures

from evalcloud import config
from evalcloud import hosts
from evalcloud import lxcfs
from evalcloud import services
from evalcloud import settings
from tests.unit.tools import base as tools_base


class LxcfsTest(tools_base.CacheTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            config, '_AS_SHIPPED', {'': ()}))

    def _cloud(self, **options):
        return settings.Settings(
            state=self.folder, password='s3cret', **options)

    @staticmethod
    def _programs(cloud):
        return [program.name for program in services.programs(cloud)
                if program.name.startswith('lxcfs')]

    def _folder(self, cloud, host):
        parser = configparser.RawConfigParser(strict=True)
        parser.read_string(services.files(cloud)[
            host.etc / 'nova' / 'nova-compute.conf'])
        return parser['docker']['lxcfs_dir']

    def test_one_on_each_host(self):
        cloud = self._cloud(computes=2)
        self.assertEqual(['lxcfs@compute-1', 'lxcfs@compute-2'],
                         self._programs(cloud))
        for host in cloud.compute_hosts:
            self.assertEqual(str(lxcfs.folder(host)),
                             self._folder(cloud, host))

    def test_machine_that_can_not(self):
        self.has_lxcfs.return_value = False
        self.assertEqual([], self._programs(self._cloud()))

    def test_engine_of_others(self):
        """It may run on another machine."""
        cloud = self._cloud(engine_url='unix:///run/docker.sock')
        self.assertEqual([], self._programs(cloud))
        self.assertEqual('', self._folder(cloud, cloud.controller))

    def test_is_mounted(self):
        """As the host sees it."""
        host = hosts.Host('compute-1', self.folder, mounts=self.folder / 'mnt')
        with mock.patch('subprocess.call', autospec=True,
                        return_value=1) as call:
            self.assertFalse(lxcfs.is_mounted(host))
        self.assertEqual(
            [*host.enter, 'test', '-e',
             str(self.folder / 'data' / 'lxcfs' / 'proc' / 'uptime')],
            call.call_args.args[0])
