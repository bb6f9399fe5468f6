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
import dataclasses
import pathlib
from unittest import mock

import fixtures
from oslotest import base

from evalcloud import config
from evalcloud import criu
from evalcloud import paths
from evalcloud import progress
from evalcloud import python
from evalcloud import services
from evalcloud import settings
from evalcloud import tempest
from evalcloud import tempest_exclusions

FOUND = tempest.Found(
    images=('image-1', 'image-2'), image_file=pathlib.Path('/image'),
    flavors=('flavor-1', 'flavor-2'), public_network='net-1',
    extensions=('router', 'security-group'),
    services=('identity', 'image', 'network', 'compute', 'placement'))

JUNIT = """<testsuite errors="1" failures="2" name="" tests="9" time="0.1">
<testcase classname="a.B" name="test_a" time="0.1"/>
<testcase classname="a.B" name="test_b" time="0.1">
<failure type="AssertionError">no</failure>
</testcase>
<testcase classname="" name="setUpClass (a.C)" time="0.0">
<skipped>there is none</skipped>
</testcase>
<testcase classname="a.D" name="test_c" time="0.0">
<skipped>not here</skipped>
</testcase>
<testcase classname="a.D" name="test_d" time="0.0">
<skipped>not
  here</skipped>
</testcase>
</testsuite>
"""


class TempestTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.EnvironmentVariable(
            'NOVA_DOCKER_CACHE', str(self.folder)))
        self.cloud = settings.Settings(state=self.folder, password='s3cret')
        self.criu = self.useFixture(fixtures.MockPatchObject(
            criu, 'works', autospec=True, return_value=True)).mock


class ConfigurationTest(TempestTestCase):

    def _sections(self, found=FOUND, **options):
        parser = configparser.RawConfigParser(default_section='')
        parser.read_string(config.ini(tempest.sections(
            dataclasses.replace(self.cloud, **options), found)))
        return parser

    def test_what_the_cloud_has(self):
        found = self._sections()
        self.assertEqual('image-2', found['compute']['image_ref_alt'])
        self.assertEqual('flavor-1', found['compute']['flavor_ref'])
        self.assertEqual('net-1', found['network']['public_network_id'])
        self.assertEqual('router,security-group', found[
            'network-feature-enabled']['api_extensions'])

    def test_services(self):
        found = self._sections()['service_available']
        self.assertEqual(
            {'nova', 'neutron', 'glance'},
            {name for name in found if found.getboolean(name)})

    def test_servers_go_from_host_to_host(self):
        found = self._sections(computes=2)['compute']
        self.assertEqual(('2', 'compute-1', 'compute-2'), (
            found['min_compute_nodes'], found['migration_source_host'],
            found['migration_dest_host']))

    def test_hints_of_the_scheduler(self):
        nova = configparser.RawConfigParser()
        nova.read_string(config.ini(config._nova(self.cloud)))
        filters = nova['filter_scheduler']['enabled_filters']
        self.assertIn('DifferentHostFilter', filters)
        self.assertEqual(filters, self._sections()[
            'compute-feature-enabled']['scheduler_enabled_filters'])

    def test_no_other_host(self):
        found = self._sections()['compute']
        self.assertEqual('1', found['min_compute_nodes'])
        self.assertNotIn('migration_source_host', found)

    def test_servers_are_logged_in_to(self):
        found = self._sections()['validation']
        self.assertTrue(found.getboolean('run_validation'))
        self.assertEqual(('floating', 'keypair', 'guest'), (
            found['connect_method'], found['auth_method'],
            found['image_ssh_user']))

    def test_live_migration(self):
        for computes, works, wanted in (
                (1, True, False), (2, False, False), (2, True, True)):
            self.cloud = dataclasses.replace(self.cloud, computes=computes)
            self.criu.return_value = works
            self.assertEqual(wanted, self._sections()[
                'compute-feature-enabled'].getboolean('live_migration'))

    def test_image_of_its_own(self):
        found = self._sections()['scenario']
        self.assertEqual(
            ('/image', 'bare', 'raw'),
            (found['img_file'], found['img_container_format'],
             found['img_disk_format']))
        self.assertIn('docker_image_type:rootfs',
                      found['img_properties'].split(','))

    def test_features_are_those_of_the_support_matrix(self):
        rows = {'operation.pause': 'complete', 'operation.suspend': 'missing',
                'console.vnc': 'partial'}
        matrix = self.folder / 'matrix.ini'
        matrix.write_text(''.join(
            f'[{row}]\ndriver.docker={rows.get(row, "missing")}\n'
            for row in set(tempest._FEATURES.values())))
        found = tempest.features(matrix)
        self.assertEqual(
            ['pause'], [name for name, has in found.items() if has])

    def test_every_feature_is_in_our_support_matrix(self):
        found = tempest.features(
            paths.SOURCE / 'doc/source/user/support-matrix.ini')
        self.assertTrue(found['interface_attach'])
        self.assertFalse(found['spice_console'])


