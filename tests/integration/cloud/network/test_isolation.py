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

import fixtures
import openstack

from tests.integration.cloud import base


class IsolationTest(base.CloudTestCase):
    """Two projects whose networks have the same range of addresses.

    By the administrator, who sees the servers of both.
    """

    policy = 'affinity'

    def setUp(self):
        self.useFixture(fixtures.EnvironmentVariable(
            'OS_CLOUD', 'nova-docker'))
        super().setUp()
        self.demo = openstack.connect(cloud='nova-docker-demo')
        self.addCleanup(self.demo.close)

    def _build(self, name, cloud, network, address):
        return self.build(name, cloud=cloud, networks=[
            {'uuid': network.id, 'fixed_ip': address}])

    def test_same_range(self):
        one, two = '10.43.0.10', '10.43.0.20'
        ours, theirs = [self.network_of_its_own('10.43.0.0/24', cloud)[0]
                        for cloud in (self.demo, self.cloud)]
        servers = [self._build('our-one', self.demo, ours, one),
                   self._build('our-two', self.demo, ours, two),
                   self._build('their-two', self.cloud, theirs, two)]
        our_one, our_two, their_two = [
            self.wait_status(server, 'ACTIVE') for server in servers]
        self.assertNotEqual(our_two.project_id, their_two.project_id)
        self.assert_fetches(our_one, f'http://{two}/', 'our-two\n')
        self.assertFalse(self.pings(their_two, one))
        for server in (our_two, their_two):
            self.assertEqual(server.id, self.metadata(server)['uuid'])
        self.delete(our_two)
        self.assertFalse(self.pings(our_one, two))
