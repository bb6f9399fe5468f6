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
import re

import fixtures
from oslotest import base

from evalcloud import paths
from evalcloud import progress
from evalcloud import tempest_exclusions

REASON = "Takes what is the host's for the server's."


class ReadTest(base.BaseTestCase):

    def _read(self, text):
        file = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'file')
        file.write_text(text)
        return tempest_exclusions.read(file)

    def test_ours(self):
        found = tempest_exclusions.read(
            paths.SOURCE / tempest_exclusions.FILE)
        self.assertNotEqual({}, found)
        for pattern in found:
            re.compile(pattern)

    def test_reasons(self):
        self.assertEqual(
            {r'tempest\.a': REASON, r'tempest\.b\.(c|d)\[': REASON},
            self._read(f'# Of names.\n\ntempest\\.a  # {REASON}\n'
                       f'tempest\\.b\\.(c|d)\\[  # {REASON}\n'))

    def test_what_is_none(self):
        for line in (r'tempest\.a', r'tempest\.a  # ', r'tempest\.a  # No.',
                     rf'tempest\.a # {REASON}', rf'a\.b  # {REASON}',
                     rf'  # {REASON}', f'tempest.a  # {REASON}',
                     f'tempest\\.a  # {REASON}\ntempest\\.a  # {REASON}'):
            self.assertRaisesRegex(
                progress.Failure, r'/file:\d: not a regular expression',
                self._read, f'{line}\n')


class ShareTest(base.BaseTestCase):

    NAMES = [f'tempest.api.compute.test_a.A.test_{number:02}[id-{number}]'
             for number in range(40)] + ['tempest.scenario.test_b.B.test_1']

    def test_tests_and_not_lines_count(self):
        found = tempest_exclusions.share(
            (r'test_0[12]', r'test_02\[', r'tempest\.scenario'), self.NAMES)
        self.assertEqual(tempest_exclusions.Share(2, 40), found)
        self.assertEqual(5, found.percent)

    def test_more_than_are_allowed(self):
        self.assertRaisesRegex(
            progress.Failure, r'3 of the 40 .*\(7\.5 %\), more than 5 %',
            tempest_exclusions.share, (r'test_0[123]',), self.NAMES)

    def test_what_no_test_matches(self):
        self.assertRaisesRegex(
            progress.Failure, 'no test matches test_99',
            tempest_exclusions.share, ('test_01', 'test_99'), self.NAMES)

    def test_no_tests_at_all(self):
        self.assertEqual(
            0, tempest_exclusions.share((), []).percent)
