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

"""Servers go to another host as they run."""

import re

from testtools import content

from tests.integration.cloud import base as cloud_base
from tests.integration.cloud import browser
from tests.integration.cloud.moves import base

#: A process that counts, in a file that it has open all the time.
COUNT = ('exec 3>/count; i=0; while :; do i=$((i+1)); echo $i >&3; '
         'sleep 0.1; done')
#: How many numbers there are, and that each is in its place.
CHECK = "awk '$1 != NR { exit 1 } END { print NR }' /count"


class LiveMigrationTest(base.PairTestCase):

    def setUp(self):
        super().setUp()
        self.before = self.source.traces()

    def counting(self, name, **options):
        """A server that counts, and the file that it has written."""
        server = self.wait_status(self.on_source(name, **options), 'ACTIVE')
        self.assertEqual((0, ''), self.source.execute(
            server, 'sh', '-c', f'({COUNT}) > /dev/null 2>&1 < /dev/null & '))
        self.wait_for_count(self.source, server, 1)
        return self.compute.get_server(server.id)

    def count(self, host, server):
        """The last number; none is missing, so nobody began anew."""
        def counted():
            status, output = host.execute(server, 'sh', '-c', CHECK)
            self.assertEqual(0, status, output)
            return output
        # A busy engine ends some commands before it has read what they say.
        return int(cloud_base.wait_for('its output', counted, 60))

    def wait_for_count(self, host, server, least):
        cloud_base.wait_for(
            f'more than {least}',
            lambda: self.count(host, server) > least, 120)

    def migrate(self, server, host=None, **options):
        """Nova says that it begins, and then by and by what comes of it."""
        self.compute.live_migrate_server(
            server, host=(host or self.target).name, block_migration='auto',
            **options)
        cloud_base.wait_for(
            'the end of the migration', lambda: self.compute.get_server(
                server.id).task_state is None, 300)
        return self.compute.get_server(server.id)

    def migrations(self, server):
        found = self.compute.get('/os-migrations', params={
            'instance_uuid': server.id}, microversion='2.59').json()
        return [each['status'] for each in found['migrations']]

    def downtime(self, server):
        """Seconds, as the source has logged them."""
        found = re.findall(
            f'{server.id}.*It goes on on host .*, after ([0-9.]+) seconds',
            self.source.log('nova-compute').read_text())
        return float(found[-1])

    def test_and_back(self):
        server = self.counting('counts')
        address = server.addresses
        # So much that it goes before the server stands still.
        self.assertEqual((0, ''), self.source.execute(
            server, 'sh', '-c', 'dd if=/dev/urandom of=/large bs=1M count=70 '
            '2> /dev/null; md5sum /large > /sum'))
        console = self.useFixture(browser.Browser(self._testMethodName))
        self.open_console(console, server)
        for here, there in ((self.source, self.target),
                            (self.target, self.source)):
            last = self.count(here, server)
            server = self.migrate(server, there)
            self.assertEqual(('ACTIVE', there.name, address), (
                server.status, server.compute_host, server.addresses))
            self.assert_gone(here, server)
            self.wait_for_count(there, server, last)
            console.wait_for('[closed]')
            self.open_console(console, server)
            self.assertEqual((0, ''), there.execute(
                server, 'md5sum', '-c', '-s', '/sum'))
            self.assertIn('root.changes', re.findall(
                f'Sent (.*) of instance {server.id}',
                here.log('nova-compute').read_text())[-1])
            self.assertEqual('completed', self.migrations(server)[0])
        downtime = self.downtime(server)
        self.addDetail('downtime', content.text_content(f'{downtime} s'))
        print(f'live migration: down for {downtime} s')
        self.compute.delete_server(server)
        self.compute.wait_for_delete(server)
        self.assert_nothing_left(self.source, self.before)

    def open_console(self, console, server):
        console.open_serial(self.console_url(server, 'serial'))
        console.try_shell()

    def assert_gone(self, host, server):
        cloud_base.wait_for(f'nothing of it on {host.name}',
                            lambda: not host.containers(server), 120)

    def assert_runs_on(self, server, last):
        self.wait_for_count(self.source, server, last)
        self.assertEqual('ACTIVE', self.compute.get_server(server.id).status)
        self.assert_gone(self.target, server)

    def test_refused(self):
        """At once, with the reason."""
        server = self.counting('refused')
        last = self.count(self.source, server)
        # Later versions answer before the hosts are asked.
        answer = self.compute.post(
            f'/servers/{server.id}/action', microversion='2.30', json={
                'os-migrateLive': {'host': self.target.name, 'force': True,
                                   'block_migration': False}})
        self.assertEqual(400, answer.status_code)
        self.assertIn('has to be a block migration', answer.text)
        self.assert_runs_on(server, last)

    @cloud_base.long_only
    def test_can_not_be_written_down(self):
        """CRIU takes no file that was removed and is larger than it may."""
        config = self.source.criu_config()
        self.addCleanup(config.write_text, config.read_text())
        config.write_text('ghost-limit 1M\n')
        server = self.counting('holds')
        self.assertEqual((0, ''), self.source.execute(
            server, 'sh', '-c',
            '(dd if=/dev/zero of=/large bs=1M count=8 2> /dev/null; '
            'exec 4< /large; rm /large; exec sleep 1000) '
            '> /dev/null 2>&1 < /dev/null &'))
        cloud_base.wait_for('it to be removed', lambda: self.source.execute(
            server, 'sh', '-c', 'ls -l /proc/*/fd 2> /dev/null | '
            'grep -q "large.*deleted"')[0] == 0, 60)
        last = self.count(self.source, server)
        self.migrate(server)
        self.assertEqual(['failed'], self.migrations(server))
        self.assert_runs_on(server, last)

    @cloud_base.long_only
    def test_killed(self):
        """The nova-computes end, while it is between them or soon after."""
        server = self.counting('killed')
        last = self.count(self.source, server)
        self.compute.live_migrate_server(
            server, host=self.target.name, block_migration='auto')
        cloud_base.wait_for('its container there',
                            lambda: self.target.containers(server), 120)
        self.source.kill('nova-compute')
        cloud_base.wait_for(
            'Nova to give it up', lambda: self.compute.get_server(
                server.id).task_state is None, 300)
        self.target.kill('nova-compute')
        self.assert_runs_on(server, last)
