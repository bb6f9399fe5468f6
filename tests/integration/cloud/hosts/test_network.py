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

"""What Neutron promises, to servers on different hosts."""

import unittest

from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.hosts import base
from tests.integration.cloud.network import test_isolation
from tests.integration.cloud.network import test_port_security
from tests.integration.cloud.network import test_security_groups


@unittest.skipUnless(cloud_base.LONG, 'tried on one host')
class IsolationTest(base.SeveralHosts, test_isolation.IsolationTest):
    """Projects with one range of addresses that share hosts."""


class PortSecurityTest(base.SeveralHosts,
                       test_port_security.PortSecurityTest):
    """The receiver is on another host than the sender.

    Which has no part in what the sender's own lets out by other rules, nor in
    what its kernel lets a server do.
    """

    test_allowed_address_pair = test_root_has_packet_sockets = None


class SecurityGroupTest(base.SeveralHosts,
                        test_security_groups.SecurityGroupTest):
    """Who is let in, or not, is on another host."""

    if not cloud_base.LONG:
        # Tried on one host.
        test_ping_in = test_out = None
