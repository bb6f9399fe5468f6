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
import pathlib

import fixtures

from evalcloud import commands
from evalcloud import config
from evalcloud import database
from evalcloud import progress
from evalcloud import services
from evalcloud import settings
from tests.unit.tools import base as tools_base


class HeatTestCase(tools_base.CacheTestCase):

    def _cloud(self, *optional, **options):
        return settings.Settings(state=self.folder, password='s3cret',
                                 optional=optional, **options)


class CloudTest(HeatTestCase):

    def test_option(self):
        cloud = commands._new(commands.parser().parse_args(
            ['up', '--with', 'heat', '--with', 'cinder']), self.folder)
        self.assertEqual(('cinder', 'heat'), cloud.more)
        self.assertEqual(('heat',), self._cloud('heat').more)
        self.assertEqual((), self._cloud().more)

    def test_programs(self):
        with_it, without = (
            {each.name: each for each in services.programs(
                self._cloud(*optional))} for optional in (['heat'], []))
        self.assertEqual({'heat-api', 'heat-api-cfn', 'heat-engine'},
                         set(with_it) - set(without))
        self.assertIn(f'--config-file {self.folder}/etc/heat/heat.conf',
                      with_it['heat-api'].wsgi)

    def test_files(self):
        self.useFixture(fixtures.MockPatchObject(
            pathlib.Path, 'read_text', return_value=''))
        found = {str(file.relative_to(self.folder / 'etc'))
                 for file in config.render(self._cloud('heat'))}
        self.assertLessEqual({'heat/heat.conf', 'heat/api-paste.ini'}, found)
        self.assertFalse([file for file in config.render(self._cloud())
                          if 'heat' in file.parts])

    def test_hosts_reach_the_api(self):
        self.assertIn(
            'bind 127.0.0.1:18004 namespace compute-2',
            services.haproxy_cfg(self._cloud('heat', computes=2)))

    def test_schema(self):
        for name in ('_keys', '_neutron', '_nova', '_others'):
            self.useFixture(fixtures.MockPatchObject(
                database, name, autospec=True))
        ran = self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True)).mock
        database.schemas(self._cloud())
        ran.assert_not_called()
        database.schemas(self._cloud('heat'))
        self.assertEqual('db_sync', ran.mock_calls[0].args[-1])


class ConfigurationTest(HeatTestCase):

    def setUp(self):
        super().setUp()
        self.found = configparser.RawConfigParser(strict=True)
        self.found.read_string(config.ini(config._heat(self._cloud('heat'))))

    def test_users_of_stacks(self):
        defaults = self.found['DEFAULT']
        self.assertEqual('heat', defaults['stack_user_domain_name'])
        self.assertEqual('compute-1', defaults['host'])
        self.assertEqual(32, len(defaults['auth_encryption_key']))

    def test_trusts_name_the_project(self):
        trustee = self.found['trustee']
        self.assertEqual('heat', trustee['username'])
        self.assertNotIn('project_name', trustee)

    def test_database(self):
        self.assertIn('/heat?', self.found['database']['connection'])
