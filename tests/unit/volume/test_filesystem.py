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

from unittest import mock

import fixtures
from nova import exception
from nova.volume import cinder
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import filesystem as privileged
from nova_docker.volume import filesystem

DEVICE, PLACE, KINDS = '/dev/loop7', '/place', frozenset(('ext4', 'xfs'))


class FilesystemTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.content = {}
        self.root = {name: self.useFixture(fixtures.MockPatchObject(
            privileged, name, autospec=True)).mock for name in (
                'probe', 'make', 'mount', 'attach', 'detach', 'grow')}
        self.root['probe'].side_effect = lambda device: self.content

    def refused(self, reason, read_only=False):
        error = self.assertRaises(exception.InvalidVolume, filesystem.mount,
                                  DEVICE, PLACE, read_only, KINDS)
        self.assertIn(reason, str(error))
        self.root['mount'].assert_not_called()

    def test_has_one(self):
        for name, kind in (('ext2', 'ext4'), ('ext4', 'ext4'),
                           ('xfs', 'xfs')):
            self.content = {'TYPE': name, 'USAGE': 'filesystem'}
            filesystem.mount(DEVICE, PLACE, False, KINDS)
            self.root['mount'].assert_called_with(DEVICE, PLACE, kind, False)
        self.root['make'].assert_not_called()

    def test_blank(self):
        filesystem.mount(DEVICE, PLACE, False, KINDS)
        self.root['make'].assert_called_once_with(DEVICE)
        self.root['mount'].assert_called_once_with(DEVICE, PLACE, 'ext4',
                                                   False)

    def test_blank_and_read_only(self):
        self.refused('nothing on it', read_only=True)
        self.root['make'].assert_not_called()

    def test_not_on_this_host(self):
        for kinds, content, reason in (
                ((), {}, 'nothing on it'), (('xfs',), {}, 'nothing on it'),
                (('ext4',), {'TYPE': 'xfs'}, 'mounts no xfs'),
                ((), {'TYPE': 'ext3'}, 'mounts no ext4')):
            self.content = content
            error = self.assertRaises(
                exception.InvalidVolume, filesystem.mount, DEVICE, PLACE,
                False, kinds)
            self.assertIn(reason, str(error))
        self.root['make'].assert_not_called()
        self.root['mount'].assert_not_called()

    def test_metadata(self):
        get = self.useFixture(fixtures.MockPatchObject(
            cinder.API, 'get', autospec=True, return_value={})).mock
        self.assertEqual({}, filesystem.metadata(None, 'id'))
        get.return_value = {'volume_metadata': {'docker_mount_path': '/a'}}
        self.assertEqual({'docker_mount_path': '/a'},
                         filesystem.metadata(None, 'id'))

    def test_something_else(self):
        for content, reason in (
                ({'PTTYPE': 'gpt'}, 'partition table (gpt)'),
                ({'TYPE': 'crypto_LUKS', 'USAGE': 'crypto'}, 'crypto_LUKS'),
                ({'TYPE': 'btrfs', 'USAGE': 'filesystem'}, 'btrfs')):
            self.content = content
            self.refused(reason)
        self.root['make'].assert_not_called()

    def test_data_of_no_known_kind(self):
        self.root['make'].side_effect = FileExistsError('has data on it')
        self.refused('has data on it')

    def test_several_at_once(self):
        self.root['probe'].side_effect = ValueError('several')
        self.refused('several')

    def test_damaged(self):
        self.content = {'TYPE': 'ext4'}
        self.root['mount'].side_effect = processutils.ProcessExecutionError(
            stdout='UNEXPECTED\nINCONSISTENCY', stderr='', exit_code=4)
        error = self.assertRaises(exception.InvalidVolume, filesystem.mount,
                                  DEVICE, PLACE, False, KINDS)
        self.assertIn('damaged: UNEXPECTED INCONSISTENCY', str(error))

    def test_taken(self):
        self.assertTrue(filesystem.take(1, 'id', 7, 1))
        self.root['detach'].assert_called_once_with(1, 'id', 7, 1)
        self.root['detach'].side_effect = OSError(16, 'busy')
        self.assertFalse(filesystem.take(1, 'id', 7, 1))
        self.root['detach'].side_effect = ProcessLookupError(3, 'gone')
        self.assertRaises(ProcessLookupError, filesystem.take, 1, 'id',
                          7, 1)

    def test_grows(self):
        self.content = {'TYPE': 'xfs'}
        filesystem.grow(DEVICE, PLACE)
        self.root['grow'].assert_called_once_with(DEVICE, PLACE, 'xfs')
        self.assertEqual([mock.call(DEVICE)],
                         self.root['probe'].call_args_list)
