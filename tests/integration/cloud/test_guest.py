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

"""A tenant's work on a server: in an image, out of it, mended, made anew."""

import datetime
import uuid

from oslo_utils import secretutils

from tests.integration.cloud import base

_FILE = '/root/work'


class GuestTest(base.CloudTestCase):
    """One server with a file that its user wrote."""

    def setUp(self):
        super().setUp()
        self.server = self.create('guest')
        self.text = uuid.uuid4().hex
        self._run(self.server, 'sh', '-c', f'echo {self.text} > {_FILE}')

    def _run(self, server, *command):
        status, output = self.execute(server, *command)
        self.assertEqual(0, status, output)
        return output

    def _read(self, server, path=_FILE):
        return self._run(server, 'cat', path).strip()

    def _image(self, name):
        """The image of a name, once it is active; deleted at the end."""
        def active():
            image = self.cloud.image.find_image(name)
            return image if image and image.status == 'active' else None
        image = base.wait_for(f'image {name}', active, 120)
        self.addCleanup(self.cloud.image.delete_image, image.id,
                        ignore_missing=True)
        return image

    def test_snapshot_boots_with_what_was_changed(self):
        for state in ('ACTIVE', 'PAUSED', 'SHUTOFF'):
            if state == 'PAUSED':
                self.compute.pause_server(self.server)
            elif state == 'SHUTOFF':
                self.compute.unpause_server(self.server)
                self.wait_status(self.server, 'ACTIVE')
                self.compute.stop_server(self.server)
            self.wait_status(self.server, state)
            name = f'Snapshot \u00dc of {state} {self.text}'
            self.compute.create_server_image(self.server, name)
            image = self._image(name)
            self.wait_status(self.server, state)
            copy = self.create(f'copy-{state.lower()}', image=image.id)
            self.assertEqual(self.text, self._read(copy))
            base.wait_for('the same command', lambda: (
                f'copy-{state.lower()} is up' in self.console(copy)))
            self.delete(copy)

    def test_shelve_and_unshelve(self):
        self.compute.shelve_server(self.server)
        # The cloud offloads at once.
        self.wait_status(self.server, 'SHELVED_OFFLOADED')
        self.assertEqual([], self.containers(self.server))
        self.compute.unshelve_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self.assertEqual(self.text, self._read(self.server))
        self.assert_pings(self.server, '10.20.0.1')

    @base.long_only
    def test_backups_rotate(self):
        for number in range(3):
            self.compute.backup_server(
                self.server, f'{self.text}-{number}', 'daily', 2)
            image = self._image(f'{self.text}-{number}')
            self.wait_status(self.server, 'ACTIVE')
            # Of two of the same second, Glance can't tell which is older.
            made = datetime.datetime.fromisoformat(image.created_at)
            base.wait_for('the next second', lambda: datetime.datetime.now(
                datetime.UTC) >= made + datetime.timedelta(seconds=1))
        # The server is ACTIVE again a moment before Nova deletes the oldest.
        base.wait_for('two backups', lambda: {
            image.name for image in self.cloud.image.images()
            if image.name.startswith(self.text)
        } == {f'{self.text}-1', f'{self.text}-2'})

    def test_rescue_and_unrescue(self):
        before = self.container(self.server)['Id']
        self.compute.rescue_server(self.server)
        self.wait_status(self.server, 'RESCUE')
        inside = f'nova-{self.server.id}-rescue'
        self.assertEqual(self.text, self._read(inside, f'/mnt{_FILE}'))
        self._run(inside, 'sh', '-c', f'echo mended >> /mnt{_FILE}')
        self.assert_pings(inside, '10.20.0.1')
        self.compute.unrescue_server(self.server)
        self.wait_status(self.server, 'ACTIVE')
        self.assertEqual(before, self.container(self.server)['Id'])
        self.assertEqual(f'{self.text}\nmended', self._read(self.server))
        self.assert_pings(self.server, '10.20.0.1')

    def test_rebuild_begins_anew(self):
        before = self.container(self.server)['Id']
        image = self.cloud.image.find_image('busybox')
        self.compute.rebuild_server(self.server, image=image.id)
        base.wait_for('another container', lambda: [
            each for each in self.containers(self.server)
            if each['Id'] != before and each['State'] == 'running'])
        self.wait_status(self.server, 'ACTIVE')
        self.assertEqual(1, self.execute(self.server, 'cat', _FILE)[0])
        self.assert_pings(self.server, '10.20.0.1')

    def test_password(self):
        before = self._run(self.server, 'cat', '/etc/shadow')
        self.compute.change_server_password(self.server, 'Secret 1')
        self.wait_status(self.server, 'ACTIVE')
        after = self._run(self.server, 'cat', '/etc/shadow')
        self.assertNotEqual(before, after)
        hashed = after.split(':')[1]
        self.assertEqual(hashed, secretutils.crypt_password(
            'Secret 1', hashed.rpartition('$')[0]))
