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

"""Live migration: what is refused, at once and without harm."""

import fixtures
from nova import exception
from nova import objects
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.host import info
from nova_docker.host import lxcfs
from nova_docker.lifecycle import records
from nova_docker.lifecycle import shares
from nova_docker.network import sriov
from nova_docker.spec import shares as shares_spec
from nova_docker.spec import volumes
from tests.fixtures import compute
from tests.unit.lifecycle import test_cold
from tests.unit.lifecycle import test_live_migration


class RefusalTest(test_live_migration.LiveTestCase):

    def assert_refused(self, words, **how):
        error = self.assertRaises(exception.MigrationPreCheckError,
                                  self.check, **how)
        self.assertIn(words, error.format_message())
        self.assert_runs_at('host1')

    def change(self, host, **details):
        self.engines[host].details.update(details)
        self.at(host)
        self.restart()

    def test_block_migration(self):
        self.assert_refused('block migration', block_migration=False)
        for kind in None, True:
            self.assertFalse(self.check(kind).block_migration)

    def test_files_of_lxcfs(self):
        self.compute._patch(
            lxcfs, 'mounts', side_effect=lambda _: [
                {'containerPath': '/proc/stat'}] * (self.host == 'host2'))
        self.assert_refused('lxcfs is not running on the host')

    def test_option(self):
        for host in test_cold.HOSTS:
            self.flags(group='docker', suspend='freeze')
            self.at(host)
            self.restart()
            self.assert_refused(
                f'[docker]suspend of host {host} is not "checkpoint"')
            self.flags(group='docker', suspend='checkpoint')
            self.at(host)
            self.restart()

    def test_engine_makes_no_checkpoints(self):
        for host in test_cold.HOSTS:
            self.change(host, ExperimentalBuild=False)
            error = self.assertRaises(exception.MigrationPreCheckError,
                                      self.check)
            self.assertIn('not experimental', error.format_message())
            self.change(host, ExperimentalBuild=True)
            self.assert_runs_at('host1')

    def test_hosts_that_differ(self):
        for name, value, words in (
                ('ServerVersion', '28.5.3', 'Docker Engine is 28.5.2 on'),
                ('KernelVersion', '6.18', 'kernel is 6.12.0 on the host'),
                ('RuncCommit', {'ID': 'abc'}, 'runc is None on the host'),
                ('CgroupVersion', '1', 'control group version is 2 on'),
                ('Driver', 'overlayfs', 'storage driver is overlay2 on')):
            before = dict(self.engines['host2'].details)
            self.change('host2', **{name: value})
            self.assert_refused(words)
            self.engines['host2'].details = before
        self.at('host2')
        self.restart()
        self.check()

    def test_processors(self):
        cpus = iter([info.Cpu(**{**vars(compute.CPU), 'features': features})
                     for features in (frozenset(['sse', 'avx512f']),
                                      frozenset(['sse']))])
        with fixtures.MockPatchObject(info, 'cpu', lambda: next(cpus)):
            self.assert_refused('lack avx512f')

    def test_storage_driver(self):
        for host in test_cold.HOSTS:
            self.change(host, Driver='btrfs')
        self.assert_refused('storage driver of the engine of host host2')

    def test_source_does_not_answer(self):
        self.transfers.fail_next('facts', exception.MigrationError(
            reason='does not answer'))
        self.assert_refused('does not answer')

    def test_name(self):
        self.at('host2')
        self.spawn()
        self.destroy()
        self.foreign_container(test_live_migration.OWN)
        error = self.assertRaises(exception.MigrationPreCheckError,
                                  self.check)
        self.assertIn('another container on host host2 has its name',
                      error.format_message())

    def test_flavor(self):
        self.instance.flavor.extra_specs = {'docker:cpu_shares': 'many'}
        self.assert_refused('docker:cpu_shares')

    def test_dedicated_cpus(self):
        self.instance.numa_topology = objects.InstanceNUMATopology(cells=[
            objects.InstanceNUMACell(id=0, cpuset=set(), pcpuset={0},
                                     memory=64, cpu_pinning={0: 1})])
        self.assert_refused('CPUs or NUMA nodes of this host')

    def test_devices(self):
        """Those of vendors are on no label of the container."""
        self.flags(group='docker', allowed_devices=['/dev/null'])
        for host in test_cold.HOSTS:
            self.at(host)
            self.restart()
        for name, value in (('docker:devices', '/dev/null'),
                            ('pci_passthrough:alias', 'gpu:1'),
                            ('accel:device_profile', 'fpga'),
                            ('resources_x:VGPU', '1')):
            self.instance.flavor.extra_specs = {name: value}
            self.assert_refused('it has devices of this host')

    def test_system_container(self):
        self.instance.system_metadata[
            'image_docker_system_container'] = 'true'
        self.assert_refused('system container')

    def test_volume(self):
        self.useFixture(fixtures.MockPatchObject(
            records, 'read', autospec=True, return_value=[
                volumes.Volume(uuids.volume, '/dev/vdb', {}, None)]))
        error = self.assertRaises(exception.MigrationPreCheckError,
                                  self.check)
        self.assertIn(f'it has volume {uuids.volume}',
                      error.format_message())

    def test_share(self):
        with fixtures.MockPatchObject(
                shares, 'read', autospec=True,
                return_value=[shares_spec.Share]):
            error = self.assertRaises(exception.MigrationPreCheckError,
                                      self.check)
        self.assertIn('it has a share', error.format_message())

    def test_network_card(self):
        self.useFixture(fixtures.MockPatchObject(
            sriov, 'names', autospec=True, return_value={'a': 'b'}))
        self.assert_refused('part of a network card')

    def test_does_not_run(self):
        self.at('host1')
        self.engine.pause_container(self.old)
        error = self.assertRaises(exception.MigrationPreCheckError,
                                  self.check)
        self.assertIn('it does not run', error.format_message())
        self.destroy()
        error = self.assertRaises(exception.MigrationPreCheckError,
                                  self.check)
        self.assertIn('it has no container', error.format_message())
