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

from oslotest import base

from nova_docker.network import process
from tests.fixtures import starts


class StartTimeTest(base.BaseTestCase):

    def test_alive_zombie_gone(self):
        # A name that would break a naive reader of /proc.
        child = subprocess.Popen(
            ['sh', '-c', 'printf ") S 1 2" > /proc/$$/comm; read x'],
            stdin=subprocess.PIPE)
        self.addCleanup(child.wait)
        started = process.start_time(child.pid)
        self.assertGreaterEqual(started, process.start_time(os.getpid()))
        starts.wait_until(lambda: b') S 1' in self._comm(child.pid))
        self.assertEqual(started, process.start_time(child.pid))
        child.stdin.close()
        starts.wait_until(lambda: process.start_time(child.pid) is None)
        self.assertTrue(os.path.exists(f'/proc/{child.pid}'))
        child.wait()
        self.assertIsNone(process.start_time(child.pid))

    @staticmethod
    def _comm(pid):
        with open(f'/proc/{pid}/comm', 'rb') as file:
            return file.read()
