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

"""Without a device; on one: tests/integration/volume/test_filesystem.py."""

import errno
import os
import subprocess

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import filesystem
from tests.fixtures import privsep


class FilesystemTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.device = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'volume')
        with open(self.device, 'wb') as file:
            file.truncate(1 << 20)
        self.program = self.useFixture(fixtures.MockPatchObject(
            subprocess, 'run', autospec=True)).mock

    def ends(self, code, said=b''):
        """How the programs do that are run from now on."""
        self.program.return_value = subprocess.CompletedProcess(
            (), code, said, b'')

    def test_probe(self):
        self.ends(0, b'TYPE=ext4\nLABEL=a=b\n')
        self.assertEqual({'TYPE': 'ext4', 'LABEL': 'a=b'},
                         filesystem.probe(self.device))
        for code, expected in ((2, {}), (8, ValueError),
                               (4, processutils.ProcessExecutionError)):
            self.ends(code)
            if expected == {}:
                self.assertEqual({}, filesystem.probe(self.device))
            else:
                self.assertRaises(expected, filesystem.probe, self.device)

    def test_probe_of_none(self):
        self.assertRaises(FileNotFoundError, filesystem.probe,
                          f'{self.device}x')
        self.program.assert_not_called()

    def test_takes_too_long(self):
        self.program.side_effect = subprocess.TimeoutExpired('blkid', 1)
        self.assertRaises(TimeoutError, filesystem.probe, self.device)
        self.assertGreater(self.program.call_args.kwargs['timeout'], 0)

    def test_error_of_the_mounter(self):
        self.ends(16)
        error = self.assertRaises(OSError, filesystem.attach, 1, 'id', '/a',
                                  '/b')
        self.assertEqual(16, error.errno)

    def test_grow(self):
        self.ends(0)
        filesystem.grow('/dev/x', '/place', 'ext4')
        filesystem.grow('/dev/x', '/place', 'xfs')
        self.assertEqual([('resize2fs', '/dev/x'), ('xfs_growfs', '/place')],
                         [call.args[0] for call in
                          self.program.call_args_list])

    def test_freeze_all_or_none(self):
        done = []

        def freeze(path):
            if path == '/c':
                raise OSError(errno.EIO, 'no')
            done.append(('freeze', path))

        for name, effect in (('freeze', freeze), (
                'thaw', lambda path: done.append(('thaw', path)))):
            self.useFixture(fixtures.MockPatchObject(
                filesystem.mounts, name, autospec=True, side_effect=effect))
        filesystem.freeze(['/a', '/b'])
        self.assertEqual([('freeze', '/a'), ('freeze', '/b')], done)
        done.clear()
        self.assertRaises(OSError, filesystem.freeze, ['/a', '/b', '/c'])
        self.assertEqual([('freeze', '/a'), ('freeze', '/b'), ('thaw', '/b'),
                          ('thaw', '/a')], done)

    def test_shut_down(self):
        for name, options in (('of', {'return_value': ['/a', '/b', '/c']}),
                              ('shut_down', {})):
            self.useFixture(fixtures.MockPatchObject(
                filesystem.mounts, name, autospec=True, **options))
        filesystem.shut_down('/dev/x', ['/d', '/a', '/c'])
        filesystem.mounts.of.assert_called_once_with(['/dev/x'])
        self.assertEqual([('/a', '/dev/x'), ('/c', '/dev/x')], [
            call.args for call in
            filesystem.mounts.shut_down.call_args_list])

    def test_thaw_what_is_gone(self):
        filesystem.thaw(['/absent'])
