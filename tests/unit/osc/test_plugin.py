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

import argparse
import importlib
import pathlib
import subprocess
import sys
import tomllib
import types

from osc_lib.command import command
from oslotest import base

from nova_docker.osc import plugin

ROOT = pathlib.Path(__file__).parents[3]


class PluginTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
        self.points = project['project']['entry-points']

    def test_client_finds_it(self):
        name = self.points['openstack.cli.extension'][plugin.API_NAME]
        self.assertIs(plugin, importlib.import_module(name))
        self.assertIn(plugin.DEFAULT_API_VERSION, plugin.API_VERSIONS)

    def test_client_finds_its_commands(self):
        group = 'openstack.{}.v{}'.format(plugin.API_NAME,
                                          plugin.DEFAULT_API_VERSION)
        for name, point in self.points[group].items():
            module, _, attribute = point.partition(':')
            found = getattr(importlib.import_module(module), attribute)
            self.assertTrue(issubclass(found, command.Command), name)

    def test_adds_no_options(self):
        parser = argparse.ArgumentParser()
        self.assertIs(parser, plugin.build_option_parser(parser))
        self.assertEqual('usage: x [-h]', argparse.ArgumentParser(
            'x', parents=[parser], add_help=False).format_usage().strip())

    def test_client_is_the_image_service(self):
        instance = types.SimpleNamespace(
            sdk_connection=types.SimpleNamespace(image='glance'))
        self.assertEqual('glance', plugin.make_client(instance))

    def _imported(self, module):
        return set(subprocess.check_output(
            [sys.executable, '-c', f'import sys\nimport {module}\n'
             'print(*sys.modules)'], cwd=ROOT, text=True).split())

    def test_each_command_of_the_client_pays_nothing(self):
        self.assertEqual(set(), {'openstack', 'osc_lib', 'docker', 'requests'}
                         & self._imported('nova_docker.osc.plugin'))

    def test_needs_no_nova(self):
        found = self._imported('nova_docker.osc.image')
        self.assertIn('nova_docker.image.archive', found)
        self.assertNotIn('nova', found)
        self.assertNotIn('eventlet', found)
