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

"""The wheel beside Nova of PyPI: one more compute host, set up by hand."""

import configparser
import json
import os
import pathlib
import re
import signal
import subprocess
import uuid

import docker
import fixtures
import openstack
from testtools import content

from nova_docker.host import info
from tests.fixtures import dockerd
from tests.fixtures import processes
from tests.fixtures import wheels
from tests.integration.cloud import base

HOST = 'by-hand'


class PackageTest(base.CloudTestCase):

    def setUp(self):
        super().setUp()
        self.admin = openstack.connect(cloud='nova-docker')
        self.engine = self.useFixture(dockerd.Dockerd(live_restore=True))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        cloud = base.settings.load(base.state_dir())
        self.client = cloud.venv / 'bin' / 'openstack'
        nova = re.search(r'^nova==\S+$', cloud.constraints.read_text(), re.M)
        self.environment = self.useFixture(wheels.Environment(
            cloud.constraints, nova.group(),
            self.useFixture(wheels.Archives()).wheel))

    def openstack(self, *arguments):
        """What the administrator's client says."""
        return json.loads(wheels.run(
            'env', f'OS_CLIENT_CONFIG_FILE={base.state_dir()}/clouds.yaml',
            self.client, '--os-cloud', 'nova-docker', *arguments,
            '-f', 'json'))

    def nova_conf(self):
        """As on any compute host of this cloud, but for its driver."""
        path = self.folder / 'nova.conf'
        config = configparser.ConfigParser(interpolation=None)
        config.read(next(iter(self.hosts.values())).compute_config)
        for section in config.sections():
            if section.startswith('nova_docker') or section == 'docker':
                config.remove_section(section)
            elif config.has_option(section, 'helper_command'):
                config[section]['helper_command'] = self.helper()
        config['DEFAULT'].update(host=HOST, state_path=str(self.folder))
        config['oslo_concurrency']['lock_path'] = str(self.folder / 'lock')
        # What the installation guide says.
        config['DEFAULT']['compute_driver'] = 'docker.DockerDriver'
        for context in ('privileged', 'shares', 'moves'):
            config[f'nova_docker_{context}'] = {
                'helper_command': self.helper()}
        with path.open('w') as file:
            config.write(file)
        return path

    def helper(self):
        """What starts the helpers that run as root."""
        return (f'{self.environment.program("privsep-helper")} '
                f'--config-file {self.folder}/nova.conf '
                f'--config-file {self.folder}/nova-docker.conf')

    def sample(self):
        """The sample configuration, with where this engine is."""
        path = self.folder / 'nova-docker.conf'
        wheels.run(self.environment.program('oslo-config-generator'),
                   '--namespace', 'nova_docker', '--output-file', path)
        [cdi] = docker.APIClient(self.engine.url).info()['CDISpecDirs']
        text = path.read_text()
        for option, default, value in (
                ('url', 'unix:///var/run/docker.sock', self.engine.url),
                ('cdi_spec_dir', '/var/run/cdi', cdi)):
            line = f'#{option} = {default}\n'
            self.assertIn(line, text)
            text = text.replace(line, f'{option} = {value}\n')
        path.write_text(text)
        return path

    def check(self, *arguments):
        """What nova-docker-status finds: result and text by name."""
        done = subprocess.run(
            [self.environment.program('nova-docker-status'), *arguments,
             'upgrade', 'check', '--json'], stdin=subprocess.DEVNULL,
            env={'PATH': os.environ['PATH']}, text=True, capture_output=True)
        self.assertEqual('', done.stderr)
        found = {each['check']: (each['result'], each['details'])
                 for each in json.loads(done.stdout)['checks']}
        self.assertEqual(done.returncode, max(
            result for result, details in found.values()))
        return found

    def assert_ready(self, *arguments):
        """The host is as it should be, but for what its kernel is."""
        found = self.check(*arguments)
        for name in ('Control groups', 'Kernel settings'):
            self.assertLess(found.pop(name)[0], 2)
        self.assertEqual({0}, {result for result, _ in found.values()}, found)

    def start(self, *arguments):
        """Start nova-compute."""
        log = (self.folder / 'nova-compute.log').open('w')
        self.addCleanup(log.close)
        self.addCleanup(lambda: self.addDetail(
            'nova-compute', content.content_from_file(
                log.name, buffer_now=True)))
        process = subprocess.Popen(
            [self.environment.program('nova-compute'), *arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={'PATH': os.environ['PATH']}, start_new_session=True)
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        """As its supervisor does."""
        helpers = processes.below(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait(240)
        self.assert_becomes([], lambda: [
            pid for pid in helpers if pathlib.Path('/proc', str(pid)).exists()
        ])

    def provider(self):
        """Id of its resource provider, None where there is none."""
        return next((each['uuid'] for each in self.openstack(
            'resource', 'provider', 'list', '--name', HOST)), None)

    def traits(self, provider):
        return {each['name'] for each in self.openstack(
            'resource', 'provider', 'trait', 'list', provider)}

    def assert_inventory(self, provider):
        found = {each['resource_class']: each for each in self.openstack(
            'resource', 'provider', 'inventory', 'list', provider)}
        disk = os.statvfs(self.folder)
        self.assertEqual(
            {'VCPU': os.cpu_count(),
             'MEMORY_MB': docker.APIClient(
                 self.engine.url).info()['MemTotal'] >> 20,
             'DISK_GB': disk.f_blocks * disk.f_frsize >> 30},
            {name: each['total'] for name, each in found.items()})
        self.assertEqual(
            {'VCPU': (16, 0), 'MEMORY_MB': (1, 512), 'DISK_GB': (1, 0)},
            {name: (each['allocation_ratio'], each['reserved'])
             for name, each in found.items()})
        self.assertEqual({0}, {each['used'] for each in found.values()})

    def assert_traits(self, provider):
        found = self.traits(provider)
        engine = docker.APIClient(self.engine.url).info()
        # By the engine, and the way in which its root disks are held.
        self.assertEqual(
            {'CUSTOM_DOCKER', 'CUSTOM_DOCKER_LIVE_RESTORE',
             'CUSTOM_DOCKER_ROOT_DISK_FILESYSTEM',
             f'CUSTOM_DOCKER_CGROUP_V{engine["CgroupVersion"]}',
             *('CUSTOM_DOCKER_RUNTIME_' + re.sub(r'\W', '_', name).upper()
               for name in engine['Runtimes'])},
            {name for name in found if name.startswith('CUSTOM_')})
        self.assertIn(
            f'HW_ARCH_{info.architecture(engine["Architecture"]).upper()}',
            found)
        # By the driver and by the processors, which another host has, too.
        other = self.traits(next(
            each['uuid'] for each in self.openstack(
                'resource', 'provider', 'list')
            if each['name'] in self.hosts))
        self.assertEqual(
            {name for name in other if not name.startswith('CUSTOM_')},
            {name for name in found if not name.startswith('CUSTOM_')})

    def test_registers_and_goes(self):
        arguments = ['--config-file', self.nova_conf(),
                     '--config-file', self.sample()]
        self.assert_ready(*arguments)
        left = self.folder / 'docker' / 'instances' / str(uuid.uuid4())
        left.mkdir(parents=True)
        result, details = self.check(*arguments)['Leftovers']
        self.assertEqual(1, result)
        self.assertIn(f'network state of {left.name}', details)
        process = self.start(*arguments)

        def registered():
            self.assertIsNone(process.poll(), 'nova-compute has ended')
            found = self.provider()
            return found if found and self.openstack(
                'resource', 'provider', 'inventory', 'list', found) else None
        provider = base.wait_for('provider with inventory', registered, 300)
        self.assertFalse(left.exists())
        self.assert_ready(*arguments)
        self.assert_inventory(provider)
        self.assert_traits(provider)
        [service] = self.admin.compute.services(host=HOST)
        self.assertEqual(('nova-compute', 'up'),
                         (service.binary, service.state))
        self.end(process)
        self.admin.compute.delete_service(service)
        self.assertIsNone(self.provider())
        self.assertEqual([], list(self.admin.compute.services(host=HOST)))
        self.assertNotIn(HOST, {
            each.name for each in self.admin.compute.hypervisors()})
