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


import contextlib
import pathlib
import subprocess
import uuid

import fixtures

from evalcloud import loops
from evalcloud import settings
from nova_docker.privsep import cgroup
from tests.integration.cloud import base


class VolumesTestCase(base.CloudTestCase):
    """A test that makes volumes; no device of theirs may be left."""

    def setUp(self):
        cloud = settings.load(base.state_dir())
        if not cloud.volumes:
            self.skipTest('the cloud has no Cinder: tools/cloud up --with')
        super().setUp()
        self.volumes = self.cloud.block_storage
        self._folder = cloud.data / 'cinder'
        self.addCleanup(self.assert_becomes, self.connected(), self.connected)

    def connected(self):
        """The devices of volumes that somebody is connected to."""
        return loops.of(self._folder)

    def has(self, server):
        """Devices and mounts of a server, and the rules of its devices.

        The last only with control groups of version 1, which tells them.
        """
        process = self.container(server)
        group, is_first = cgroup.find(process['State']['Pid'], process['Id'])
        rules = pathlib.Path(group, 'devices.list')
        return (self.execute(server, 'ls', '/dev'),
                self.execute(server, 'cat', '/proc/mounts'),
                sorted(rules.read_text().splitlines()) if is_first else [])

    def volume(self, **options):
        """A volume that is available; deleted at the end of the test."""
        made = self.volumes.create_volume(
            name=uuid.uuid4().hex, **{'size': 1, **options})
        self.addCleanup(self._delete, made, self.volumes.delete_volume)
        return self.wait_available(made)

    def snapshot(self, volume):
        """A snapshot that is available; deleted at the end of the test.

        A server may have the volume.
        """
        made = self.volumes.create_snapshot(
            volume_id=volume.id, name=uuid.uuid4().hex, is_forced=True)
        self.addCleanup(self._delete, made, self.volumes.delete_snapshot)
        return self.wait_available(made)

    def wait_available(self, made):
        """Wait for a volume or snapshot and return it as it is then."""
        # The SDK believes the status that it has been given.
        made = made.fetch(self.volumes)
        return self.volumes.wait_for_status(
            made, failures=['error'], interval=1, wait=300)

    def _delete(self, made, delete):
        # One that a server has can not be.
        self._delete_all()
        delete(made)
        self.volumes.wait_for_delete(made, interval=1, wait=120)

    def attach(self, server, volume):
        """Attach a volume; returns the device's path in the server."""
        made = self.compute.create_volume_attachment(
            server, volume_id=volume.id)
        self.wait_volume(volume, 'in-use')
        return made.device

    def detach(self, server, volume):
        """Detach a volume that another server still has, or none."""
        self.compute.delete_volume_attachment(server, volume)
        base.wait_for(f'{volume.name} detached', lambda: server.id not in
                      [each['server_id'] for each in
                       self.volumes.get_volume(volume.id).attachments])

    def wait_volume(self, volume, status):
        """Wait for a status of a volume."""
        self.volumes.wait_for_status(
            volume.fetch(self.volumes), status, failures=['error'],
            interval=1, wait=120)

    def result(self, server, action):
        """Wait until nova-compute has done an action, and say how."""
        path = f'/servers/{server.id}/os-instance-actions'

        def read(path):
            # The first that shows events to all, of which openstacksdk has
            # none.
            return self.compute.get(path, microversion='2.51').json()

        def found():
            return [event['result']
                    for each in read(path)['instanceActions']
                    if each['action'] == action
                    for event in read(f'{path}/{each["request_id"]}')[
                        'instanceAction']['events']
                    if event['event'] == f'compute_{action}'
                    and event['result']]
        return base.wait_for(f'{action} of {server.name}', found, 120)[0]

    def extend(self, volume, size):
        """Extend a volume nobody uses; it is returned as it is then."""
        self.volumes.extend_volume(volume, size)
        return self.wait_available(volume)

    def content(self, volume):
        """Path of a file, until the end of the test, with what it has."""
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        image = self.volumes.upload_volume_to_image(
            volume, uuid.uuid4().hex, disk_format='qcow2',
            container_format='bare')['image_id']
        self.addCleanup(self.cloud.image.delete_image, image)
        base.wait_for(f'image of {volume.name}', lambda: (
            self.cloud.image.get_image(image).status == 'active'), 300)
        self.wait_available(volume)
        self.cloud.image.download_image(image, output=str(folder / 'image'))
        subprocess.check_call(['qemu-img', 'convert', '-O', 'raw',
                               folder / 'image', folder / 'raw'])
        return folder / 'raw'

    @contextlib.contextmanager
    def device(self, volume, server=None):
        """Connect this machine to a volume, as Nova does for a server.

        :param server: id, of one that Nova does not know without
        :returns: the connection's data, as os-brick takes it
        """
        attachment = self.volumes.create_attachment(
            volume, instance=server or str(uuid.uuid4()),
            connector={'host': 'here', 'ip': '127.0.0.1'})
        try:
            self.volumes.complete_attachment(attachment)
            yield attachment.connection_info
        finally:
            self.volumes.delete_attachment(attachment)
