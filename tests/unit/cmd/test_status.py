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

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import fixtures
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck
from oslotest import base

from nova_docker.cmd import status
from nova_docker import conf
from nova_docker.engine import errors
from nova_docker import exception
from nova_docker.network import plans
from nova_docker.spec import names
from tests.fixtures import busybox
from tests.fixtures import engine

HOST = 'host1'
UUIDS = ['5f0a8c0c-0f0f-4e4b-9a54-5d8f6f9a000%d' % n for n in range(5)]

SUCCESS = upgradecheck.Code.SUCCESS
WARNING = upgradecheck.Code.WARNING
FAILURE = upgradecheck.Code.FAILURE


class StatusTestCase(base.BaseTestCase):
    """On a host that is as it should be."""

    def setUp(self):
        super().setUp()
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.cdi = self.useFixture(fixtures.TempDir()).path
        self.engine = engine.FakeEngine(cdi_dir=self.cdi, timeout=0.1)
        self.engine.details['DockerRootDir'] = self.folder
        self.conf = cfg.ConfigOpts()
        self.conf.register_opts([
            cfg.StrOpt('compute_driver', default=status.DRIVER),
            cfg.StrOpt('host', default=HOST), cfg.StrOpt('my_ip'),
            cfg.StrOpt('state_path', default=self.folder)])
        conf.register_opts(self.conf)
        self.conf([], default_config_files=[])
        self.flags(cdi_spec_dir=self.cdi)
        self.addresses = []
        self.checks = status.Checks(self.conf, self.connect)
        self.patch(os, 'geteuid', 0)
        self.patch(status.startup, 'low_settings', '')
        self.patch(status.pages, 'danger', '')
        self.detect = self.patch(status.limit, 'detect', 'engine')
        self.disks = self.patch(status.disks, 'images', [])

    def patch(self, module, name, value):
        return self.useFixture(fixtures.MockPatchObject(
            module, name, autospec=True, return_value=value)).mock

    def flags(self, **options):
        for name, value in options.items():
            self.conf.set_override(name, value, group='docker')
            # Groups are common to all configurations of a process.
            self.addCleanup(self.conf.clear_override, name, group='docker')

    def connect(self, address):
        self.addresses.append(address)
        return self.engine

    def run_checks(self):
        """All results, by name."""
        return {name: check(self.checks)
                for name, check in status.Checks._upgrade_checks}

    def assert_result(self, code, name, *words):
        found = self.run_checks()[name]
        self.assertEqual(code, found.code, found.details)
        for word in words:
            self.assertIn(word, found.details)

    def add(self, uuid, host=HOST, kept=True, **labels):
        self.engine.load_image([busybox.archive()])
        self.engine.create_container(names.container_name(uuid), {
            'Image': 'busybox', 'Labels': {
                **names.labels(uuid, 'instance-1', host, 'p'), **labels},
            'HostConfig': {}})
        if kept:
            plans.ensure(self.conf.docker.state_dir, uuid)


class GoodTest(StatusTestCase):

    def test_all(self):
        self.add(UUIDS[0])
        self.assertEqual({SUCCESS}, {
            each.code for each in self.run_checks().values()})

    def test_nobody_waits_long(self):
        for wanted, used in ((60, 20), (7, 7)):
            self.flags(request_timeout=wanted)
            self.run_checks()
            self.assertEqual(used, self.addresses[-1].timeout)

    def test_nothing_is_made(self):
        self.run_checks()
        self.assertEqual([], os.listdir(self.folder))
        # A folder of disks would be root's, and so the ones above it.
        self.detect.assert_called_once_with(self.engine, None, self.folder)

    def test_folder_of_disks_that_is_there(self):
        os.makedirs(self.conf.docker.disks_dir)
        self.run_checks()
        self.detect.assert_called_once_with(
            self.engine, None, self.conf.docker.disks_dir)


