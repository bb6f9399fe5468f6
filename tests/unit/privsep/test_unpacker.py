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

"""What it asks of the kernel; it does so in integration/transfer."""

import os
import subprocess

import fixtures
from oslotest import base

from nova_docker.network import process
from nova_docker.privsep import unpacker
from tests.fixtures import starts


class Kernel:
    """Notes what a program asks of libc.

    :ivar error: of the next
    """

    def __init__(self):
        self.calls = []
        self.error = 0

    def unshare(self, flags):
        self.calls.append(('unshare', flags))
        return self.error

    def mount(self, source, path, kind, flags, data):
        self.calls.append(('mount', source.decode(), path.decode(), flags))
        return self.error


class UnpackerTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.kernel = Kernel()
        self.place = self.useFixture(fixtures.TempDir()).path
        self.useFixture(fixtures.MockPatchObject(
            unpacker, '_libc', self.kernel))
        self.useFixture(fixtures.MockPatchObject(
            unpacker.sys, 'argv', ['unpacker.py', self.place,
                                   str(os.getpid())]))
        for module, name in ((unpacker.os, 'chroot'), (unpacker.os, 'chdir'),
                             (unpacker, '_run')):
            self.useFixture(fixtures.MockPatchObject(
                module, name, side_effect=lambda *args, name=name:
                self.kernel.calls.append((name, *args))))

    def test_sees_programs_and_one_directory(self):
        self.assertRaises(SystemExit, unpacker.main)
        self.assertEqual(
            [('unshare', unpacker._CLONE_NEWNS),
             ('mount', 'none', '/', unpacker._MS_REC | unpacker._MS_PRIVATE)],
            self.kernel.calls[:2])
        self.assertEqual(['chroot', 'chdir', '_run'],
                         [call[0] for call in self.kernel.calls[-3:]])
        self.assertEqual(('chroot', self.place), self.kernel.calls[-3])
        read_only = (unpacker._MS_REMOUNT | unpacker._MS_BIND |
                     unpacker._SAFE | unpacker._MS_RDONLY)
        self.assertIn(('mount', 'none', f'{self.place}/usr', read_only),
                      self.kernel.calls)
        writable = [call[2] for call in self.kernel.calls
                    if call[0] == 'mount' and
                    call[3] == read_only & ~unpacker._MS_RDONLY]
        self.assertEqual([f'{self.place}/files'], writable)

    def test_kernel_refuses(self):
        self.kernel.error = -1
        self.assertRaises(SystemExit, unpacker.main)
        self.assertEqual(1, len(self.kernel.calls))

    def test_a_link_is_not_followed(self):
        os.symlink(self.place, f'{self.place}/link')
        unpacker.sys.argv[1] = f'{self.place}/link'
        self.assertRaises(SystemExit, unpacker.main)
        self.assertNotIn('_run', [call[0] for call in self.kernel.calls])


class RunTest(base.BaseTestCase):

    def run_(self, *commands):
        """Run some, with a process that wants it."""
        program = self.useFixture(fixtures.TempDir()).join('tar')
        with open(program, 'w') as script:
            script.write('\n'.join(['#!/bin/sh', *commands]))
        os.chmod(program, 0o700)
        caller = os.pidfd_open(self.caller.pid)
        self.addCleanup(os.close, caller)
        return unpacker._run(program, caller)

    def setUp(self):
        super().setUp()
        self.caller = subprocess.Popen(['sleep', '1000'])
        self.addCleanup(self.caller.wait)
        self.addCleanup(self.caller.kill)

    def test_status(self):
        for status in 0, 2:
            self.assertEqual(status, self.run_(f'exit {status}'))

    def test_ends_with_who_wants_it(self):
        self.caller.kill()
        self.assertEqual(-9, self.run_('exec sleep 1000'))

    def test_ends_with_this_process(self):
        said = self.useFixture(fixtures.TempDir()).join('said')
        pid = os.fork()
        if not pid:
            try:
                self.run_(f'echo $$ > {said}; kill -9 $PPID; exec sleep 1000')
            finally:
                # Else it would go on with the other tests.
                os._exit(1)
        os.waitpid(pid, 0)
        with open(said) as file:
            ended = int(file.read())
        starts.wait_until(lambda: process.start_time(ended) is None)
