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


import pathlib
from unittest import mock

import fixtures
from oslotest import base

from evalcloud import loops
from evalcloud import lvm
from evalcloud import progress
from evalcloud import settings


class LvmTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(fixtures.MockPatchObject(
            loops, '_DEVICES', self.folder))
        self.run = self.useFixture(fixtures.MockPatchObject(
            progress, 'run', autospec=True, return_value='')).mock
        self.useFixture(fixtures.MockPatchObject(
            lvm, '_MAPPER', self.folder / 'mapper'))

    def _cloud(self, **options):
        return settings.Settings(state=self.folder, optional=('cinder:lvm',),
                                 **options)

    def test_no_device_mapper(self):
        self.assertRaisesRegex(progress.Failure, 'device mapper', lvm.check,
                               self._cloud())
        (self.folder / 'mapper').touch()
        lvm.check(self._cloud())

    def test_several_hosts(self):
        (self.folder / 'mapper').touch()
        self.assertRaisesRegex(progress.Failure, 'one compute host',
                               lvm.check, self._cloud(computes=2))

    def test_create(self):
        self.run.return_value = '/dev/loop7\n'
        lvm.create(self._cloud())
        self.assertEqual(
            mock.call('vgcreate', 'nova-docker-volumes', '/dev/loop7'),
            self.run.mock_calls[-1])

    def test_remove_takes_what_is_ours(self):
        ours = 'iqn.2010-10.org.openstack.nova-docker:volume-1'
        listed = (f'tcp: [1] 127.0.0.1:3260,1 {ours} (non-flash)\n'
                  'tcp: [2] 10.0.0.1:3260,1 iqn.other:disk (non-flash)\n')

        def run(*command):
            if command[-1] in ('session', 'get-targets'):
                return listed
            return ''
        self.run.side_effect = run
        lvm.remove(self._cloud())
        did = [' '.join(each.args) for each in self.run.mock_calls]
        self.assertNotIn('iqn.other', ' '.join(did))
        self.assertIn('iscsiadm --mode node --targetname '
                      f'{ours} --logout', did)
        self.assertTrue(any(each.endswith(f'cinder-rtstool delete {ours}')
                            for each in did))
        self.assertEqual('vgremove --force --yes nova-docker-volumes',
                         did[-1])

    def test_remove_what_was_not_made(self):
        self.run.side_effect = progress.Failure('exit 5')
        lvm.remove(self._cloud())
