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

"""Resize to a host of another cell, by Nova's API."""

from nova.policies import base as base_policies
from nova.policies import servers as policies

from nova_docker.spec import names
from tests.functional import hosts


class CellsTest(hosts.HostsTestCase):

    NUMBER_OF_CELLS = 2

    def setUp(self):
        super().setUp()
        self.policy.set_rules({
            policies.CROSS_CELL_RESIZE: base_policies.RULE_ADMIN_API},
            overwrite=False)
        self.api = self.admin_api
        self.api.microversion = 'latest'
        self.here = self.by_hand
        self.large = self.admin_api.post_flavor(
            {'flavor': {'name': 'large', 'id': '1002', 'vcpus': 1,
                        'ram': 128, 'disk': 1}})['id']
        self.start_host2(cell_name='cell2')
        self.server = self.boot(networks='none', host='host1')
        self.succeeds(self.server, 'echo kept > /kept')
        self.old = self.container(self.server)['Id']
        self.act(self.server, {'resize': {'flavorRef': self.large}},
                 'VERIFY_RESIZE')
        self.by_hand = self.there
        self.succeeds(self.server, 'grep kept /kept')

    def test_confirmed(self):
        left = self.here.inspect_container(self.old)
        self.assertFalse(left['State']['Running'])
        self.api.post_server_action(self.server['id'],
                                    {'confirmResize': None})
        self._wait_for_state_change(self.server, 'ACTIVE')
        self.assert_nothing_left()
        self.succeeds(self.server, 'grep kept /kept')

    def test_reverted(self):
        self.succeeds(self.server, 'echo changed > /kept')
        self.act(self.server, {'revertResize': None}, 'ACTIVE')
        self.assertEqual([], self.there.containers(
            all=True, filters={'name': names.container_name(
                self.server['id'])}))
        self.by_hand = self.here
        self.assertEqual(self.old, self.container(self.server)['Id'])
        self.assertEqual('kept\n',
                         self.succeeds(self.server, 'cat /kept'))
        self.delete(self.server)
