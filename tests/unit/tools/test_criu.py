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

import subprocess

import fixtures
from oslotest import base

from evalcloud import criu
from evalcloud import packages
from evalcloud import progress
from tests.fixtures import suites


class CriuTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.suites = self.useFixture(suites.Suites('3.17.1-2'))
        self.folder = self.suites.cache
        self.unpacked = self.useFixture(fixtures.MockPatchObject(
            packages, 'unpack_whole', autospec=True,
            side_effect=self.unpack)).mock

    def unpack(self, names, suite, target):
        loader = target / 'usr/lib/some-linux-gnu/ld-linux-some.so.2'
        loader.parent.mkdir(parents=True)
        loader.write_text('#!/bin/sh\necho "$@"\n')
        loader.chmod(0o755)
        (target / 'usr/sbin').mkdir()
        (target / 'usr/sbin/criu').touch()

    def test_runs_with_its_own_libraries(self):
        root = self.folder / 'criu' / 'root'
        said = subprocess.check_output(
            [criu.path() / 'criu', 'check'], text=True)
        self.assertEqual(
            f'--library-path {root}/usr/lib/some-linux-gnu '
            f'{root}/usr/sbin/criu check\n', said)
        criu.path()
        self.unpacked.assert_called_once()

    def test_suite(self):
        for version, suite in ((None, 'forky'), ('4.1.1-1', 'forky'),
                               ('4.2.1-1', 'own'), ('1:5.0-1', 'own')):
            self.suites.offers(version)
            self.assertEqual(suite, criu._choose())

    def test_works(self):
        self.assertTrue(criu.works())
        (self.folder / 'criu' / 'bin' / 'criu').write_text(
            '#!/bin/sh\nexit 1\n')
        self.assertFalse(criu.works())

    def test_can_not_be_had(self):
        self.unpacked.side_effect = progress.Failure('no such suite')
        self.assertFalse(criu.works())
