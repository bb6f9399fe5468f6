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

"""Two hosts, the second with an engine of its own.

The ports of both would have the same interfaces of this machine: servers of
these tests have none.
"""

import os

import docker
import fixtures
from nova.virt import node

from tests.fixtures import dockerd
from tests.functional import volumes


class HostsTestCase(volumes.VolumesTestCase):
    """host1 runs, and host2 may.

    :ivar there: client of the engine of host2
    """

    size = 32 << 20

    def setUp(self):
        # The path of its socket has a limit, and Nova's tests a deep folder.
        engine = self.useFixture(dockerd.Dockerd())
        super().setUp()
        self.there = docker.APIClient(base_url=engine.url, version='auto')
        self.addCleanup(self.there.close)
        self._of_host1 = {'url': os.environ['DOCKER_HOST'],
                          'cdi_spec_dir': self.cdi_dir,
                          'state_dir': self.state_dir}
        self._node = node.LOCAL_NODE_UUID
        self._of_host2 = {'url': engine.url,
                          'cdi_spec_dir': self.there.info()['CDISpecDirs'][0],
                          'state_dir': self.useFixture(
                              fixtures.TempDir()).path}

    def start_host2(self, **options):
        """Its nova-compute, as of Nova's own tests."""
        self.flags(group='docker', **self._of_host2)
        # Nova's fixture forgets it with the test.
        node.LOCAL_NODE_UUID = None
        return self._start_compute('host2', **options)

    def restart_host1(self):
        """As after its death, with all that it has."""
        self.flags(group='docker', **self._of_host1)
        node.LOCAL_NODE_UUID = self._node
        self.compute = self.restart_compute_service(
            self.compute, keep_hypervisor_state=False)
