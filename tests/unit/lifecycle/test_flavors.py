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


"""What instances have of their flavors, and what hosts refuse of these."""

import os

import fixtures
from nova import exception

from nova_docker.host import lxcfs
from nova_docker.lifecycle import flavors
from nova_docker.spec import names
from tests.unit.lifecycle import base


class FlavorsTest(base.LifecycleTestCase):

    def set(self, **docker):
        self.instance.flavor.extra_specs = {
            f'docker:{name}': value for name, value in docker.items()}

    @property
    def details(self):
        return self.engine.inspect_container(
            names.container_name(self.instance.uuid))

    def host_config(self, **docker):
        self.set(**docker)
        self.spawn()
        found = self.details['HostConfig']
        self.destroy()
        return found

    def restart(self, **options):
        self.flags(group='docker', **options)
        self.driver.init_host('host1')

    def assert_refused(self, word, error=exception.ComputeResourcesUnavailable,
                       **docker):
        self.set(**docker)
        raised = self.assertRaises(error, self.spawn)
        self.assertIn(word, raised.format_message())
        self.assert_nothing_left()

    def test_of_the_container(self):
        self.set(stop_timeout='5', log_max_size_mb='3', log_max_files='4',
                 init='true', shm_size_mb='8', ulimit_nofile='7',
                 tmpfs='/run', cap_drop='ALL')
        self.spawn()
        details = self.details
        self.assertEqual(5, details['Config']['StopTimeout'])
        config = details['HostConfig']
        self.assertEqual({'max-size': '3m', 'max-file': '4'},
                         config['LogConfig']['Config'])
        self.assertIs(True, config['Init'])
        self.assertEqual({'/run': ''}, config['Tmpfs'])
        self.assertEqual(8 << 20, config['ShmSize'])
        self.assertEqual(['ALL', 'MKNOD'], config['CapDrop'])
        self.assertEqual(7, config['Ulimits'][0]['Hard'])

    def test_malformed(self):
        self.assert_refused('docker:typo', exception.BuildAbortException,
                            typo='1')
        self.assert_refused('docker:userns', exception.BuildAbortException,
                            userns='host')

    def test_contradictions_are_refused_everywhere(self):
        self.instance.flavor.extra_specs = {
            'docker:cap_add': 'NET_RAW', 'quota:vif_outbound_average': '9'}
        self.assertRaises(exception.BuildAbortException, self.spawn)
        self.instance.system_metadata['image_docker_system_container'] = 'yes'
        self.assert_refused('exclude', exception.BuildAbortException,
                            init='true')

    def test_power_over_the_host(self):
        self.assert_refused('allow_privileged', privileged='true')
        self.assert_refused('allow_privileged', cap_add='SYS_ADMIN')
        self.restart(allow_privileged=True)
        self.assertIs(True, self.host_config(privileged='true')['Privileged'])
        self.assertEqual(
            ['SYS_ADMIN'], self.host_config(cap_add='SYS_ADMIN')['CapAdd'])

    def test_an_image_gets_nothing_of_it(self):
        for name in ('privileged', 'nesting', 'cap_add', 'devices'):
            key = f'image_docker_{name}'
            self.instance.system_metadata[key] = 'true'
            error = self.assertRaises(
                exception.ImageUnacceptable, self.spawn)
            self.assertIn(f'docker_{name} is unknown', error.format_message())
            del self.instance.system_metadata[key]

    def test_lists_of_the_host(self):
        self.assert_refused('allowed_devices', devices='/dev/fuse')
        self.assert_refused('allowed_sysctls',
                            **{'sysctl_net.ipv4.conf.all.x': '1'})
        self.restart(allowed_devices=['/dev/f*'],
                     allowed_sysctls=['net.ipv4.conf.*'])
        self.assertEqual('/dev/full', self.host_config(
            devices='/dev/full')['Devices'][0]['PathOnHost'])
        self.assert_refused('no device /dev/f0', devices='/dev/f0')
        self.assertEqual(
            {'net.ipv4.conf.all.x': '1'},
            self.host_config(**{'sysctl_net.ipv4.conf.all.x': '1'})['Sysctls'])

    def test_apparmor_profiles(self):
        self.engine.details['SecurityOptions'].append('name=apparmor')
        self.assert_refused('allowed_apparmor', apparmor_profile='mine')
        self.restart(allowed_apparmor_profiles=['mine'])
        self.assertIn('apparmor=mine', self.host_config(
            apparmor_profile='mine')['SecurityOpt'])

    def test_what_the_engine_lacks(self):
        self.assert_refused('runtime runsc', runtime='runsc')
        self.assert_refused('AppArmor', apparmor_profile='docker-default')
        self.engine.details['Runtimes']['runsc'] = {}
        self.assertEqual('runsc',
                         self.host_config(runtime='runsc')['Runtime'])
        self.engine.details['InitCommit'] = {'ID': 'N/A'}
        self.assert_refused('docker-init', init='true')

    def test_seccomp_profiles(self):
        directory = self.useFixture(fixtures.TempDir()).path
        self.restart(seccomp_profiles_dir=directory)
        self.assert_refused('seccomp_profile=mine', seccomp_profile='mine')
        with open(os.path.join(directory, 'mine.json'), 'w') as file:
            file.write('{"a": 1}')
        for name, wanted in (('mine', '{"a": 1}'), ('builtin', 'builtin')):
            self.assertIn(f'seccomp={wanted}', self.host_config(
                seccomp_profile=name)['SecurityOpt'])

    def test_system_containers_have_new_privileges(self):
        self.instance.system_metadata['image_docker_system_container'] = 'yes'
        self.assertEqual(['no-new-privileges:false'],
                         self.host_config()['SecurityOpt'])
        self.assertEqual(
            ['no-new-privileges:true'],
            self.host_config(security_opt='no-new-privileges')['SecurityOpt'])

    def test_another_host_asks(self):
        self.assertEqual([], list(flavors.refusals(
            self.services, {'hw:x': 'y', 'docker:pids_limit': '99'})))
        for specs in ({'docker:typo': '1'}, {'docker:nesting': 'true'}):
            self.assertEqual(1, len(list(flavors.refusals(
                self.services, specs))))


