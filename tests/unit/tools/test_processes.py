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

import pathlib
import subprocess
import sys

import fixtures
from oslotest import base

from evalcloud import processes


class ProcessTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def _start(self, code):
        child = subprocess.Popen(
            [sys.executable, '-c', code, f'{self.folder}/file'],
            stdout=subprocess.PIPE)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        # It is as it will be once it prints.
        child.stdout.readline()
        return child.pid

    def test_of_folder(self):
        pid = self._start('print(flush=True); import time; time.sleep(60)')
        self.assertEqual([pid], processes.of_folder(self.folder))
        self.assertEqual([], processes.of_folder(self.folder / 'fil'))

    def test_marked(self):
        self.useFixture(fixtures.EnvironmentVariable(
            processes.MARK, str(self.folder)))
        child = subprocess.Popen(['sleep', '60'])
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        self.useFixture(fixtures.EnvironmentVariable(processes.MARK))
        self.assertIn(child.pid, processes.of_folder(self.folder))

    def test_end(self):
        pid = self._start('print(flush=True); import time; time.sleep(60)')
        processes.end([pid], grace=10)
        self.assertFalse(processes.alive(pid))

    def test_end_of_one_that_ignores_it(self):
        pid = self._start(
            'import signal, time; signal.signal(signal.SIGTERM, '
            'signal.SIG_IGN); print(flush=True); time.sleep(60)')
        processes.end([pid], grace=0.2)
        self.assertFalse(processes.alive(pid))

    def test_no_process(self):
        self.assertEqual('', processes.command(2 ** 30))
        self.assertFalse(processes.alive(2 ** 30))
