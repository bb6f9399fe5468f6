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

"""Without root; tests/integration/volume has the rest."""

import errno
import os
from unittest import mock

import fixtures
from oslotest import base
import tenacity

from nova_docker.privsep import mounts

#: /proc/self/mountinfo
MOUNTINFO = rb'''
30 1 7:3 / /a rw shared:5 - ext4 /dev/loop3 rw,discard
31 1 7:4 / /elsewhere rw - ext4 /dev/loop4 rw
32 1 7:3 / /with\040space rw - ext4 /dev/mapper/other rw,discard
33 1 7:6 / '''.lstrip() + b'/\xff\xc2\xa0 rw - ext4 /dev/loop6 rw\n'


class MountsTest(base.BaseTestCase):

    def patch(self, name, **kwargs):
        return self.useFixture(fixtures.MockPatchObject(
            mounts, name, autospec=True, **kwargs)).mock

    def test_of(self):
        self.patch('_number', side_effect={
            '/dev/odd': '7:6', '/dev/x': '7:3',
            '/dev/y': '7:4', '/dev/z': '7:5'}.get)
        with mock.patch('builtins.open', mock.mock_open(
                read_data=MOUNTINFO)):
            self.assertEqual(['/a', '/with space'], mounts.of(['/dev/x']))
            self.assertEqual([os.fsdecode(b'/\xff\xc2\xa0')],
                             mounts.of(['/dev/odd']))
            self.assertEqual(['/elsewhere'], mounts.of(['/dev/y', '/dev/z']))
            self.assertEqual([], mounts.of([]))

    def test_below(self):
        with mock.patch('builtins.open', mock.mock_open(
                read_data=MOUNTINFO)):
            self.assertEqual(['/a'], mounts.below('/a'))
            self.assertEqual(['/with space'], mounts.below('/with space'))
            self.assertEqual([], mounts.below('/else'))

    def test_unmount_in_use(self):
        self.useFixture(fixtures.MockPatchObject(
            tenacity, 'wait_fixed', return_value=tenacity.wait_none()))
        umount = self.patch('_umount', side_effect=[OSError(), OSError(),
                                                    None])
        mounts.unmount('/a')
        self.assertEqual(3, umount.call_count)
        umount.side_effect = OSError()
        self.assertRaises(OSError, mounts.unmount, '/a')

    def test_errors(self):
        error = self.assertRaises(OSError, mounts.bind, '/absent', '/absent')
        self.assertIn('/absent', str(error))
        self.assertRaises(OSError, mounts.set_read_only, '/absent', True)

    def test_shut_down(self):
        ioctl = self.useFixture(fixtures.MockPatchObject(
            mounts.fcntl, 'ioctl', autospec=True)).mock
        # Of another device: nothing is done to what is there by now.
        mounts.shut_down('/', '/dev/null')
        ioctl.assert_not_called()
        there = os.stat('/')
        self.useFixture(fixtures.MockPatchObject(
            mounts.os, 'stat', return_value=mock.Mock(
                st_rdev=there.st_dev)))
        mounts.shut_down('/', '/dev/x')
        self.assertEqual((0x8004587d, b'\2\0\0\0'),
                         ioctl.call_args.args[1:])
        ioctl.side_effect = OSError(errno.ENOTTY, 'can not')
        self.assertRaises(OSError, mounts.shut_down, '/', '/dev/x')

    def test_freeze_and_thaw(self):
        ioctl = self.useFixture(fixtures.MockPatchObject(
            mounts.fcntl, 'ioctl', autospec=True)).mock
        for function, request, done in (
                (mounts.freeze, 0xc0045877, errno.EBUSY),
                (mounts.thaw, 0xc0045878, errno.EINVAL)):
            ioctl.side_effect = None
            function('/')
            self.assertEqual(request, ioctl.call_args.args[1])
            ioctl.side_effect = OSError(done, 'it is')
            function('/')
            ioctl.side_effect = OSError(errno.EOPNOTSUPP, 'can not')
            self.assertRaises(OSError, function, '/')
            self.assertRaises(FileNotFoundError, function, '/absent')
