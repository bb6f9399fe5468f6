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
             str(os.getpid()), 'f' * 64, '1', '/data'])
        self.assertEqual(errno.ESRCH, ended.returncode)

    def test_unmounts_what_is_of_the_device_only(self):
        folder = self.useFixture(fixtures.TempDir()).path
        entered = []
        self.useFixture(fixtures.MockPatchObject(
            mounter, '_enter', lambda *process: entered.append(process)))

        def umount(path, flags):
            self.fail(f'unmounted {path}')

        self.useFixture(fixtures.MockPatchObject(
            mounter._libc, 'umount2', umount))
        mounter._detach(7, 'id', os.stat(folder).st_dev + 1, folder)
        mounter._detach(7, 'id', 1, f'{folder}/none')
        self.assertEqual([(7, 'id')] * 2, entered)
