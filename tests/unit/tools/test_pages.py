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


import fixtures
from oslotest import base

from evalcloud import packages
from evalcloud import pages
from tests.fixtures import suites


class PagesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.suites = self.useFixture(suites.Suites('3.8.1+~cs0.9.0-1'))
        self.folder = self.suites.cache
        self.unpacked = self.useFixture(fixtures.MockPatchObject(
            packages, 'unpack', autospec=True, side_effect=self.unpack)).mock

    def unpack(self, names, suite, target):
        for file in ('novnc/vnc_lite.html', 'javascript/xterm/xterm.js'):
            path = target / 'usr/share' / file
            path.parent.mkdir(parents=True)
            path.touch()

    def test_links(self):
        for name in ('first', 'second'):
            web = self.folder / name
            pages.link(web)
            for file in ('novnc/vnc_lite.html', 'xterm/xterm.js',
                         'serial.html'):
                self.assertTrue((web / file).is_file(), file)
        self.unpacked.assert_called_once()

    def test_suite(self):
        for version, suite in ((None, 'trixie'), ('3.8.1-1', 'trixie'),
                               ('5.3.0-2', 'own')):
            self.suites.offers(version)
            self.assertEqual(suite, pages._choose())
