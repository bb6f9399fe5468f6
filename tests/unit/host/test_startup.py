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


import os

import fixtures
from oslotest import base

from nova_docker.engine import errors
from nova_docker import exception
from nova_docker.host import startup
from nova_docker.spec import names
from tests.fixtures import busybox
from tests.fixtures import engine
from tests.unit.host import test_info

URL = 'unix:///run/fake.sock'
UUIDS = ['5f0a8c0c-0f0f-4e4b-9a54-5d8f6f9a000%d' % n for n in range(4)]


class CheckTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.files = self.useFixture(test_info.HostFiles())
        self.engine = engine.FakeEngine()
        self.engine.details |= {
            'DockerRootDir': '/', 'CDISpecDirs': ['/etc/cdi', '/run/cdi'],
            'MemoryLimit': True, 'SwapLimit': True, 'CpuCfsQuota': True,
            'PidsLimit': True}

    def check(self, cdi_spec_dir='/etc/cdi'):
        return startup.check(self.engine, URL, cdi_spec_dir,
                             self.files.proc, self.files.sys)

    def assert_refused(self, *parts, **kwargs):
        error = self.assertRaises(exception.HostUnusable, self.check,
                                  **kwargs)
        for part in parts:
            self.assertIn(part, str(error))

    def test_good_host(self):
        host = self.check()
        self.assertEqual('28.5.2', host.engine_version)
        self.assertEqual(8192, host.memory_mb)
        self.assertEqual(8, len(host.cpu.online))

    def test_engine_away(self):
        self.engine.go_down()
        self.assert_refused(URL, 'Start it')

    def test_engine_hangs(self):
        self.engine.timeout = 0.05
        with self.engine.hang('info'):
            self.assert_refused(URL, 'does not answer')

    def test_engine_goes_away_meanwhile(self):
        self.engine.fail_next('info', errors.Unavailable('broken pipe'))
        self.assert_refused('broken pipe')

    def test_engine_that_the_client_finds_too_old(self):
        self.engine.fail_next(
            'version', errors.TooOld('20.10.24', '1.41', '1.44'))
        self.assert_refused('20.10.24', '1.41', 'Install Docker Engine 25')

    def test_engine_too_old(self):
        for api in ('1.41', '1.43'):
            self.useFixture(fixtures.MockPatchObject(
                self.engine, 'version', lambda: {
                    'Version': '24.0.7', 'ApiVersion': api}))
            self.assert_refused(f'24.0.7 is too old: it speaks API {api}')

    def test_newer_engine(self):
        self.useFixture(fixtures.MockPatchObject(
            self.engine, 'version',
            lambda: {'Version': '40.0.0', 'ApiVersion': '2.0'}))
        self.check()

    def test_windows(self):
        self.engine.details['OSType'] = 'windows'
        self.assert_refused('windows')

    def test_rootless(self):
        self.engine.details['SecurityOptions'] = ['name=rootless']
        self.assert_refused('rootless')

    def test_no_cgroup_controller(self):
        self.engine.details['PidsLimit'] = False
        self.assert_refused('no cgroup controller pids.')
        del self.engine.details['MemoryLimit']
        self.assert_refused('no cgroup controller memory, pids.')

    def test_no_swap_accounting_is_no_reason(self):
        self.engine.details['SwapLimit'] = False
        self.check()

    def test_what_instances_share(self):
        for name, value in (('fs/inotify/max_user_instances', '128'),
                            ('kernel/pty/max', '1048576')):
            path = os.path.join(self.files.proc, 'sys', name)
            os.makedirs(os.path.dirname(path))
            with open(path, 'w') as file:
                file.write(value + '\n')
        logged = self.useFixture(fixtures.FakeLogger())
        self.check()
        self.assertIn('fs.inotify.max_user_instances = 1048576',
                      logged.output)
        self.assertNotIn('kernel.pty.max', logged.output)

    def test_cdi_off(self):
        for value in (None, []):
            self.engine.details['CDISpecDirs'] = value
            self.assert_refused('"features": {"cdi": true}')

    def test_cdi_directory_of_which_the_engine_does_not_know(self):
        self.assert_refused('/opt/cdi', '/etc/cdi, /run/cdi',
                            cdi_spec_dir='/opt/cdi')

    def test_cdi_directory_by_another_name(self):
        link = os.path.join(self.useFixture(fixtures.TempDir()).path, 'cdi')
        os.symlink('/etc/cdi', link)
        self.check(cdi_spec_dir=link)
        self.check(cdi_spec_dir='/etc/cdi/')

    def test_data_root_out_of_sight(self):
        self.engine.details['DockerRootDir'] = '/does/not/exist'
        self.assert_refused('/does/not/exist', 'mount this directory')


class LabelsTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.engine.load_image([busybox.archive()])

    def add(self, uuid, schema, host='host1'):
        self.engine.create_container(names.container_name(uuid), {
            'Image': 'busybox', 'HostConfig': {}, 'Labels': {
                **names.labels(uuid, 'instance-1', host, 'p'),
                names.LABEL_SCHEMA: schema}})

    def test_older_ones(self):
        for uuid, schema in zip(UUIDS, ('', '0', names.SCHEMA)):
            self.add(uuid, schema)
        startup.check_labels(self.engine, 'host1')

    def test_newer_ones(self):
        newer = str(int(names.SCHEMA) + 1)
        self.add(UUIDS[0], names.SCHEMA)
        self.add(UUIDS[1], newer)
        self.add(UUIDS[2], 'x')
        error = self.assertRaises(exception.HostUnusable,
                                  startup.check_labels, self.engine, 'host1')
        self.assertIn('2 of them', str(error))
        self.assertIn(UUIDS[1], str(error))
        self.assertNotIn(UUIDS[0], str(error))

    def test_those_of_others(self):
        self.add(UUIDS[0], '99', 'host2')
        startup.check_labels(self.engine, 'host1')


class ReconcileTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.engine = engine.FakeEngine()
        self.engine.load_image([busybox.archive()])
        self.removed = []

    def create(self, uuid, host):
        self.engine.create_container(names.container_name(uuid), {
            'Image': 'busybox', 'Cmd': ['sh'],
            'Labels': names.labels(uuid, 'instance-1', host, 'project1')})

    def kept(self, what, uuids, bad=None):
        def remove(uuid):
            if uuid == bad:
                raise OSError('busy')
            self.removed.append((what, uuid))
        return startup.Kept(what, lambda: list(uuids), remove)

    def test_of_instances_without_container(self):
        self.create(UUIDS[0], 'host1')
        startup.reconcile(self.engine, [
            self.kept('spec', UUIDS[:2]), self.kept('state', UUIDS[1:3])])
        self.assertEqual(
            {('spec', UUIDS[1]), ('state', UUIDS[1]), ('state', UUIDS[2])},
            set(self.removed))

    def test_containers_stay(self):
        self.create(UUIDS[0], 'host1')
        self.create(UUIDS[1], 'host2')
        startup.reconcile(self.engine, [self.kept('spec', [])])
        self.assertEqual(2, len(self.engine.list_containers([])))

    def test_of_another_host_on_the_same_engine(self):
        self.create(UUIDS[0], 'host2')
        startup.reconcile(self.engine, [self.kept('spec', UUIDS[:1])])
        self.assertEqual([], self.removed)

    def test_one_that_fails_does_not_stop_the_rest(self):
        startup.reconcile(self.engine, [
            self.kept('spec', UUIDS, bad=UUIDS[0]),
            self.kept('state', UUIDS[:1])])
        self.assertEqual(4, len(self.removed))
        self.assertNotIn(('spec', UUIDS[0]), self.removed)

    def test_engine_away(self):
        self.engine.go_down()
        self.assertRaises(errors.Unavailable, startup.reconcile, self.engine,
                          [self.kept('spec', UUIDS)])
        self.assertEqual([], self.removed)

    def test_twice(self):
        left = set(UUIDS)
        kept = startup.Kept('spec', lambda: list(left), left.discard)
        startup.reconcile(self.engine, [kept])
        startup.reconcile(self.engine, [kept])
        self.assertEqual(set(), left)
