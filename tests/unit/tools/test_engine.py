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

import json
import pathlib

import fixtures
from oslotest import base

from evalcloud import criu
from evalcloud import engine
from evalcloud import packages
from evalcloud import progress


class ChooseTest(base.BaseTestCase):

    def _choose(self, suite, offered):
        self.useFixture(fixtures.MockPatchObject(
            packages, 'codename', autospec=True, return_value=suite))
        self.useFixture(fixtures.MockPatchObject(
            packages, 'candidate', autospec=True,
            side_effect=lambda name, refresh=False: offered.get(name)))
        return engine._choose()

    def test_own_suite(self):
        self.assertEqual(
            ('noble', ['docker.io', 'containerd']),
            self._choose('noble', {'docker.io': '28.2.2-0ubuntu1~24.04.1'}))

    def test_own_suite_with_a_client_apart(self):
        self.assertEqual(
            ('trixie', ['docker.io', 'containerd', 'docker-cli']),
            self._choose('trixie', {'docker.io': '26.1.5+dfsg1-9',
                                    'docker-cli': '26.1.5+dfsg1-9'}))

    def test_next_suite(self):
        self.assertEqual(
            ('trixie', ['docker.io', 'containerd', 'docker-cli']),
            self._choose('bookworm', {'docker.io': '20.10.24+dfsg1-1'}))

    def test_no_later_suite(self):
        self.assertRaisesRegex(
            progress.Failure, 'jammy offers docker.io 24.0.7',
            self._choose, 'jammy', {'docker.io': '24.0.7-0ubuntu4'})


class EngineTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(
            engine, 'path', autospec=True, return_value=pathlib.Path('/b')))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def _settings(self, **options):
        self.command, self.env = engine.Engine(self.folder).prepare(**options)
        return json.loads((self.folder / 'daemon.json').read_text())

    def test_all_is_below_the_folder(self):
        found = self._settings()
        for name in ('data-root', 'exec-root', 'pidfile'):
            self.assertTrue(found[name].startswith(f'{self.folder}/'), name)
        self.assertEqual([f'unix://{self.folder}/docker.sock'],
                         found['hosts'])
        self.assertEqual([f'{self.folder}/cdi'], found['cdi-spec-dirs'])
        self.assertTrue((self.folder / 'cdi').is_dir())
        self.assertIs(True, found['features']['cdi'])
        self.assertEqual('/b/dockerd', self.command[0])
        self.assertTrue(self.env['PATH'].startswith('/b:'))

    def test_changed_by_its_operator(self):
        self._settings()
        (self.folder / 'daemon.json').write_text('{"live-restore": true}')
        self.assertEqual({'live-restore': True}, self._settings(keep=True))
        self.assertIs(False, self._settings()['live-restore'])

    def test_checkpoints(self):
        self.useFixture(fixtures.MockPatchObject(
            criu, 'path', autospec=True, return_value=pathlib.Path('/c')))
        self.assertIs(False, self._settings()['experimental'])
        self.assertFalse(self.env['PATH'].startswith('/c:'))
        self.assertIs(True, self._settings(checkpoints=True)['experimental'])
        self.assertTrue(self.env['PATH'].startswith('/c:/b:'))
        # As it was, however it is started.
        self._settings(keep=True)
        self.assertTrue(self.env['PATH'].startswith('/c:/b:'))

    def test_touches_no_network(self):
        found = self._settings()
        self.assertEqual('none', found['bridge'])
        self.assertIs(False, found['iptables'])

    def test_two_engines_have_two_cgroups(self):
        self.assertNotEqual(engine.Engine(self.folder / 'a').cgroup,
                            engine.Engine(self.folder / 'b').cgroup)

    def test_long_path(self):
        self.assertRaisesRegex(
            progress.Failure, 'too long',
            engine.Engine(self.folder / ('x' * 100)).prepare)

    def test_no_daemon(self):
        one = engine.Engine(self.folder)
        self.assertFalse(one.answers())
        one.stop(purge=True)
        self.assertFalse(self.folder.exists())
        self.folder.mkdir()
