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
import signal
import sys

import fixtures
from oslotest import base

from nova_docker.transfer import program

_ECHO = """
from nova_docker.transfer import parent
told = parent.Parent()
while True:
    told.tell(**told.hear(60))
"""


class ProgramTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        folder = self.useFixture(fixtures.TempDir())
        self.executable = folder.join('python')
        with open(self.executable, 'w') as file:
            file.write(f'#!/bin/sh\nexec {sys.executable} -c "{_ECHO}"\n')
        os.chmod(self.executable, 0o755)
        self.useFixture(fixtures.MockPatchObject(
            program.sys, 'executable', self.executable))

    def test_talk(self):
        with program.Program('any') as made:
            made.tell(a=1, b=2)
            made.tell(a=3)
            self.assertEqual({'a': 1, 'b': 2}, made.hear('b', 60))
            self.assertEqual({'a': 3}, made.hear('a', 60))

    def test_says_why_it_fails(self):
        with program.Program('any') as made:
            made.tell(error='no room')
            error = self.assertRaises(program.Failed, made.hear, 'a', 60)
            self.assertEqual('no room', str(error))

    def test_says_nothing(self):
        with program.Program('any') as made:
            self.assertRaises(program.Failed, made.hear, 'a', 0.01)

    def test_killed(self):
        with program.Program('any') as made:
            made.end()
            error = self.assertRaises(program.Failed, made.hear, 'a', 60)
            self.assertIn(str(-signal.SIGKILL), str(error))
            made.tell(a=1)
            self.assertRaises(program.Failed, made.hear, 'a', 60)

    def test_can_not_be_started(self):
        os.unlink(self.executable)
        self.assertRaises(OSError, program.Program, 'any')
