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


"""The rules of doc/source/contributor/architecture.rst, held by a test.

DesignTest applies each check to this tree, BadSampleTest shows that each
check finds what it is for.
"""

import pathlib
import typing

from nova.virt import driver as nova_driver
from oslo_utils import importutils
from oslotest import base

from tests.fixtures import design

ROOT = pathlib.Path(__file__).parents[2]


class DesignTest(base.BaseTestCase):
    """Each test names what breaks the rule."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.modules = design.sources(ROOT / 'nova_docker')
        cls.tests = {name.removeprefix('tests.'): source for name, source
                     in design.sources(ROOT / 'tests').items()}
        cls.tools = design.sources(ROOT / 'tools' / 'evalcloud')

    def test_there_is_something_to_check(self) -> None:
        self.assertIn('nova_docker.driver', self.modules)
        self.assertIn('unit.test_design', self.tests)
        self.assertIn('evalcloud.engine', self.tools)

    def test_imports_point_down(self) -> None:
        self.assertEqual([], design.layering(self.modules))

    def test_no_cycles(self) -> None:
        self.assertEqual([], design.cycles(self.modules))

    def test_only_engine_imports_docker(self) -> None:
        self.assertEqual([], design.only_engine_imports_docker(self.modules))

    def test_engine_knows_no_nova(self) -> None:
        self.assertEqual([], design.engine_knows_no_nova(self.modules))

    def test_client_knows_no_nova(self) -> None:
        self.assertEqual([], design.client_knows_no_nova(self.modules))

    def test_spec_is_pure(self) -> None:
        self.assertEqual([], design.purity(self.modules))

    def test_threads_only(self) -> None:
        self.assertEqual([], design.no_async(self.modules))

    def test_functions_are_short(self) -> None:
        self.assertEqual([], design.function_length(
            {**self.modules, **self.tools, **self.tests}))

    def test_modules_are_short(self) -> None:
        self.assertEqual([], design.module_length(
            {**self.modules, **self.tools}))

    def test_functions_are_simple(self) -> None:
        self.assertEqual([], design.complexity(
            {**self.modules, **self.tools}))

    def test_the_facade_is_an_index(self) -> None:
        self.assertEqual(
            [], design.facade(self.modules['nova_docker.driver']))

    def test_each_module_has_its_tests(self) -> None:
        self.assertEqual([], design.twins(self.modules, self.tests))


class ContractTest(base.BaseTestCase):
    """DockerDriver against the ComputeDriver of the Nova installed here."""

    def setUp(self) -> None:
        super().setUp()
        self.driver = importutils.import_class(
            'nova.virt.docker.DockerDriver')

    def test_overrides_have_the_signatures_of_nova(self) -> None:
        self.assertEqual([], design.signatures(
            self.driver, nova_driver.ComputeDriver))

    def test_capabilities_are_said_and_backed(self) -> None:
        self.assertEqual([], design.capabilities(
            self.driver, nova_driver.ComputeDriver))


class BadSampleTest(base.BaseTestCase):

    def _finds(self, wanted: list[str], check: typing.Any,
               **modules: str) -> None:
        named = {'nova_docker.' + name.replace('__', '.'): source
                 for name, source in modules.items()}
        self.assertEqual(wanted, check(named))

    def test_up(self) -> None:
        self._finds(
            ['nova_docker.spec.x imports nova_docker.engine.client'],
            design.layering,
            spec__x='from nova_docker.engine import client\n')

    def test_sideways(self) -> None:
        self._finds(
            ['nova_docker.image.x imports nova_docker.network.vif'],
            design.layering,
            image__x='def f():\n    from nova_docker.network import vif\n')

    def test_down_is_right(self) -> None:
        self._finds([], design.layering,
                    driver='from nova_docker.lifecycle import spawn\n',
                    lifecycle__spawn='from nova_docker.image import load\n',
                    image__load='import nova_docker.conf\n')

    def test_no_layer(self) -> None:
        self._finds(['nova_docker.misc.x is in no layer'], design.layering,
                    misc__x='')

    def test_relative_import(self) -> None:
        self.assertRaises(ValueError, design.layering,
                          {'nova_docker.image.x': 'from . import y\n'})

    def test_cycle(self) -> None:
        modules = {
            'nova_docker.host.a': 'from nova_docker.host import b\n',
            'nova_docker.host.b': 'import nova_docker.host.c\n',
            'nova_docker.host.c': 'from nova_docker.host.a import thing\n',
            'nova_docker.host': ''}
        found = design.cycles(modules)
        self.assertEqual(1, len(found))
        for name in 'abc':
            self.assertIn(f'nova_docker.host.{name}', found[0])
        del modules['nova_docker.host.c']
        self.assertEqual([], design.cycles(modules))

    def test_docker_outside_engine(self) -> None:
        self._finds(['nova_docker.image.x imports docker.errors'],
                    design.only_engine_imports_docker,
                    image__x='from docker import errors\n',
                    engine__x='import docker\n', host__x='import dockerish\n')

    def test_nova_in_engine(self) -> None:
        self._finds(['nova_docker.engine.x imports nova.conf'],
                    design.engine_knows_no_nova,
                    engine__x='import nova.conf\nimport nova_docker.conf\n')

    def test_nova_in_the_client(self) -> None:
        self._finds(['nova_docker.osc.y imports nova.utils',
                     'nova_docker.image.x imports nova.objects'],
                    design.client_knows_no_nova,
                    osc__x='from nova_docker.image import x\n',
                    osc__y='import nova.utils\n',
                    image__x='from nova import objects\n',
                    image__y='import nova\n')

    def test_impure(self) -> None:
        self._finds(['nova_docker.spec.x imports os',
                     'nova_docker.spec.x imports socket.socket',
                     'nova_docker.spec.x calls open'],
                    design.purity,
                    spec__x='import json\nimport os\n'
                            'from socket import socket\n'
                            'def f():\n    return open("x")\n',
                    host__x='import os\n')

    def test_async(self) -> None:
        self._finds(['nova_docker.host.x: f is async',
                     'nova_docker.host.y imports eventlet.green'],
                    design.no_async,
                    host__x='async def f():\n    pass\n',
                    host__y='from eventlet import green\n')

    def test_long_function(self) -> None:
        self._finds(['nova_docker.x: g has 51 lines'],
                    design.function_length,
                    x='def f():\n' + '    a = 1\n' * 49 +
                      'def g():\n' + '    a = 1\n' * 50)

    def test_long_module(self) -> None:
        reason = '"""Text. Longer than 400 lines: one table."""\nimport os\n'
        self._finds(['nova_docker.a has 401 lines',
                     'nova_docker.d has 601 lines'],
                    design.module_length,
                    a='\n' * 401, b='\n' * 400, c=reason + '\n' * 598,
                    d=reason + '\n' * 599)

    def test_complex_function(self) -> None:
        def branches(number: int) -> str:
            return 'def f(a):\n' + '    if a:\n        a += 1\n' * number
        self._finds([], design.complexity, x=branches(11))
        found = design.complexity({'x': branches(12)})
        self.assertEqual(1, len(found))
        self.assertIn('complexity 13', found[0])

    def test_facade(self) -> None:
        verb = ('class D:\n'
                '    def good(self):\n        """Doc."""\n'
                '        a = 1\n        return a\n'
                '    def bad(self):\n'
                '        with self:\n            a = 1\n            b = 2\n')
        self.assertEqual(['bad has 3 statements'], design.facade(verb))
        self.assertEqual(['the facade has 601 lines'],
                         design.facade('\n' * 601))

    def test_no_twin(self) -> None:
        code = 'def f():\n    pass\n'
        modules = {'nova_docker': '', 'nova_docker.host': '"""Doc."""\n',
                   'nova_docker.host.a': code, 'nova_docker.host.b': code,
                   'nova_docker.host.c': code}
        tests = {'unit.host.test_a': 'def test_f(self):\n    pass\n',
                 'unit.host.test_b': 'import unittest\n'}
        self.assertEqual(
            ['nova_docker.host.b has no tests in unit.host.test_b',
             'nova_docker.host.c has no tests in unit.host.test_c'],
            design.twins(modules, tests))


class _Base:
    capabilities: dict[str, bool] = {
        'supports_extend_volume': False, 'supports_evacuate': False}

    def spawn(self, context, timeout=0):  # type: ignore
        pass

    def extend_volume(self, context):  # type: ignore
        pass

    def finish_migration(self, context, power_on=True):  # type: ignore
        pass

    def reboot(self, context):  # type: ignore
        pass


class BadContractTest(base.BaseTestCase):

    def _signatures(self, **methods: typing.Any) -> list[str]:
        return design.signatures(type('Driver', (_Base,), methods), _Base)

    def test_same_signature(self) -> None:
        def spawn(self: typing.Any, context: str, timeout: int = 0) -> None:
            pass
        self.assertEqual([], self._signatures(spawn=spawn))

    def test_other_name_order_default_or_kind(self) -> None:
        for bad in (lambda self, ctxt, timeout=0: None,
                    lambda self, timeout=0, context=None: None,
                    lambda self, context, timeout=1: None,
                    lambda self, context, timeout: None,
                    lambda self, context, *, timeout=0: None,
                    lambda self, context: None,
                    lambda self, context, timeout=0, more=None: None):
            found = self._signatures(spawn=bad)
            self.assertEqual(1, len(found), found)

    def test_parameter_of_the_other_series(self) -> None:
        def good(self, context, power_on=True, share_info=None):
            # type: ignore
            pass

        def bad(self, context, share_info, power_on=True):  # type: ignore
            pass
        self.assertEqual([], self._signatures(finish_migration=good))
        self.assertEqual(1, len(self._signatures(finish_migration=bad)))

    def test_overrides_nothing(self) -> None:
        def method(self: typing.Any) -> None:
            pass
        self.assertEqual(['rebot overrides nothing'],
                         self._signatures(rebot=method))
        self.assertEqual([], self._signatures(
            process_instances_at_startup=method, _own=method))

    def test_capabilities(self) -> None:
        class Driver(_Base):
            capabilities = {'supports_extend_volume': True,
                            'supports_magic': True}
        self.assertEqual(
            ['supports_evacuate is not said',
             'supports_extend_volume needs extend_volume',
             'supports_magic: nobody said what backs it'],
            design.capabilities(Driver, _Base))