class DriverTest(StatusTestCase):

    def test_another_driver(self):
        self.conf.set_override('compute_driver', 'libvirt.LibvirtDriver')
        self.assert_result(FAILURE, 'Compute driver', 'libvirt.LibvirtDriver',
                           'compute_driver = docker.DockerDriver')

    def plugins(self, **modules):
        self.patch(importlib.metadata, 'entry_points', [
            importlib.metadata.EntryPoint(name, module, 'os_vif')
            for name, module in modules.items()])

    def test_no_plugin(self):
        self.plugins(nova_docker='nova_docker.loading:DockerPlugin')
        self.assert_result(FAILURE, 'os-vif plugins', 'no plugin called ovs')

    def test_broken_plugin(self):
        good = {'nova_docker': 'nova_docker.loading:DockerPlugin',
                'ovs': 'vif_plug_ovs.ovs:OvsPlugin'}
        self.plugins(**good, other='no_such_module:Plugin')
        # os-vif logs it and goes on.
        self.assert_result(WARNING, 'os-vif plugins', 'other',
                           'no_such_module')
        self.plugins(**good | {'ovs': 'no_such_module:Plugin'})
        self.assert_result(FAILURE, 'os-vif plugins',
                           'no plugin called ovs', 'no_such_module')


class EngineTest(StatusTestCase):

    def test_away(self):
        self.engine.go_down()
        found = self.run_checks()
        self.assertEqual(FAILURE, found['Docker Engine'].code)
        self.assertIn('Start it', found['Docker Engine'].details)
        self.assertEqual({SUCCESS, WARNING}, {
            each.code for name, each in found.items()
            if name != 'Docker Engine'})
        for name in ('Container Device Interface', 'Leftovers'):
            self.assertIn('the Docker Engine can not be used',
                          found[name].details)

    def test_hangs(self):
        with self.engine.hang('info'):
            self.assert_result(FAILURE, 'Docker Engine', 'does not answer')

    def test_goes_away_meanwhile(self):
        self.engine.fail_next('list_containers', errors.Timeout('too late'))
        self.assert_result(WARNING, 'Labels of containers',
                           'Not checked: too late')

    def test_too_old(self):
        self.patch(self.engine, 'version', {
            'Version': '20.10.24', 'ApiVersion': '1.41'})
        self.assert_result(FAILURE, 'Docker Engine',
                           'Install Docker Engine 25 or newer')

    def test_data_out_of_sight(self):
        self.engine.details['DockerRootDir'] = '/does/not/exist'
        self.assert_result(FAILURE, 'Docker Engine', '/does/not/exist')

    def test_cdi_off(self):
        self.engine.details['CDISpecDirs'] = []
        self.assert_result(FAILURE, 'Container Device Interface',
                           '"features": {"cdi": true}')

    def test_live_restore(self):
        self.engine.details['LiveRestoreEnabled'] = False
        self.assert_result(WARNING, 'Live restore', '"live-restore": true')


class HostTest(StatusTestCase):

    def test_no_controller(self):
        self.engine.details['PidsLimit'] = False
        self.assert_result(FAILURE, 'Control groups', 'pids')

    def test_no_account_of_swap(self):
        self.engine.details['SwapLimit'] = False
        self.assert_result(WARNING, 'Control groups', 'swap')

    def test_huge_pages_for_anybody(self):
        self.patch(status.pages, 'danger', 'any server can take them all')
        self.assert_result(WARNING, 'Control groups', 'take them all')

    def test_system_containers_with_cgroup_v1(self):
        self.engine.details['CgroupVersion'] = '1'
        self.assert_result(WARNING, 'Control groups', 'system_containers')
        self.flags(system_containers=False)
        self.assert_result(SUCCESS, 'Control groups', 'v1')

    def test_kernel(self):
        self.patch(status.startup, 'low_settings', 'Set with sysctl: a = 1')
        self.assert_result(WARNING, 'Kernel settings', 'a = 1')

    def test_root_disks_without_limit(self):
        self.flags(root_disk='unlimited')
        self.assert_result(WARNING, 'Sizes of root disks', 'fill the disk')

    def test_no_way_to_limit_root_disks(self):
        self.detect.side_effect = exception.HostUnusable(reason='no way')
        self.assert_result(FAILURE, 'Sizes of root disks', 'no way')

    def test_not_root(self):
        self.flags(suspend='checkpoint')
        self.patch(os, 'geteuid', 1000)
        for name in ('Sizes of root disks', 'Suspend', 'Leftovers'):
            self.assert_result(WARNING, name, 'as root')
        self.detect.assert_not_called()

    def test_suspend(self):
        refusal = self.patch(status.checkpoints, 'refusal', '')
        self.patch(status.checkpoints, 'version', 'Version: 4.2.1')
        self.assert_result(SUCCESS, 'Suspend', 'refuse')
        refusal.assert_not_called()
        self.flags(suspend='checkpoint')
        self.assert_result(SUCCESS, 'Suspend', '4.2.1')
        refusal.return_value = 'CRIU does not work on this host'
        self.assert_result(WARNING, 'Suspend', 'does not work on this host')


