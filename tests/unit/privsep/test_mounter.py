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

"""What needs no root; all else: integration/volume/test_filesystem.py."""

import errno
import os
import subprocess
import sys

import fixtures
from oslotest import base

from nova_docker.privsep import mounter


class MounterTest(base.BaseTestCase):

    def test_process_of_the_host(self):
        ended = subprocess.run(
            [sys.executable, '-I', '-S', mounter.__file__, 'detach',
             str(os.getpid()), 'f' * 64, '1'])
        self.assertEqual(errno.ESRCH, ended.returncode)

    def test_unmounts_what_is_of_the_device_only(self):
        self.useFixture(fixtures.MockPatchObject(
            mounter, '_enter', autospec=True, return_value=[
                b'1 0 7:17 / / rw - overlay overlay rw\n',
                b'2 1 7:1 / /a rw,nosuid - ext4 /dev/loop1 rw\n',
                b'3 1 7:11 / /b rw - ext4 /dev/loop11 rw\n',
                b'4 2 7:1 /in /a/with\\040space rw - ext4 /dev/loop1 rw\n']))
        unmounted = []
        self.useFixture(fixtures.MockPatchObject(
            mounter._libc, 'umount2',
            lambda path, flags: unmounted.append(path)))
        mounter._detach(7, 'id', os.makedev(7, 1))
        self.assertEqual([b'/a/with space', b'/a'], unmounted)
        mounter._detach(7, 'id', os.makedev(7, 2))
        self.assertEqual(2, len(unmounted))
