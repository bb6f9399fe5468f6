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
from unittest import mock

import fixtures

from evalcloud import bringup
from evalcloud import commands
from evalcloud import config
from evalcloud import database
from evalcloud import loops
from evalcloud import lvm
from evalcloud import packages
from evalcloud import progress
from evalcloud import python
from evalcloud import services
from evalcloud import settings
from evalcloud import tempest
from tests.unit.tools import base as tools_base
from tests.unit.tools import test_tempest


class VolumesTestCase(tools_base.CacheTestCase):

    def _cloud(self, optional='cinder', **options):
        return settings.Settings(state=self.folder, password='s3cret',
                                 optional=(optional,) if optional else (),
                                 **options)

    def _parse(self, sections):
        parser = configparser.RawConfigParser(strict=True)
        parser.read_string(config.ini(sections))
        return parser


class OptionTest(VolumesTestCase):

    def _args(self, *words):
        return commands.parser().parse_args(['up', *words])

    def test_back_ends(self):
        for words, backend in (((), ''), (('--with', 'cinder'), 'loop'),
                               (('--with', 'cinder:lvm'), 'lvm')):
            cloud = commands._new(self._args(*words), self.folder)
            self.assertEqual(backend, cloud.volumes)

    def test_one_back_end(self):
        self.assertRaises(
            progress.Failure, commands._new,
            self._args('--with', 'cinder', '--with', 'cinder:lvm'),
            self.folder)

    def test_running_cloud(self):
        args = self._args('--with', 'cinder')
        commands._same(args, self._cloud())
        commands._same(self._args(), self._cloud())
        self.assertRaises(progress.Failure, commands._same, args,
                          self._cloud(''))

    def test_saved(self):
        self._cloud('cinder:lvm').save()
        self.assertEqual('lvm', settings.load(self.folder).volumes)


class ConfigurationTest(VolumesTestCase):

    def test_loop(self):
        found = self._parse(config._cinder(self._cloud()))
        self.assertEqual('loop', found['DEFAULT']['enabled_backends'])
        self.assertEqual('evalcloud.inside.loop_driver.LoopDriver',
                         found['loop']['volume_driver'])

    def test_lvm(self):
        found = self._parse(config._cinder(self._cloud('cinder:lvm')))
        self.assertEqual('lvm', found['DEFAULT']['enabled_backends'])
        self.assertEqual('lioadm', found['lvm']['target_helper'])

    def test_services_trust_one_another(self):
        cloud = self._cloud()
        found = self._parse(config._cinder(cloud))
        self.assertEqual('cinder', found['keystone_authtoken']['username'])
        self.assertEqual('service', found['keystone_authtoken'][
            'service_token_roles'])
        self.assertEqual('nova', found['nova']['username'])
        for sections in (config._nova(cloud), config._nova_compute(
                cloud, cloud.controller)):
            found = self._parse(sections)
            self.assertEqual('nova', found['cinder']['username'])
            self.assertTrue(found['service_user'].getboolean(
                'send_service_user_token'))

    def test_nova_without(self):
        self.assertNotIn('cinder', self._parse(
            config._nova(self._cloud(''))))

    def test_files(self):
        self.useFixture(fixtures.MockPatchObject(
            pathlib.Path, 'read_text', return_value=''))
        conf = self.folder / 'etc/cinder/cinder.conf'
        paste = self.folder / 'etc/cinder/api-paste.ini'
        found = config.render(self._cloud())
        self.assertIn(conf, found)
        self.assertIn(paste, found)
        found = config.render(self._cloud(''))
        self.assertNotIn(conf, found)
        self.assertNotIn(paste, found)


class ProgramsTest(VolumesTestCase):

    NAMES = {'cinder-api', 'cinder-scheduler', 'cinder-volume'}

    def test_programs(self):
        with_it, without = (
            {each.name: each for each in services.programs(
                self._cloud(optional))} for optional in ('cinder', ''))
        self.assertEqual(self.NAMES, set(with_it) - set(without))
        self.assertIn(f'--config-file {self.folder}/etc/cinder/cinder.conf',
                      with_it['cinder-api'].wsgi)
        self.assertTrue(
            (pathlib.Path(with_it['cinder-volume'].env['PYTHONPATH'])
             / 'evalcloud/inside/loop_driver.py').exists())

    def test_hosts_reach_the_api(self):
        needle = 'bind 127.0.0.1:18776 namespace compute-2'
        self.assertIn(needle, services.haproxy_cfg(self._cloud(computes=2)))
        self.assertNotIn(needle, services.haproxy_cfg(
            self._cloud('', computes=2)))


