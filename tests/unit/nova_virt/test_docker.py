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


import types

from nova.virt import driver as nova_driver
from oslo_utils import importutils
from oslotest import base


class DockerDriverTest(base.BaseTestCase):

    def test_nova_finds_the_driver(self) -> None:
        found = importutils.import_class('nova.virt.docker.DockerDriver')
        self.assertEqual('nova_docker.driver', found.__module__)
        self.assertTrue(issubclass(found, nova_driver.ComputeDriver))

    def test_docker_is_the_client_of_the_engine(self) -> None:
        client = importutils.import_module('docker')
        self.assertIsInstance(client, types.ModuleType)
        self.assertTrue(hasattr(client, 'APIClient'))
