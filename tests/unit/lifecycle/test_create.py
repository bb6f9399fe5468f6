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
import shutil

import fixtures
from nova.api.metadata import base as instance_metadata
from nova import exception
from nova.network import model
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.engine import errors
from nova_docker.network import plans
from nova_docker.spec import console
from nova_docker.spec import names
from nova_docker.spec import throttle
from tests.fixtures import archives
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
            names.labels(uuids.instance, self.instance.name, 'host1', 'p') |
            names.watchdog_label(None) |
            names.root_disk_label('unlimited') | names.dhcp_label(False) |
            names.disk_limits_label(throttle.Limits()) |
            names.cpus_label(False) | names.pages_label({}) |
            names.devices_label((), ()) |
            names.ephemerals_label('', ()) | console.label(False, ()),
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

    def test_volumes_of_the_image(self):
        """They are directories, which the image need not have."""
        layer = archives.layer(('hello', b'#!'), ('has/file', b''))
        self.glance.data = archives.docker25([layer], archives.config(
            [layer], config={'Cmd': ['/hello'], 'Volumes': {
                '/has': {}, '/lacks/one': {}}}))
        self.spawn()
        details = self.engine.inspect_container(
            names.container_name(self.instance.uuid))
        self.assertNotIn('Volumes', details['Config'])
        self.assertEqual(1, self.steps(('put_archive',)).count('put_archive'))

    def test_system_container(self):
        self.instance.system_metadata['image_docker_system_container'] = 'yes'
        self.spawn()
        details = self.engine.inspect_container(
            names.container_name(self.instance.uuid))
        self.assertIn('container=docker', details['Config']['Env'])
        with open(os.path.join(self.compute.cdi_dir,
                               names.cdi_file(uuids.instance))) as file:
            devices = json.load(file)['devices']
        known = [f'{names.CDI_KIND}={device["name"]}' for device in devices]
        self.assertEqual(self._devices(details['HostConfig']), known[:2])

    def test_an_engine_of_its_own(self):
        self.flags(allow_privileged=True, group='docker')
        self.driver.cleanup_host('host1')
        self.driver = self.compute.driver()
        self.instance.flavor.extra_specs = {'docker:nesting': 'true'}
        self.spawn()
        first, second = self._devices(self.engine.inspect_container(
            names.container_name(self.instance.uuid))['HostConfig'])
        self.assertEqual(names.nesting_device(first), second)

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


class GuestTest(base.LifecycleTestCase):
    """What is in it before its first start."""

    def get(self, path):
        return self.engine.get_file(self.container['Id'], path, 100).data

    def test_files(self):
        self.spawn(injected_files=[('/etc/motd', b'hello')])
        self.assertEqual(b'hello', self.get('/etc/motd'))
        order = self.steps(base.CHANGES | {'put_archive'})
        self.assertLess(order.index('put_archive'),
                        order.index('start_container'))

    def test_image_without_a_place_for_the_file(self):
        error = self.assertRaises(
            exception.BuildAbortException, self.spawn,
            injected_files=[('/hello/motd', b'')])
        self.assertIn('not a directory', error.format_message())
        self.assert_nothing_left()

    def test_lost_container_is_not_made_without_its_key(self):
        self.instance.key_data = 'ssh-ed25519 AAAA'
        self.spawn()
        self.engine.remove_container(self.container['Id'])
        self.engine.fail_next('get_file', errors.Unavailable('gone'))
        self.assertRaises(exception.HypervisorUnavailable, self.reboot)
        self.assertIsNone(self.container)

    def test_tags(self):
        self.compute.tagged.return_value = [objects.VirtualInterface(
            address='fa:16:3e:00:00:01', tag='dmz')]
        self.spawn()
        self.assertEqual(['dmz'],
                         self.instance.device_metadata.devices[0].tags)


class ConfigDriveTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.metadata = self.useFixture(fixtures.MockPatchObject(
            instance_metadata, 'InstanceMetadata', autospec=True)).mock
        self.metadata.return_value.metadata_for_config_drive.return_value = [
            ('openstack/latest/meta_data.json', b'{}')]
        self.instance.config_drive = 'True'
        self.directory = plans.config_drive_path(
            self.compute.state_dir, uuids.instance)

    def assert_mounted(self):
        with open(os.path.join(self.compute.cdi_dir,
                               names.cdi_file(uuids.instance))) as file:
            device = json.load(file)['devices'][0]
        mount, = device['containerEdits']['mounts']
        self.assertEqual(self.directory, mount['hostPath'])
        self.assertEqual(['openstack'], os.listdir(self.directory))

    def test_life(self):
        self.spawn(injected_files=[('/a', b'')], password='secret')
        self.assert_mounted()
        options = self.metadata.call_args.kwargs
        self.assertEqual({'admin_pass': 'secret'}, options['extra_md'])
        self.assertEqual([('/a', b'')], options['content'])
        for verb in (self.power_off, self.power_on, self.reboot):
            verb()
            self.assert_mounted()
        self.assertEqual(1, self.metadata.call_count)
        self.destroy()
        self.assert_nothing_left()

    def test_lost_one_is_made_again(self):
        self.spawn()
        self.power_off()
        shutil.rmtree(self.directory)
        self.power_on()
        self.assert_mounted()
        self.assertEqual(2, self.metadata.call_count)

    def test_without_power(self):
        self.spawn(power_on=False)
        self.assertEqual(['openstack'], os.listdir(self.directory))
        self.power_on()
        self.assert_mounted()

    def test_failed_spawn(self):
        self.engine.fail_next(
            'create_container', errors.ServerError('disk full', 500))
        self.assertRaises(exception.InternalError, self.spawn)
        self.assert_nothing_left()

    def test_diagnostics(self):
        self.spawn()
        self.instance.info_cache.network_info = model.NetworkInfo([])
        found = self.driver.get_instance_diagnostics(self.instance)
        self.assertIs(True, found.config_drive)
