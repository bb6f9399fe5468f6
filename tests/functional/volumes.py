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

"""What the tests of volumes share: os-brick, and a device for Cinder's."""


import fixtures
from nova.tests import fixtures as nova_fixtures
import os_brick.privileged
from oslo_utils.fixture import uuidsentinel as uuids
import psutil

from tests.fixtures import loops
from tests.fixtures import volumes
from tests.functional import base

#: Nova's tests replace it.
ADDRESSES = psutil.net_if_addrs


class VolumesTestCase(base.FunctionalTestCase):
    """A host that has a volume.

    :cvar size: bytes of it
    """

    size = 4 << 20

    def setUp(self):
        self.connections = {}
        self.useFixture(fixtures.MockPatchObject(
            nova_fixtures.CinderFixture, 'VOLUME_CONNECTION_INFO',
            self.connections))
        super().setUp()
        # os-brick asks what this host is.
        self.useFixture(fixtures.MockPatchObject(
            psutil, 'net_if_addrs', ADDRESSES))
        for context in (os_brick.privileged.default,
                        os_brick.privileged.brick_privsep_hide_output):
            self.useFixture(fixtures.MockPatchObject(
                context, 'client_mode', False))
        self.api.microversion = 'latest'
        self.loop = self.useFixture(loops.Loop(self.size))
        self.connections[uuids.volume] = volumes.connection(
            uuids.volume, self.loop.path)

    def results(self, server, name):
        """How what nova-compute did of an action has ended."""
        return [event['result'] for action in
                self.api.get_instance_actions(server['id'])
                if action['action'] == name
                for event in self.admin_api.api_get(
                    f'/servers/{server["id"]}/os-instance-actions/'
                    f'{action["request_id"]}').body['instanceAction'][
                        'events'] if event['event'].startswith('compute_')]
