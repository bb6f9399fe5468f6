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

import typing
from unittest import mock

import fixtures
from nova import virt
from os_vif import exception
from oslotest import base

from nova_docker import loading


class InstallTest(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.path: list[str] = ['/nova/virt']
        self.useFixture(fixtures.MockPatchObject(
            virt, '__path__', self.path))

    def test_appends_so_that_nova_comes_first(self) -> None:
        loading.install()
        self.assertEqual(['/nova/virt', loading.FOLDER], self.path)

    def test_again_changes_nothing(self) -> None:
        loading.install()
        loading.install()
        self.assertEqual(['/nova/virt', loading.FOLDER], self.path)

    def test_loading_the_plugin_installs(self) -> None:
        loading.DockerPlugin.load('nova_docker')
        self.assertIn(loading.FOLDER, self.path)


class PluginTest(base.BaseTestCase):

    def setUp(self) -> None:
        super().setUp()
        self.plugin = loading.DockerPlugin.load('nova_docker')

    def test_describes_no_vif(self) -> None:
        described = self.plugin.describe()
        self.assertEqual('nova_docker', described.plugin_name)
        self.assertEqual([], described.vif_info)

    def test_plugs_nothing(self) -> None:
        vif: typing.Any = mock.sentinel.vif
        self.assertRaises(exception.PlugException,
                          self.plugin.plug, vif, mock.sentinel.instance)
        self.assertRaises(exception.UnplugException,
                          self.plugin.unplug, vif, mock.sentinel.instance)
