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
import subprocess
import sys

from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import program


class ProgramTest(base.BaseTestCase):

    def test_run(self):
        self.assertEqual('said\n', program.run('echo', 'said'))
        self.assertEqual(b'\xff', os.fsencode(
            program.run('cat', given=b'\xff')))

    def test_fails(self):
        command = ('sh', '-c', 'echo said; echo wrong >&2; exit 3')
        error = self.assertRaises(processutils.ProcessExecutionError,
                                  program.run, *command)
        self.assertEqual((3, 'said\n', 'wrong\n'),
                         (error.exit_code, error.stdout, error.stderr))
        self.assertIn('wrong', str(error))
        self.assertEqual('said\n', program.run(
            *command, check_exit_code=[0, 3]))
        self.assertRaises(FileNotFoundError, program.run, '/absent')

    def test_takes_too_long(self):
        # As in root's daemon, which has no eventlet: with it there are two
        # subprocess.TimeoutExpired.
        ran = subprocess.run(
            [sys.executable, '-c',
             'from nova_docker.privsep import program\n'
             'program.run("sleep", "1000", timeout=0.1)'],
            env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn('sleep took too long', ran.stderr.splitlines()[-1])
