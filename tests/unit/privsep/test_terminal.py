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

import signal
import subprocess

from oslotest import base

from nova_docker.privsep import terminal
from tests.fixtures import privsep

#: What is in /proc/PID/cgroup of any process.
ANY = ':'


class HangUpTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        # Tests that nohup has started ignore it, and so do their children.
        self.process = subprocess.Popen(
            ('sleep', '600'), preexec_fn=lambda: signal.signal(
                signal.SIGHUP, signal.SIG_DFL))
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)

    def test_member(self):
        terminal.hang_up(self.process.pid, ANY)
        self.assertEqual(-signal.SIGHUP, self.process.wait(60))

    def test_of_something_else(self):
        self.assertRaises(ProcessLookupError, terminal.hang_up,
                          self.process.pid, 'no such container')
        self.assertIsNone(self.process.poll())

    def test_gone(self):
        self.process.kill()
        self.process.wait()
        self.assertRaises(ProcessLookupError, terminal.hang_up,
                          self.process.pid, ANY)
