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

"""Cold migrations in the middle of which a nova-compute or an engine ends."""

import contextlib

from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.moves import base


@cloud_base.long_only
class KilledTest(base.MovesTestCase):
    """The server is on one host, whole, and nothing of it on the other one."""

    def setUp(self):
        super().setUp()
        self.before = {host.name: host.traces()
                       for host in self.hosts.values()}
        self.server = self.wait_status(self.on_source('killed'), 'ACTIVE')
        self.keep(self.source, self.server)

    @contextlib.contextmanager
    def on_the_way(self):
        """It begins to migrate; inside the block its files do not arrive."""
        with self.source.cut_off():
            self.compute.migrate_server(self.server)
            # The target has a receiver, and the source's sender looks for it.
            cloud_base.wait_for('its files to go', lambda: self.source.run(
                'ss', '-Htn', 'state', 'syn-sent', 'dst',
                self.target.address), 180)
            yield

    @contextlib.contextmanager
    def finishing(self):
        """Its files are there; inside the block it gets no container."""
        with contextlib.ExitStack() as hung:
            with self.on_the_way():
                hung.enter_context(self.target.hung('dockerd'))
            # The driver has begun, and its first question is not answered.
            cloud_base.wait_for(
                'its new container', lambda: f'{self.server.id}.json' in {
                    path.name for path in self.target.moves()}, 180)
            yield

    def wait_for_end(self):
        """Wait until Nova is not at it any more; its status then."""
        return cloud_base.wait_for('the end of the migration', lambda: (
            now := self.compute.get_server(self.server.id)
        ).task_state is None and now.status, 300)

    def reset(self):
        """Do as an administrator does with a server that is stuck."""
        self.compute.reset_server_state(self.server, 'active')
        with self.another_start(self.server):
            self.compute.reboot_server(self.server, 'HARD')

    def assert_whole(self, host, other):
        now = self.wait_status(self.server, 'ACTIVE')
        self.assertEqual(host.name, now.hypervisor_hostname)
        self.assert_kept(host, self.server)
        self.assert_pings(self.server, '10.20.0.1')
        self.assert_nothing_left(other, self.before[other.name])
        self.assertEqual(self.before[host.name]['moves'], host.moves())

    def test_on_the_way(self):
        """Nova has it where it was, by itself."""
        for host in self.source, self.target:
            with self.on_the_way():
                host.kill('nova-compute')
            self.assertEqual('ACTIVE', self.wait_for_end())
            self.assert_whole(self.source, self.target)

    def test_finishing(self):
        """It is where it went to, and goes back when it is sent again."""
        with self.finishing():
            self.target.kill('dockerd')
        self.assertEqual('ERROR', self.wait_for_end())
        self.end_on_target()
        self.source, self.target = self.target, self.source
        with self.finishing():
            self.target.kill('nova-compute')
        self.end_on_target()

    def end_on_target(self):
        self.reset()
        # The administrator has it forget the move as it starts.
        self.source.kill('nova-compute')
        self.assert_whole(self.target, self.source)
