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

"""Without root; with it: tests/integration/volume/test_root.py."""

import subprocess
import sys

from oslotest import base

from nova_docker.privsep import copier


class CopierTest(base.BaseTestCase):

    def test_error_is_the_exit_code(self):
        done = subprocess.run(
            [sys.executable, '-I', '-S', copier.__file__, 'read',
             '/dev/absent', '/absent'], stderr=subprocess.PIPE, text=True)
        # ENOENT with root, EPERM without.
        self.assertIn(done.returncode, (1, 2))
        self.assertNotIn('Traceback', done.stderr)
