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


"""create: what is asked of the engine for an instance."""

import json
import os

from nova import exception
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.spec import names
from tests.unit.lifecycle import base


class CreateTest(base.LifecycleTestCase):

    def test_the_second_of_an_image_does_not_load_it(self):
        self.spawn()
        self.instance = base.make_instance(id=2, uuid=uuids.second)
        self.spawn()
        self.assertEqual(1, self.steps().count('load_image'))

    def test_environment(self):
        self.instance.system_metadata['image_docker_env_A'] = 'image'
        self.instance.system_metadata['image_docker_env_B'] = 'image'
        self.instance.metadata = {'docker_env_B': 'server', 'owner': 'me'}
        self.spawn()
        self.assertEqual(['A=image', 'B=server'],
                         self.details['Config']['Env'])

    def test_bad_name_of_a_variable(self):
        self.instance.metadata = {'docker_env_A-B': ''}
        error = self.assertRaises(exception.BuildAbortException, self.spawn)
        self.assertIn('docker_env_A-B', error.format_message())
        self.assertEqual([], self.steps())

    def test_init(self):
        self.instance.system_metadata['image_docker_init'] = 'true'
        self.spawn()
        self.assertIs(True, self.details['HostConfig']['Init'])

    def test_no_init(self):
        self.instance.system_metadata['image_docker_init'] = 'true'
        self.engine.details['InitCommit'] = {'ID': 'N/A'}
        error = self.assertRaises(exception.ImageUnacceptable, self.spawn)
        self.assertIn('docker_init', error.format_message())
        self.assert_nothing_left()

    def test_tmpfs(self):
        self.instance.system_metadata['image_docker_tmpfs'] = '/run:exec'
        self.spawn()
        self.assertEqual({'/run': 'exec'},
                         self.details['HostConfig']['Tmpfs'])

    @property
    def details(self):
        return self.engine.inspect_container(
            names.container_name(self.instance.uuid))

    def test_what_is_asked_of_the_engine(self):
        self.spawn()
        details = self.details
        self.assertEqual(
            names.labels(uuids.instance, self.instance.name, 'host1', 'p'),
            details['Config']['Labels'])
        self.assertEqual('web', details['Config']['Hostname'])
        host_config = details['HostConfig']
        self.assertEqual(64 << 20, host_config['Memory'])
        self.assertEqual(['web:192.0.2.5'], host_config['ExtraHosts'])
        self.assertEqual('10m', host_config['LogConfig']['Config'][
            'max-size'])
        with open(os.path.join(self.compute.cdi_dir,
                               names.cdi_file(uuids.instance))) as file:
            device = json.load(file)['devices'][0]
        self.assertEqual(self._devices(host_config),
                         [f'{names.CDI_KIND}={device["name"]}'])

    @staticmethod
    def _devices(host_config):
        return [device for request in host_config['DeviceRequests']
                for device in request['DeviceIDs']]

    def test_system_container(self):
        self.instance.system_metadata['image_docker_system_container'] = 'yes'
        self.spawn()
        details = self.engine.inspect_container(
            names.container_name(self.instance.uuid))
        self.assertIn('container=docker', details['Config']['Env'])
        with open(os.path.join(self.compute.cdi_dir,
                               names.cdi_file(uuids.instance))) as file:
            devices = json.load(file)['devices']
        self.assertEqual(
            self._devices(details['HostConfig']),
            [f'{names.CDI_KIND}={device["name"]}' for device in devices])

    def test_a_host_without_system_containers(self):
        self.flags(system_containers=False, group='docker')
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.instance.system_metadata['image_docker_system_container'] = 'yes'
        self.assertRaises(exception.ComputeResourcesUnavailable, self.spawn)
        self.assert_nothing_left()
        del self.instance.system_metadata['image_docker_system_container']
        self.spawn()

    def test_no_system_container_perhaps(self):
        self.instance.system_metadata['image_docker_system_container'] = 'ja'
        error = self.assertRaises(exception.ImageUnacceptable, self.spawn)
        self.assertIn("docker_system_container='ja' is not a boolean",
                      error.format_message())
        self.assert_nothing_left()
