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


"""The gate in a nova-compute that is not root, as it should not be."""

import os
import subprocess
import sys
import tempfile
import uuid

from oslotest import base

from nova_docker.engine import session
from nova_docker.engine import transport
from tests.fixtures import busybox
from tests.fixtures import dockerd
from tests.integration.network import unprivileged


class UnprivilegedTest(base.BaseTestCase):

    def test_starts(self):
        engine = session.Session(
            transport.Address(dockerd.url()))
        self.addCleanup(engine.close)
        engine.load_image([busybox.archive()])
        # Not below one of root's own, as those of fixtures are.
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        os.chown(directory.name, unprivileged.NOBODY, unprivileged.NOBODY)
        done = subprocess.run(
            [sys.executable, '-m', unprivileged.__name__,
             os.path.join(directory.name, 'docker'), str(uuid.uuid4())],
            capture_output=True, text=True, timeout=100)
        self.assertEqual(
            (0, f"{unprivileged.NOBODY} ['hook.sh', 'instances', "
             "'requests', 'system.sh'] []"),
            (done.returncode, done.stdout.rpartition('\n')[0].rpartition(
                '\n')[2]), done.stderr)