class ContainersTest(StatusTestCase):

    def test_newer_labels(self):
        self.add(UUIDS[0])
        self.add(UUIDS[1], **{names.LABEL_SCHEMA: '99'})
        self.assert_result(FAILURE, 'Labels of containers', UUIDS[1],
                           'newer nova-docker')

    def test_others(self):
        self.add(UUIDS[0])
        self.add(UUIDS[1], 'host2', **{names.LABEL_SCHEMA: '99'})
        self.assert_result(SUCCESS, 'Labels of containers',
                           '1 containers of host1', 'others are of host2')

    def test_things_of_no_container(self):
        self.add(UUIDS[0])
        for uuid in UUIDS[1:]:
            plans.ensure(self.conf.docker.state_dir, uuid)
        self.disks.return_value = [(UUIDS[0], 'a'), (UUIDS[2], 'b')]
        self.assert_result(
            WARNING, 'Leftovers',
            f'network state of {", ".join(UUIDS[1:4])} and 1 more',
            f'disks of {UUIDS[2]}.')

    def test_container_with_nothing(self):
        self.add(UUIDS[0])
        self.add(UUIDS[1], kept=False)
        self.add(UUIDS[2], 'host2', kept=False)
        self.assert_result(WARNING, 'Leftovers', f'containers of {UUIDS[1]},')


class DocumentedTest(base.BaseTestCase):

    def test_each_check(self):
        text = (pathlib.Path(__file__).parents[3] /
                'doc/source/admin/upgrades.rst').read_text()
        for name, _ in status.Checks._upgrade_checks:
            self.assertIn(f'\n   * - {name}\n', text)


class MainTest(base.BaseTestCase):
    """The program itself, on an engine that is not there."""

    def setUp(self):
        super().setUp()
        self.folder = self.useFixture(fixtures.TempDir()).path
        self.config = os.path.join(self.folder, 'nova.conf')
        with open(self.config, 'w') as file:
            file.write('[DEFAULT]\ncompute_driver = docker.DockerDriver\n'
                       f'state_path = {self.folder}\n'
                       f'log_file = {self.folder}/log\n'
                       f'[docker]\nurl = unix://{self.folder}/socket\n')

    def run_program(self, *arguments):
        return subprocess.run(
            [sys.executable, '-c', 'import sys\n'
             'from nova_docker.cmd import status\nsys.exit(status.main())',
             *arguments], capture_output=True, text=True,
            env={'PATH': os.environ['PATH'],
                 'PYTHONPATH': os.environ.get('PYTHONPATH', '')})

    def test_failure(self):
        done = self.run_program('--config-file', self.config,
                                'upgrade', 'check')
        self.assertEqual((2, ''), (done.returncode, done.stderr))
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith('+--'), lines[0])
        self.assertIn('nova-docker Upgrade Check Results', lines[1])
        self.assertTrue(lines[-1].startswith('+--'), lines[-1])
        # Neither a log nor what would be root's.
        self.assertEqual(['nova.conf'], os.listdir(self.folder))

    def test_no_such_file(self):
        done = self.run_program('--config-file', '/no/such/file',
                                'upgrade', 'check')
        self.assertEqual((255, ''), (done.returncode, done.stdout))
        self.assertIn('/no/such/file', done.stderr)

    def test_version_of_nobody(self):
        self.assertEqual('(version unknown)', status._version('no-such'))
