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

from oslotest import base

from nova_docker.spec import bandwidth
from nova_docker.spec import dhcp

ALLOWED = {'docker:net_admin': 'true'}


class DhcpTest(base.BaseTestCase):

    def test_wanted(self):
        self.assertFalse(dhcp.wanted({}))
        self.assertFalse(dhcp.wanted({'dhcp': 'no'}))
        self.assertTrue(dhcp.wanted({'dhcp': 'true'}))

    def test_malformed(self):
        error = self.assertRaises(ValueError, dhcp.wanted, {'dhcp': '4'})
        self.assertIn('docker_dhcp', str(error))

    def test_flavor(self):
        dhcp.check(ALLOWED, bandwidth.Limits())
        for extra_specs in ({}, {'docker:net_admin': 'false'}):
            error = self.assertRaises(ValueError, dhcp.check, extra_specs,
                                      bandwidth.Limits())
            self.assertIn('docker:net_admin', str(error))

    def test_limits_that_could_be_lifted(self):
        for direction in ('inbound', 'outbound'):
            limits = bandwidth.of_flavor(
                {f'quota:vif_{direction}_average': '9'})
            error = self.assertRaises(
                ValueError, dhcp.check, ALLOWED, limits)
            self.assertIn('quota:vif_', str(error))
