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


"""Shares, by Nova's API; Nova's fixture stands for Manila.

A loop device has the file system that a NAS has elsewhere: the driver is told
so in the place of what it mounts.
"""

import os
import subprocess

import fixtures
from nova.tests import fixtures as nova_fixtures
from nova.tests.functional.api import client as api_client
from oslo_utils.fixture import uuidsentinel as uuids

from nova_docker.lifecycle import shares
from nova_docker.spec import shares as spec
from tests import engine_cases
from tests.fixtures import loops
from tests.functional import base
from tests.functional import volumes


class SharesTest(volumes.VolumesTestCase):

    def setUp(self):
        super().setUp()
        self.manila = self.useFixture(nova_fixtures.ManilaFixture())
        self.flags(auth_type='password', group='manila')
        self.nas = self.useFixture(loops.Loop())
        subprocess.run(['mke2fs', '-q', '-t', 'ext4', self.nas.path],
                       check=True)
        self.exports = []
        export = spec.export
        self.useFixture(fixtures.MockPatchObject(
            shares.shares, 'export', autospec=True,
            side_effect=lambda *args: self._export(export(*args))))

    def _export(self, found):
        self.exports.append(found)
        return spec.Export('ext4', self.nas.path, ('nosuid', 'nodev'))

    def attach(self, server, share=uuids.share, **body):
        return self.api.api_post(
            f'/servers/{server["id"]}/shares',
            {'share': {'share_id': share} | body}).body['share']

    def status(self, server, share=uuids.share):
        return self.api.api_get(
            f'/servers/{server["id"]}/shares/{share}').body['share']['status']

    def wait_for(self, server, status):
        engine_cases.wait_until(
            lambda: self.status(server) == status)

    def mounted(self):
        with open('/proc/self/mounts') as mounts:
            return [line.split()[1] for line in mounts
                    if f'{self.state_dir}/shares/' in line]

    def stop(self, server):
        return self.act(server, {'os-stop': {}}, 'SHUTOFF')

    def start(self, server):
        return self.act(server, {'os-start': {}}, 'ACTIVE')

    def stopped(self):
        server = self.boot()
        self.stop(server)
        self.attach(server, tag='data')
        self.wait_for(server, 'inactive')
        return server

    def test_traits(self):
        found = self._get_provider_traits(
            self._get_provider_uuid_by_host('host1'))
        self.assertLessEqual({'COMPUTE_STORAGE_VIRTIO_FS',
                              'COMPUTE_MEM_BACKING_FILE'}, set(found))

    def test_written_and_read(self):
        server = self.stopped()
        self.assertEqual([], self.mounted())
        self.start(server)
        self.wait_for(server, 'active')
        self.assertEqual('10.0.0.50:/mnt/foo', self.exports[0].source)
        self.succeeds(server, 'echo kept > /shares/data/file && sync')
        options = self.succeeds(server, 'grep /shares /proc/mounts')
        self.assertIn('nosuid,nodev', options)
        for kind in ('SOFT', 'HARD'):
            self.act(server, {'reboot': {'type': kind}}, 'ACTIVE')
            self.succeeds(server, 'grep kept /shares/data/file')
        self.stop(server)
        self.wait_for(server, 'inactive')
        self.assertEqual([], self.mounted())
        self.start(server)
        self.succeeds(server, 'grep kept /shares/data/file')
        self.stop(server)
        self.api.api_delete(f'/servers/{server["id"]}/shares/{uuids.share}')
        engine_cases.wait_until(
            lambda: not self.api.api_get(
                f'/servers/{server["id"]}/shares').body['shares'])
        self.start(server)
        self.succeeds(server, 'test ! -e /shares/data/file')
        self.delete(server)

    @base.one_nova
    def test_host_boot(self):
        server = self.stopped()
        self.start(server)
        self.succeeds(server, 'echo kept > /shares/data/file && sync')
        # What is left of the mount: its directory.
        self.engine.stop_container(self.container(server)['Id'], 0)
        self._wait_for_state_change(server, 'SHUTOFF')
        engine_cases.wait_until(lambda: not self.mounted())
        os.makedirs(os.path.join(self.state_dir, 'shares', server['id'],
                                 uuids.share))
        self.start(server)
        self.succeeds(server, 'grep kept /shares/data/file')
        self.delete(server)

    @base.one_nova
    def test_deleted(self):
        server = self.stopped()
        self.start(server)
        self.assertEqual(1, len(self.mounted()))
        self.delete(server)
        self.assertEqual(set(), self.manila.share_access)

    @base.one_nova
    def test_storage_refuses(self):
        server = self.stopped()
        path, self.nas.path = self.nas.path, '/absent'
        self.api.post_server_action(server['id'], {'os-start': {}})
        engine_cases.wait_until(
            lambda: 'Error' in self.results(server, 'start'))
        self.assertEqual([], self.mounted())
        self.nas.path = path
        self.act(server, {'reboot': {'type': 'HARD'}}, 'ACTIVE')
        self.succeeds(server, 'test -d /shares/data/lost+found')
        self.delete(server)

    @base.one_nova
    def test_running(self):
        server = self.boot()
        error = self.assertRaises(api_client.OpenStackApiException,
                                  self.attach, server)
        self.assertEqual(409, error.response.status_code)
        self.delete(server)
