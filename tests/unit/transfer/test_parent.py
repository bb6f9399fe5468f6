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

import json
import os
import socket
import subprocess
import sys

from oslotest import base

_PROGRAM = """
from nova_docker.transfer import parent
told = parent.Parent()
told.tell(answer=told.hear(60))
try:
    told.hear(0.01)
except TimeoutError:
    told.tell(answer=None)
told.hear(600)
"""


class ParentTest(base.BaseTestCase):

    def test_talks_and_ends_with_it(self):
        near, far = socket.socketpair()
        with near, subprocess.Popen(
                [sys.executable, '-c', _PROGRAM], stdin=far.fileno(),
                cwd=os.getcwd()) as program:
            far.close()
            near.settimeout(60)
            near.sendall(b'{"a": 1}\n')
            lines = near.makefile('rb')
            self.assertEqual({'answer': {'a': 1}}, json.loads(
                lines.readline()))
            self.assertEqual({'answer': None}, json.loads(lines.readline()))
            self.assertIsNone(program.poll())
            near.shutdown(socket.SHUT_WR)
            self.assertEqual(1, program.wait(60))
