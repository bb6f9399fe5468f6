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

"""A host loses its power, and its servers are on it when it is back."""

import contextlib

import openstack

from tests.integration.cloud import base
from tests.integration.cloud.moves import base as moves_base


class HostBootTest(moves_base.MovesTestCase):

    def setUp(self):
        super().setUp()
        data = self.volume(metadata={'docker_mount_path': '/data'})
        built = [self.on_source('image'),
                 self.on_source('volume', **self.volume_with()),
                 self.on_source('stopped')]
        self.servers = [self.wait_status(each, 'ACTIVE') for each in built]
        self.attach(self.servers[0], data)
        for server in self.servers:
            self.keep(self.source, server)
        self.keep(self.source, self.servers[0], '/data/kept')
        self.compute.stop_server(self.servers[2])
        self.wait_status(self.servers[2], 'SHUTOFF')

    def boot(self):
        super().boot()
        # It asks nova-compute, which answers when it has started.
        base.wait_for('nova-compute', self._answers, 120)

    def _answers(self):
        with contextlib.suppress(openstack.exceptions.HttpException):
            return self.console(self.servers[0])

    def assert_whole(self):
        """All is as it was before the host went down."""
        for server in self.servers:
            self.wait_status(server, 'ACTIVE')
            self.assert_kept(self.source, server)
        self.assert_kept(self.source, self.servers[0], '/data/kept')
        one, two, three = self.servers
        for server, other in ((one, two), (two, three), (three, one)):
            self.assert_pings(server, self.addresses(other)[0])

    def test_resumed(self):
        self.resume_on(self.source)
        self.crash()
        self.boot()
        for server in self.servers[:2]:
            self.wait_status(server, 'ACTIVE')
        self.assertEqual('SHUTOFF', self.compute.get_server(
            self.servers[2].id).status)
        self.compute.start_server(self.servers[2])
        self.assert_whole()

    @base.long_only
    def test_not_resumed(self):
        self.crash()
        self.boot()
        for server in self.servers:
            self.wait_status(server, 'SHUTOFF')
            self.assertFalse(self.source.container(server)['State'][
                'Running'])
            self.compute.start_server(server)
        self.assert_whole()
