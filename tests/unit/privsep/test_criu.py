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
import stat

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import archive
from nova_docker.privsep import criu
from tests.fixtures import privsep


class CheckTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.path = os.path.join(
            self.useFixture(fixtures.TempDir()).path, 'criu')

    def make(self, script):
        with open(self.path, 'w') as file:
            file.write(f'#!/bin/sh\n{script}\n')
        os.chmod(self.path, 0o755)

    def check(self, script):
        self.make(script)
        criu.check(self.path)

    def test_version(self):
        self.make('echo "Version: 4.2.1"; echo "GitID: v4.2.1"')
        self.assertEqual('Version: 4.2.1 GitID: v4.2.1',
                         criu.version(self.path))

    def test_works(self):
        self.check('test "$*" = check')

    def test_does_not(self):
        error = self.assertRaises(processutils.ProcessExecutionError,
                                  self.check, 'echo no vdso >&2; exit 1')
        self.assertIn('no vdso', error.stderr)

    def test_absent(self):
        self.assertRaises(FileNotFoundError, criu.check, self.path)


class PutTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        self.container = self.useFixture(fixtures.TempDir()).path
        self.directory = os.path.join(self.container, 'checkpoints', 'name')
        self.unpack = self.useFixture(fixtures.MockPatchObject(
            archive, 'unpack', autospec=True)).mock

    def test_put(self):
        """For nobody but root: it is the memory of a server."""
        criu.put('/archive', self.directory, 1)
        self.unpack.assert_called_once_with('/archive', self.directory, 1)
        for path in self.directory, os.path.dirname(self.directory):
            self.assertEqual(0o700, stat.S_IMODE(os.stat(path).st_mode))

    def test_once(self):
        criu.put('/archive', self.directory, 1)
        self.assertRaises(FileExistsError, criu.put, '/archive',
                          self.directory, 1)
        self.unpack.assert_called_once()

    def test_no_such_container(self):
        os.rmdir(self.container)
        self.addCleanup(os.mkdir, self.container)
        self.assertRaises(FileNotFoundError, criu.put, '/archive',
                          self.directory, 1)