class RunTest(TempestTestCase):

    def setUp(self):
        super().setUp()
        (self.folder / 'log').mkdir()
        file = self.folder / tempest_exclusions.FILE
        file.parent.mkdir(parents=True)
        file.write_text(r'tempest\.api\.compute\.a\.test_b  # Takes what '
                        'is the host\'s for the server\'s.\n')
        self.cloud = dataclasses.replace(self.cloud, source=self.folder)
        venv = self.folder / 'venv-tempest'
        (venv / 'lib/python3/site-packages/tempest').mkdir(parents=True)
        self.useFixture(fixtures.MockPatchObject(
            python, 'tempest_venv', autospec=True, return_value=venv))
        self.useFixture(fixtures.MockPatchObject(
            services, 'run_inside', autospec=True))
        self.call = self.useFixture(fixtures.MockPatch(
            'subprocess.call', side_effect=self._call)).mock
        self.names = [f'tempest.api.compute.a.test_{name}'
                      for name in 'abcdefghijklmnopqrst']
        self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True,
            side_effect=lambda *_command, **_options: '\n'.join(self.names)))
        self.ran = 0

    def _call(self, command, **options):
        if command[0].endswith('subunit2junitxml'):
            options['stdout'].write(JUNIT.encode())
            return 1
        if 'last' in command:
            return self.ran
        return 1

    def test_counts(self):
        found = tempest.run(self.cloud, ['one', 'two'], 2)
        self.assertEqual(
            tempest.Counts(3, 3, {'not here': 2, 'there is none': 1}),
            found.counts)
        self.assertEqual(3, found.counts.skipped)
        self.assertEqual(
            '1 of the 20 tests of tempest.api.compute are excluded (5.0 %)',
            str(found.excluded))
        first = self.call.mock_calls[0].args[0]
        self.assertEqual(['one', 'two'], first[-2:])
        self.assertEqual('2', first[first.index('--concurrency') + 1])

    def test_too_many_exclusions(self):
        self.names.pop()
        self.assertRaisesRegex(
            progress.Failure, r'1 of the 19 .* \(5\.3 %\), more than 5 %',
            tempest.run, self.cloud, ['one'], 1)
        self.call.assert_not_called()

    def test_what_is_excluded_does_not_run(self):
        tempest.run(self.cloud, ['one'], 1)
        first = self.call.mock_calls[0].args[0]
        self.assertEqual(
            str(self.folder / tempest_exclusions.FILE),
            first[first.index('--exclude-list') + 1])

    def test_results_are_of_this_run(self):
        old = self.folder / 'log/tempest/.stestr'
        old.mkdir(parents=True)
        tempest.run(self.cloud, ['one'], 1)
        self.assertFalse(old.exists())
        self.assertTrue((self.folder / 'log/tempest/results.xml').exists())

    def test_stestr_keeps_its_results_there(self):
        tempest.run(self.cloud, ['one'], 1)
        self.assertEqual(
            [self.folder / 'log/tempest'] * 2,
            [each.kwargs['cwd'] for each in self.call.mock_calls
             if each.args[0][0].endswith('/stestr')])

    def test_no_test_of_that_name(self):
        self.ran = 1
        self.assertRaises(progress.Failure, tempest.run, self.cloud,
                          ['none'], 1)

    def test_where_the_configuration_is(self):
        tempest.run(self.cloud, ['one'], 1)
        env = self.call.mock_calls[0].kwargs['env']
        self.assertEqual(
            tempest.file(self.cloud),
            pathlib.Path(env['TEMPEST_CONFIG_DIR'], env['TEMPEST_CONFIG']))


class VenvTest(TempestTestCase):

    def test_made_once(self):
        constraints = self.folder / 'tools/constraints/tempest.txt'
        constraints.parent.mkdir(parents=True)
        constraints.touch()

        def run(*command, **_options):
            if command[1] == 'venv':
                pathlib.Path(command[-1]).mkdir()
        with (mock.patch.object(progress, 'run', autospec=True,
                                side_effect=run) as ran,
              mock.patch.object(python, 'uv', autospec=True,
                                return_value='uv')):
            venv = python.tempest_venv(self.folder)
            self.assertEqual(2, ran.call_count)
            self.assertEqual(venv, python.tempest_venv(self.folder))
            self.assertEqual(2, ran.call_count)
            constraints.write_text('tempest==2\n')
            python.tempest_venv(self.folder)
            self.assertEqual(4, ran.call_count)
        self.assertIn('tempest', ran.mock_calls[1].args)