class DatabaseTest(VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True, return_value='10.11'))

    def test_kept_ones_have_what_the_cloud_needs(self):
        self.assertNotEqual(database._cache(self._cloud()),
                            database._cache(self._cloud('')))
        self.assertEqual(database._cache(self._cloud()),
                         database._cache(self._cloud('cinder:lvm')))

    def test_created(self):
        sql = self.useFixture(fixtures.MockPatchObject(
            database, '_sql', autospec=True)).mock
        for optional, count in (('', 0), ('cinder', 1)):
            database._create(self._cloud(optional))
            self.assertEqual(count, sql.mock_calls[-1].args[1].count(
                'CREATE DATABASE cinder'))

    def test_schemas(self):
        for name in ('_keys', '_neutron', '_nova', '_others'):
            self.useFixture(fixtures.MockPatchObject(
                database, name, autospec=True))
        cinder = self.useFixture(fixtures.MockPatchObject(
            database, '_cinder', autospec=True)).mock
        database.schemas(self._cloud(''))
        cinder.assert_not_called()
        database.schemas(self._cloud())
        cinder.assert_called_once()


class InstallTest(VolumesTestCase):

    def _installed(self, optional):
        with (mock.patch.object(packages, 'install', autospec=True) as debs,
              mock.patch.object(bringup.engine, 'path', autospec=True),
              mock.patch.object(bringup.criu, 'works', autospec=True),
              mock.patch.object(bringup.pages, 'path', autospec=True),
              mock.patch.object(python, 'services_venv',
                                autospec=True) as venv):
            bringup.install(self._cloud(optional))
        return debs.mock_calls[0].args[0], venv.mock_calls[0].args[3:]

    def test_only_where_asked_for(self):
        debs, extra = self._installed('')
        self.assertNotIn('qemu-utils', debs)
        self.assertEqual((), extra)
        debs, extra = self._installed('cinder')
        self.assertIn('qemu-utils', debs)
        self.assertNotIn('lvm2', debs)
        self.assertEqual(('cinder',), extra)
        self.assertIn('lvm2', self._installed('cinder:lvm')[0])

    def test_added_once(self):
        with (mock.patch.object(progress, 'run', autospec=True) as ran,
              mock.patch.object(python, 'uv', autospec=True)):
            for _time in range(2):
                python.add(self.folder, pathlib.Path('constraints.txt'),
                           'cinder')
        ran.assert_called_once()
        self.assertIn('constraints.txt', ran.mock_calls[0].args)

    def test_added_again_after_a_failure(self):
        with (mock.patch.object(progress, 'run', autospec=True,
                                side_effect=[progress.Failure, '']) as ran,
              mock.patch.object(python, 'uv', autospec=True)):
            self.assertRaises(progress.Failure, python.add, self.folder,
                              pathlib.Path('x'), 'cinder')
            python.add(self.folder, pathlib.Path('x'), 'cinder')
        self.assertEqual(2, ran.call_count)


class DownTest(VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.calls = mock.Mock()
        for module, name in (
                (bringup.supervisor, 'Supervisor'), (bringup, 'network'),
                (bringup.processes, 'end'), (loops, 'detach'),
                (lvm, 'remove'), (bringup, '_remove_containers')):
            self.calls.attach_mock(self.useFixture(fixtures.MockPatchObject(
                module, name)).mock, name)
        self.calls.Supervisor.return_value.alive.return_value = False

    def _down(self, optional):
        bringup.down(self._cloud(optional, engine_url='unix:///x.sock'))
        return [each for each in ('end', 'remove', 'detach') if getattr(
            self.calls, each).called]

    def test_devices_go_when_nothing_runs(self):
        self.assertEqual(['end', 'detach'], self._down('cinder'))
        names = [name for name, _args, _options in self.calls.mock_calls]
        self.assertLess(names.index('end'), names.index('detach'))
        self.calls.detach.assert_called_once_with(self.folder)

    def test_volume_group(self):
        self.assertEqual(['end', 'remove', 'detach'],
                         self._down('cinder:lvm'))


class TempestTest(VolumesTestCase):

    def _sections(self, optional):
        return self._parse(tempest.sections(
            self._cloud(optional), test_tempest.FOUND))

    def test_volumes(self):
        found = self._sections('cinder')
        self.assertEqual('multiattach',
                         found['volume']['volume_type_multiattach'])
        self.assertFalse(found['volume-feature-enabled'].getboolean(
            'backup'))
        self.assertIn('extend_attached_volume',
                      found['volume-feature-enabled'])

    def test_without(self):
        self.assertNotIn('volume', self._sections(''))
