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

import re
import time
import uuid

import openstack

from evalcloud import settings
from tests.integration.cloud import base

#: Kilobits per second, and those of a burst, of which TCP needs a few frames.
_LIMIT = 4000
_BURST = 800
#: Kilobits that take seconds at the limit, and those that show that there is
#: none.
_SOME = 8000
_MANY = 48000
_DIRECTIONS = ('ingress', 'egress')


class QoSTest(base.CloudTestCase):
    """What a server receives and sends, by HTTP from and to another one.

    The agent of ML2/OVS meters what a port receives from other hosts only: of
    the rest there is the meter to see.
    """

    def setUp(self):
        super().setUp()
        self.is_ovs = settings.load(base.state_dir()).network == 'ovs'
        self.admin = openstack.connect(cloud='nova-docker')
        self.addCleanup(self.admin.close)
        self.net, _subnet = self.network_of_its_own('10.46.0.0/24')
        self.qos_policy = self.admin.network.create_qos_policy(
            name=f'policy-{uuid.uuid4().hex}', is_shared=True)
        self.addCleanup(self.admin.network.delete_qos_policy, self.qos_policy)
        self.rules = [self._add_rule(direction) for direction in _DIRECTIONS]

    def _add_rule(self, direction):
        return self.admin.network.create_qos_bandwidth_limit_rule(
            self.qos_policy, direction=direction, max_kbps=_LIMIT,
            max_burst_kbps=_BURST)

    def _set_limit(self, kbps):
        for rule in self.rules:
            self.admin.network.update_qos_bandwidth_limit_rule(
                rule, self.qos_policy, max_kbps=kbps)

    def _boot(self, **options):
        """The server that is limited, and one that is not."""
        group = self.security_group()
        self.allow(group)
        options = {'security_groups': [{'name': group.name}],
                   'networks': [{'uuid': self.net.id}], **options}
        server = self.build('server', **options)
        peer = self.build('peer', **{**options, 'flavor': 'm1.nano'})
        self.server = self.wait_status(server, 'ACTIVE')
        self.peer = self.wait_status(peer, 'ACTIVE')
        [self.port] = self.network.ports(device_id=server.id)
        for each in (self.server, self.peer):
            for size in (_SOME, _MANY):
                self.assertEqual(0, self.execute(
                    each, 'dd', 'if=/dev/zero', f'of=/tmp/www/{size}',
                    'bs=125', f'count={size}')[0])

    def _rate(self, direction, size):
        """Kilobits per second that the server receives or sends."""
        source, target = (
            (self.peer, self.server) if direction == 'ingress' else
            (self.server, self.peer))
        url = f'http://{self.addresses(source)[0]}/{size}'
        started = time.monotonic()
        self.assertEqual((0, ''), self.execute(
            target, 'timeout', '120', 'wget', '-qO', '/dev/null', url))
        return size / (time.monotonic() - started)

    def _is_limit(self, direction, limit):
        """Whether a limit holds.

        What TCP makes of a limit that drops packets may be much less.
        """
        return limit / 10 < self._rate(direction, _SOME) < limit * 1.3

    def _ofctl(self, what):
        return self.host_of(self.server).run(
            'ovs-ofctl', '-O', 'OpenFlow13', what, 'br-int')

    def _metered(self):
        """Kilobits per second of the meter of what the port receives."""
        meter = re.search(
            f'dl_dst={self.port.mac_address} actions=meter:([0-9]+)',
            self._ofctl('dump-flows'))
        return meter and int(re.search(
            f'meter={meter[1]} [^=]*=\\s*type=drop rate=([0-9]+)',
            self._ofctl('dump-meters'))[1])

    def _wait_limit(self, limit=_LIMIT):
        """Wait until the limit of a policy holds in both directions."""
        base.wait_for(f'to send {limit} kbit/s', lambda: (
            self._is_limit('egress', limit)), 120)
        base.wait_for(f'to receive {limit} kbit/s', lambda: (
            self._metered() == limit if self.is_ovs
            else self._is_limit('ingress', limit)), 120)

    def _wait_limit_of_flavor(self):
        for direction in _DIRECTIONS:
            base.wait_for(f'{direction} of the flavor', lambda: (
                self._is_limit(direction, _LIMIT)), 120)

    def _wait_unlimited(self):
        for direction in _DIRECTIONS:
            base.wait_for(f'no limit of {direction}', lambda: (
                self._rate(direction, _MANY) > 3 * _LIMIT), 120)
        if self.is_ovs:
            base.wait_for('no meter', lambda: not self._metered())

    def _set_policy(self, policy):
        self.admin.network.update_port(
            self.port, qos_policy_id=policy and policy.id)

    def test_port(self):
        """Limits that come, change and go while the server runs."""
        self._boot()
        self._wait_unlimited()
        self._set_policy(self.qos_policy)
        self._wait_limit()
        self._set_limit(_LIMIT // 2)
        self._wait_limit(_LIMIT // 2)
        for rule in self.rules:
            self.admin.network.delete_qos_bandwidth_limit_rule(
                rule, self.qos_policy)
        self._wait_unlimited()
        self.rules = [self._add_rule(direction) for direction in _DIRECTIONS]
        self._wait_limit()
        self._set_policy(None)
        self._wait_unlimited()

    @base.long_only
    def test_network(self):
        """Limits of each port in a network, which outlive a stop."""
        self.admin.network.update_network(
            self.net, qos_policy_id=self.qos_policy.id)
        self._boot()
        self._wait_limit()
        self.compute.stop_server(self.server)
        self.wait_status(self.server, 'SHUTOFF')
        self.compute.start_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self._wait_limit()
        self.admin.network.update_network(self.net, qos_policy_id=None)
        self._wait_unlimited()

    @base.long_only
    def test_limits_of_the_flavor_too(self):
        """The lower one counts."""
        flavor = self.admin.compute.create_flavor(
            name=f'flavor-{uuid.uuid4().hex}', ram=64, vcpus=1, disk=1)
        self.addCleanup(self.admin.compute.delete_flavor, flavor)
        self.admin.compute.create_flavor_extra_specs(flavor, {
            # Kilobytes.
            'quota:vif_inbound_average': str(_LIMIT // 8),
            'quota:vif_outbound_average': str(_LIMIT // 8)})
        self._boot(flavor=flavor.name)
        self._wait_limit_of_flavor()
        self._set_limit(_LIMIT * 4)
        self._set_policy(self.qos_policy)
        self._wait_limit_of_flavor()
        self._set_limit(_LIMIT // 2)
        self._wait_limit(_LIMIT // 2)
        self._set_policy(None)
        self._wait_limit_of_flavor()

    def _build_guaranteed(self, kbps):
        """A server whose port has a guaranteed part of what it sends."""
        policy = self.admin.network.create_qos_policy(
            name=f'policy-{uuid.uuid4().hex}', is_shared=True)
        self.addCleanup(self.admin.network.delete_qos_policy, policy)
        self.admin.network.create_qos_minimum_bandwidth_rule(
            policy, direction='egress', min_kbps=kbps)
        port = self.admin.network.create_port(
            network_id=self.net.id, project_id=self.net.project_id,
            qos_policy_id=policy.id)
        self.addCleanup(self.admin.network.delete_port, port)
        return self.build('server', networks=[{'port': port.id}])

    def _guaranteed(self, server):
        """Kilobits per second that Placement has for a server."""
        allocations = self.admin.placement.get(
            f'/allocations/{server.id}').json()['allocations']
        return [each['resources']['NET_BW_EGR_KILOBIT_PER_SEC']
                for each in allocations.values()
                if 'NET_BW_EGR_KILOBIT_PER_SEC' in each['resources']]

    def test_guaranteed(self):
        if not self.is_ovs:
            self.skipTest('with OVN, nothing of this cloud tells Placement '
                          'how much there is')
        server = self.wait_status(self._build_guaranteed(1000), 'ACTIVE')
        self.assertEqual([1000], self._guaranteed(server))

    def test_guaranteed_more_than_there_is(self):
        server = self.wait_status(
            self._build_guaranteed(2_000_000), 'ERROR')
        self.assertIn('No valid host', self.compute.get_server(
            server.id).fault['message'])
