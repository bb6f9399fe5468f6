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

import ast
import functools
import pathlib
import re

import nova
from oslotest import base

from nova_docker.host import startup
from nova_docker.host import traits
from nova_docker.spec import environment
from nova_docker.spec import extra_specs
from tests.benchmarks import results

ROOT = pathlib.Path(__file__).parents[2]
#: A term of a list, which is one name or more.
TERM = re.compile(r'^(``\S+``(?:, ``\S+``)*)\n    ', re.MULTILINE)

#: What a message has in the place of what differs: of %, of format, of an
#: f-string, and of a shell.
_DIFFERS = re.compile(r'%\(\w+\)[-.\d]*[a-z]|%[-.\d]*[a-z]|\{[^{}]*\}|\$\w+')
_DOTS = re.compile(r'\.{3,}')


class NamesTest(base.BaseTestCase):

    def test_traits(self) -> None:
        text = (ROOT / 'doc/source/reference/index.rst').read_text()
        self.assertEqual([], [
            value for value in vars(traits).values()
            if str(value).startswith(traits.DOCKER) and value not in text])

    def test_image_properties(self) -> None:
        text = (ROOT / 'doc/source/user/images.rst').read_text()
        known = [*environment._CONFIG, *environment._HEALTHCHECK,
                 *environment._HOST_CONFIG, *environment._ELSEWHERE]
        self.assertGreater(len(known), 15)
        self.assertEqual([], [name for name in known if not re.search(
            f'``docker_{name}(``|=)', text)])


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


class MeasuredTest(base.BaseTestCase):
    """What the page on performance shows is what was measured."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = ROOT / 'doc/source/admin/performance'
        self.results = results.read(self.folder)

    def test_the_table(self) -> None:
        self.assertEqual(results.table(self.results),
                         (self.folder / 'figures.csv').read_text())

    def test_the_pictures(self) -> None:
        page = (ROOT / 'doc/source/admin/performance.rst').read_text()
        pictures = sorted(self.folder.glob('*.svg'))
        self.assertEqual(
            [], [path.name for path in pictures
                 if results.digest(self.results) not in path.read_text()])
        self.assertEqual(
            [f'{path.parent.name}/{path.name}' for path in pictures],
            sorted(re.findall(r'image:: (\S+)', page)))


class TroubleshootingTest(base.BaseTestCase):
    """The page names messages as they are, and all that end nova-compute."""

    #: Nova's own messages that are named.
    NOVA = ('exception.py', 'conductor/manager.py', 'virt/driver.py')

    def setUp(self) -> None:
        super().setUp()
        text = (ROOT / 'doc/source/admin/troubleshooting.rst').read_text()
        self.documented = [
            _DOTS.sub('...', message)
            for term in re.findall(r'^(\S.*)\n  \S', text, re.MULTILINE)
            for message in re.findall('``(.+?)``', term) if ' ' in message]

    def test_messages_are_the_codes(self) -> None:
        ours = {text for tree in _trees() for text in _texts(tree)}
        hook = (ROOT / 'nova_docker/cdi/hook.sh').read_text()
        ours |= {_plain(text) for text in re.findall(
            '''fail ["'](.+)["']''', hook)}
        folder = pathlib.Path(nova.__file__).parent
        known = '\n'.join(ours.union(*(
            _texts(ast.parse((folder / name).read_text()))
            for name in self.NOVA)))
        self.assertGreater(len(self.documented), 100)
        self.assertEqual([], [
            message for message in self.documented if not re.search(
                f'^{_pattern(message)}$', known, re.MULTILINE)])

    def test_all_that_ends_nova_compute_is_there(self) -> None:
        patterns = [re.compile(_pattern(message))
                    for message in self.documented]
        ends = {text for tree in _trees() for node in ast.walk(tree)
                if isinstance(node, ast.Call) and _name(node.func) in (
                    'HostUnusable', '_unusable')
                # What begins with dots comes after another message.
                for text in _texts(node) if re.match(r'[^.]* ', text)}
        self.assertGreater(len(ends), 10)
        self.assertEqual([], [
            text for text in sorted(ends) if not any(
                pattern.fullmatch(text) for pattern in patterns)])


@functools.cache
def _trees() -> list[ast.Module]:
    """Of all modules of the driver."""
    return [ast.parse(path.read_text())
            for path in (ROOT / 'nova_docker').rglob('*.py')]


def _name(function: ast.expr) -> str:
    return getattr(function, 'attr', getattr(function, 'id', ''))


def _plain(text: str) -> str:
    """A message, with dots for what differs, in one line."""
    return _DOTS.sub('...', _DIFFERS.sub('...', ' '.join(text.split())))


def _pattern(message: str) -> str:
    """What finds a message by what is documented of it."""
    return '.+'.join(map(re.escape, message.split('...'))).replace(
        r'\ .+', ' .*')


def _texts(tree: ast.AST) -> set[str]:
    """All strings, but for those that are parts of others."""
    inner = {id(part) for node in ast.walk(tree)
             if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts.add(_plain(''.join(
                str(part.value) if isinstance(part, ast.Constant) else '...'
                for part in node.values)))
        elif (isinstance(node, ast.Constant) and id(node) not in inner and
                isinstance(node.value, str)):
            texts.add(_plain(node.value))
    return texts


class KernelTest(base.BaseTestCase):
    """The settings that nova-compute warns about are those of the file."""

    def setUp(self) -> None:
        super().setUp()
        self.settings = [
            line for line in (ROOT / 'etc/sysctl.d/90-nova-docker.conf')
            .read_text().splitlines() if not line.startswith('#')]

    def test_in_code(self) -> None:
        self.assertEqual(
            [f'{name.replace("/", ".")} = {least}'
             for name, least in startup.SHARED.items()], self.settings)

    def test_in_the_installation_guide(self) -> None:
        text = (ROOT / 'doc/source/install/index.rst').read_text()
        for setting in self.settings:
            self.assertIn(f'\n   {setting}\n', text)
