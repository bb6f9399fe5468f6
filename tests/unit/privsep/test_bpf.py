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

"""Device programs, run by a machine of a few instructions."""

import errno
import os
import struct
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.privsep import bpf

#: As a runtime's that allows nothing, and one that allows all.
NOTHING = (bpf._instruction(bpf._SET, 0, value=0) +
           bpf._instruction(bpf._EXIT))
ALL = bpf._instruction(bpf._SET, 0, value=1) + bpf._instruction(bpf._EXIT)

BLOCK, CHARACTER = 1, 2
MKNOD, READ, WRITE = 1, 2, 4


def run(code, kind, access, major, minor):
    """What a program says of a request."""
    context = {0: access << 16 | kind, 4: major, 8: minor}
    registers, at = {1: 'context'}, 0
    while True:
        operation, register, offset, value = struct.unpack_from(
            '=BBhi', code, at * 8)
        target, source, at = register & 15, register >> 4, at + 1
        if operation == bpf._LOAD:
            registers[target] = context[offset]
        elif operation == bpf._COPY:
            registers[target] = registers[source]
        elif operation == bpf._SET:
            registers[target] = value
        elif operation == bpf._AND:
            registers[target] &= value
        elif operation == bpf._SHIFT_RIGHT:
            registers[target] >>= value
        elif operation == bpf._JUMP_UNLESS:
            at += offset if registers[target] != value else 0
        elif operation == bpf._JUMP_IF:
            at += offset if registers[target] == value else 0
        else:
            return registers[0]


class RuleTest(base.BaseTestCase):

    def test_one_device(self):
        code = bpf.extended(NOTHING, 8, 16, 'rwm')
        for access in range(1, 8):
            self.assertEqual(1, run(code, BLOCK, access, 8, 16))
        for kind, major, minor in ((CHARACTER, 8, 16), (BLOCK, 8, 17),
                                   (BLOCK, 9, 16), (BLOCK, 16, 8)):
            self.assertEqual(0, run(code, kind, READ, major, minor))

    def test_some_access(self):
        code = bpf.extended(NOTHING, 8, 16, 'r')
        self.assertEqual(1, run(code, BLOCK, READ, 8, 16))
        for access in (WRITE, READ | WRITE, MKNOD):
            self.assertEqual(0, run(code, BLOCK, access, 8, 16))

    def test_denied(self):
        """Also where the runtime's own rules allow it."""
        code = bpf.extended(ALL, 8, 16, '')
        for access in range(1, 8):
            self.assertEqual(0, run(code, BLOCK, access, 8, 16))
        self.assertEqual(1, run(code, BLOCK, READ, 8, 17))
        self.assertEqual(1, run(code, CHARACTER, READ, 8, 16))

    def test_the_last_word_counts(self):
        code = NOTHING
        for access in ('rwm', '', 'r', 'rwm', 'r'):
            code = bpf.extended(code, 8, 16, access)
            self.assertEqual(len(bpf.rule(8, 16, 'r')) + len(NOTHING),
                             len(code))
        self.assertEqual(1, run(code, BLOCK, READ, 8, 16))
        self.assertEqual(0, run(code, BLOCK, WRITE, 8, 16))

    def test_several_devices(self):
        code = NOTHING
        for minor in range(5):
            code = bpf.extended(code, 7, minor, 'rwm')
        code = bpf.extended(code, 7, 2, '')
        self.assertEqual([1, 1, 0, 1, 1, 0], [
            run(code, BLOCK, READ, 7, minor) for minor in range(6)])
        self.assertTrue(code.endswith(NOTHING))

    def test_what_looks_like_a_rule(self):
        """Of a runtime, with something in it that we do not write."""
        alike = bytearray(bpf.rule(8, 16, 'r'))
        alike[1] ^= 1
        for code in (bytes(alike) + NOTHING, bpf.rule(8, 16, 'r')[:-8]):
            self.assertEqual(bpf.rule(8, 16, '') + code,
                             bpf.extended(code, 8, 16, ''))


class ChangeTest(base.BaseTestCase):
    """The order of the calls; a real kernel is in tests/integration."""

    def setUp(self):
        super().setUp()
        self.group = self.useFixture(fixtures.TempDir()).path
        self.call = self._patch('_call')
        self.call.side_effect = lambda *_: (os.open('/dev/null', 0), b'')
        self.load = self._patch('_load')
        self.load.side_effect = lambda code: os.open('/dev/null', 0)
        self._patch('_code').return_value = NOTHING
        self.attached = self._patch('_attached')
        self.replace = self._patch('_replace')

    def _patch(self, name):
        return self.useFixture(fixtures.MockPatchObject(
            bpf, name, autospec=True)).mock

    def test_each_program_is_replaced(self):
        self.attached.return_value = [31, 32], bpf._ALLOW_MULTI
        before = len(os.listdir('/proc/self/fd'))
        bpf.change(self.group, 8, 16, 'rwm')
        self.assertEqual(
            [mock.call(bpf.rule(8, 16, 'rwm') + NOTHING)] * 2,
            self.load.call_args_list)
        self.assertEqual(2, self.replace.call_count)
        self.assertLessEqual(len(os.listdir('/proc/self/fd')), before)

    def test_no_program(self):
        self.attached.return_value = [], 0
        error = self.assertRaises(FileNotFoundError, bpf.change, self.group,
                                  8, 16, 'rwm')
        self.assertIn(self.group, str(error))

    def test_refused(self):
        self.attached.return_value = [31], 0
        self.load.side_effect = OSError(errno.EINVAL, 'bpf: no')
        self.assertRaises(OSError, bpf.change, self.group, 8, 16, 'rwm')
        self.replace.assert_not_called()


class ReplaceTest(base.BaseTestCase):

    def test_flags(self):
        with mock.patch.object(bpf, '_call', autospec=True) as call:
            for flags, wanted in ((bpf._ALLOW_MULTI, (6, 10)), (0, (0, 0)),
                                  (1, (1, 0))):
                bpf._replace(9, 10, 11, flags)
                command, attributes = call.call_args.args
                self.assertEqual(bpf._PROG_ATTACH, command)
                self.assertEqual((9, 11, 6, *wanted),
                                 struct.unpack('IIIII', attributes))


class CallTest(base.BaseTestCase):

    def test_fails(self):
        with mock.patch.object(bpf.platform, 'machine', autospec=True,
                               return_value='x86_64'):
            error = self.assertRaises(OSError, bpf._call, 9999, b'')
        self.assertIn('bpf', str(error))
