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

"""What the documentation promises has a test."""

import pathlib
import re

from oslotest import base

from nova_docker.spec import extra_specs

ROOT = pathlib.Path(__file__).parents[2]
#: A term of a list, which is one name or more.
TERM = re.compile(r'^(``\S+``(?:, ``\S+``)*)\n    ', re.MULTILINE)


class ExtraSpecsTest(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        text = (ROOT / 'doc/source/configuration/extra-specs.rst').read_text()
        self.documented = {name for term in TERM.findall(text)
                           for name in re.findall('``(.+?)``', term)}

    def test_ours_are_documented(self) -> None:
        self.assertEqual(
            {name.replace(extra_specs.PARAMETER, 'NAME')
             for name in extra_specs.SPECS},
            {name for name in self.documented
             if name.startswith(extra_specs.NAMESPACE)})

    def test_each_has_a_functional_test(self) -> None:
        """It is named there, at least."""
        tests = '\n'.join(path.read_text() for path in (
            ROOT / 'tests' / 'functional').glob('test_*.py'))
        self.assertEqual([], [
            name for name in sorted(self.documented)
            if "'" + re.sub(r'NAME$|(?<=\.)N$', '', name) not in tests])
