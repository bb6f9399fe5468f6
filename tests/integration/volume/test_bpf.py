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

"""The device program of a control group of version 2, in a real kernel."""

import os
import struct
import subprocess
import uuid

from oslotest import base

from nova_docker.privsep import bpf
from nova_docker.privsep import cgroup
from tests.fixtures import loops

#: What a runtime has, in short: all may be read and written that is no block
#: device, and nothing else.
_PROGRAM = b''.join(
    bpf._instruction(*each) for each in (
        (bpf._LOAD, 2, 1, 0), (bpf._AND, 2, 0, 0, 0xffff),
        (bpf._SET, 0, 0, 0, 1), (bpf._JUMP_UNLESS, 2, 0, 1, bpf._BLOCK),
        (bpf._SET, 0, 0, 0, 0), (bpf._EXIT,)))


class ProgramTest(base.BaseTestCase):
    """Needs no engine; hosts whose engine has version 1 mostly have it, too.
    """

    def setUp(self):
        super().setUp()
        mount = cgroup.mounts().get('')
        if mount is None:
            self.skipTest('no control groups of version 2 are mounted')
        self.group = os.path.join(mount, f'nova-docker-{uuid.uuid4()}')
        os.mkdir(self.group)
        self.addCleanup(os.rmdir, self.group)
        self.volume, self.other = (
            self.useFixture(loops.Loop()) for _ in range(2))

    def attach(self, flags):
        """Attach a program as a runtime does."""
        with (bpf._opened(os.open(self.group, os.O_RDONLY)) as group,
              bpf._opened(bpf._load(_PROGRAM)) as program):
            bpf._call(bpf._PROG_ATTACH, struct.pack(
                'IIIII', group, program, bpf._CGROUP_DEVICE, flags, 0))

    def change(self, access, loop=None):
        bpf.change(self.group, *(loop or self.volume).number, access)

    def may(self, loop, mode='<'):
        """Whether a process in the control group can open a device."""
        return not subprocess.run(
            ['sh', '-c', f'echo $$ > {self.group}/cgroup.procs && '
             f': {mode} {loop.path}'], stderr=subprocess.DEVNULL).returncode

    def programs(self):
        with bpf._opened(os.open(self.group, os.O_RDONLY)) as group:
            return bpf._attached(group)[0]

    def test_one_device(self):
        for flags in (bpf._ALLOW_MULTI, 0):
            self.attach(flags)
            self.assertFalse(self.may(self.volume))
            self.change('rwm')
            self.assertTrue(self.may(self.volume, '<>'))
            self.assertFalse(self.may(self.other))
            self.change('')
            self.assertFalse(self.may(self.volume))
            self.assertEqual(1, len(self.programs()))
            os.rmdir(self.group)
            os.mkdir(self.group)

    def test_read_only(self):
        self.attach(bpf._ALLOW_MULTI)
        self.change('r')
        self.assertTrue(self.may(self.volume))
        self.assertFalse(self.may(self.volume, '<>'))

    def test_all_programs_must_agree(self):
        for _each in range(2):
            self.attach(bpf._ALLOW_MULTI)
        self.change('rwm')
        self.assertTrue(self.may(self.volume))
        self.assertEqual(2, len(self.programs()))

    def test_many_cycles(self):
        self.attach(bpf._ALLOW_MULTI)
        self.change('rwm', self.other)
        for _cycle in range(50):
            self.change('rwm')
            self.assertTrue(self.may(self.volume))
            self.change('')
            self.assertFalse(self.may(self.volume))
        self.assertTrue(self.may(self.other))
        program, = self.programs()
        with bpf._opened(bpf._call(bpf._PROG_GET_FD_BY_ID, struct.pack(
                'II', program, 0))[0]) as descriptor:
            self.assertEqual(
                2 * len(bpf.rule(1, 1, '')) + len(_PROGRAM),
                len(bpf._code(descriptor)))

    def test_no_program(self):
        self.assertRaises(FileNotFoundError, self.change, 'rwm')