class ReadOnlyTest(base.LifecycleTestCase):

    def setUp(self):
        super().setUp()
        self.instance.flavor.extra_specs = {'docker:read_only_rootfs': 'true'}

    def test_nothing_is_put_into_it(self):
        self.spawn(password='secret')
        self.assertIs(True, self.engine.inspect_container(
            self.container['Id'])['HostConfig']['ReadonlyRootfs'])
        self.assertEqual([], self.steps(('put_archive',)))

    def test_what_would_have_to_be(self):
        error = self.assertRaises(
            exception.BuildAbortException, self.spawn,
            injected_files=[('/a', b'')])
        self.assertIn('docker:read_only_rootfs', error.format_message())
        self.instance.key_data = 'ssh-ed25519 AAAA'
        self.assertRaises(exception.BuildAbortException, self.spawn)
        self.assert_nothing_left()


class LxcfsTest(base.LifecycleTestCase):

    def test_as_the_host_has_it_at_a_start(self):
        mount = {'hostPath': '/fs/proc/stat', 'containerPath': '/proc/stat'}
        mounts = self.compute._patch(lxcfs, 'mounts', return_value=[])
        self.spawned((self.power_off,))
        self.assertNotIn('/fs/proc/stat', self.specification())
        mounts.return_value = [mount]
        self.power_on()
        mounts.assert_called_with(self.services.options.lxcfs_dir)
        self.assertIn('/fs/proc/stat', self.specification())

    def specification(self):
        with open(os.path.join(self.compute.cdi_dir, names.cdi_file(
                self.instance.uuid))) as file:
            return file.read()


class StopTimeoutTest(base.LifecycleTestCase):

    def stopped_with(self, timeout):
        self.spawned()
        self.driver.power_off(self.instance, timeout)
        (_id, found), = (arguments for name, arguments in self.compute.steps
                         if name == 'stop_container')
        self.destroy()
        return found

    def test_of_the_flavor(self):
        self.assertEqual(60, self.stopped_with(60))
        self.instance.flavor.extra_specs = {'docker:stop_timeout': '5'}
        self.assertEqual(5, self.stopped_with(60))
        self.assertEqual(0, self.stopped_with(0))

    def test_the_image_wins(self):
        self.instance.flavor.extra_specs = {'docker:stop_timeout': '5'}
        self.instance.system_metadata['image_os_shutdown_timeout'] = '60'
        self.assertEqual(60, self.stopped_with(60))
