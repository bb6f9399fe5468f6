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

"""What the tests of several hosts share."""

import fixtures

from evalcloud import settings
from tests.integration.cloud import base


class SeveralHosts(base.CloudTestCase):
    """A test whose servers are on different hosts."""

    policy = 'anti-affinity'

    def setUp(self):
        if settings.load(base.state_dir()).computes < 2:
            self.skipTest('the cloud has one compute host')
        super().setUp()


class HostsTestCase(SeveralHosts):
    """A test by the administrator, who may choose a server's host."""

    policy = None

    def setUp(self):
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLOUD', 'nova-docker'))
        super().setUp()

    def one_on_each(self, networks=None, **options):
        """A server on each of the first two hosts, all ACTIVE.

        :param networks: the "networks" entry of each, "private" without
        """
        names = list(self.hosts)[:2]
        private = {'uuid': self.network.find_network('private').id}
        servers = [
            self.build(f'on-{name}', availability_zone=f'nova:{name}',
                       networks=[network], **options)
            for name, network in zip(names, networks or [private] * 2,
                                     strict=True)]
        servers = [self.wait_status(server, 'ACTIVE') for server in servers]
        self.assertEqual(names, [server.hypervisor_hostname
                                 for server in servers])
        return servers
