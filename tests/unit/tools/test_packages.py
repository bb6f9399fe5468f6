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
import textwrap

import fixtures
from oslotest import base

from evalcloud import packages
from evalcloud import progress


class MajorTest(base.BaseTestCase):

    def test_major(self):
        for version, expected in (
                ('20.10.24+dfsg1-1+deb12u1', 20), ('26.1.5+dfsg1-9', 26),
                ('5:28.5.2-1', 28), ('unknown', 0)):
            self.assertEqual(expected, packages.major(version))


class SuiteSourcesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(
            self.useFixture(fixtures.TempDir()).path)
        (self.folder / 'sources.list.d').mkdir()

    def _write(self, name, text):
        (self.folder / name).write_text(textwrap.dedent(text))

    def _sources(self):
        return packages.suite_sources('bookworm', 'trixie', self.folder)

    def test_lines(self):
        self._write('sources.list', '''\
            # deb http://old.example/debian bookworm main
            deb [signed-by=/k.gpg] http://a.example/debian bookworm main x
            deb http://a.example/debian bookworm-updates main
            deb-src http://a.example/debian bookworm main
            ''')
        self._write('sources.list.d/else.list', '''\
            deb https://b.example/apt cloud-sdk-bookworm main
            ''')
        self.assertEqual((
            'deb [signed-by=/k.gpg] http://a.example/debian trixie main\n'
            'deb http://a.example/debian trixie-updates main\n', ''),
            self._sources())

    def test_stanzas(self):
        self._write('sources.list.d/debian.sources', '''\
            Types: deb
            # a snapshot
            URIs: http://a.example/debian
            Suites: bookworm bookworm-updates bookworm-backports
            Components: main
            Signed-By: /k.gpg

            Types: deb
            URIs: http://b.example/node
            Suites: nodistro
            Components: main
            ''')
        self.assertEqual(('', textwrap.dedent('''\
            Types: deb
            URIs: http://a.example/debian
            Suites: trixie trixie-updates
            Components: main
            Signed-By: /k.gpg
            ''')), self._sources())

    def test_none(self):
        self.assertRaises(progress.Failure, self._sources)
