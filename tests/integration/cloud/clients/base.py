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

"""Clients that know nothing of containers, and what they leave."""

import pathlib
import subprocess
import uuid

import fixtures

from tests.integration.cloud import base
from tests.integration.cloud.volumes import base as volumes

FOLDER = pathlib.Path(__file__).parent


class ClientTestCase(volumes.VolumesTestCase):
    """A test that takes its user's things away itself."""

    def setUp(self):
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.key_file = folder / 'key.pub'
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f',
                        folder / 'key'], check=True)
        self.name = f'client-{uuid.uuid4().hex[:8]}'
        self.addCleanup(self.assert_becomes, self.owned(), self.owned)

    def owned(self):
        """Ids of all that the user has, by kind."""
        project = self.cloud.current_project_id
        found = {
            'servers': self.compute.servers(),
            'keypairs': self.compute.keypairs(),
            'volumes': self.volumes.volumes(),
            'images': self.cloud.image.images(owner=project),
            **{kind: getattr(self.network, kind)(project_id=project)
               for kind in ('networks', 'ports', 'routers', 'ips',
                            'security_groups')}}
        return {kind: {each.id for each in things}
                for kind, things in found.items()}

    def wait_log(self, server):
        """Wait until a server's console log has its first line."""
        base.wait_for('the console log', lambda: (
            f'{server.name} is up' in self.console(server)))

    def check(self, server, address, volume):
        """A server works, which a client made.

        :param address: its floating IP
        :param volume: id of one that it has
        """
        self.assertEqual('ACTIVE', server.status)
        self.wait_log(server)
        self.assert_serves(address, f'{server.name}\n')
        [attached] = self.compute.volume_attachments(server)
        self.assertEqual(volume, attached.volume_id)
        self.assertEqual(0, self.execute(
            server, 'test', '-b', attached.device)[0])
