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

"""Servers go to another host and come back, with all that they have."""

import io
import os
import pathlib
import tarfile
import unittest
import uuid

import fixtures

from evalcloud import underlay
from tests.fixtures import dockerd
from tests.integration.cloud import base as cloud_base
from tests.integration.cloud.moves import base

#: Changed in a server; with little more than that on the way.
_SIZE = 50 << 20
CHANGE = ('dd if=/dev/urandom of=/large bs=1M count=50 && ln /large /linked &&'
          ' chown 4000000000:7 /large && rm /bin/false && sync')
#: All files but those of its one process, and what is in them.
_FIND = 'find / -xdev -path /tmp -prune -o {} -print | sort | xargs {}'
LOOK = '; '.join((
    _FIND.format('! -type d', 'stat -c "%n %F %a %u:%g %h %s"'),
    _FIND.format('-type f', 'sha256sum'),
    'test /large -ef /linked && echo linked'))
NET = 'ip -4 -o addr | cut -d" " -f2-7; cat /sys/class/net/*/address'


class ColdMigrationTest(base.MovesTestCase):

    def setUp(self):
        super().setUp()
        self.before = self.source.traces()

    def build_all(self, **options):
        """A server with a volume and two ports, and what it has changed."""
        self.data = self.volume(metadata={'docker_mount_path': '/data'})
        other, _subnet = self.network_of_its_own('192.0.2.0/24')
        server = self.wait_status(self.on_source('moves', networks=[
            {'uuid': self.network.find_network('private').id},
            {'uuid': other.id}], **options), 'ACTIVE')
        self.attach(server, self.data)
        self.keep(self.source, server, '/data/kept')
        self.run_in(self.source, server, CHANGE)
        os.setxattr(self.inside(self.source, server), b'user.note', b'a\0b')
        return self.compute.get_server(server.id)

    def inside(self, host, server):
        """The large file as the host sees it."""
        pid = host.container(server)['State']['Pid']
        return f'/proc/{pid}/root/large'

    def all_of(self, host, server):
        """What has to be the same on each host."""
        now = self.compute.get_server(server.id)
        return (self.run_in(host, server, LOOK).splitlines(),
                os.getxattr(self.inside(host, server), b'user.note'),
                self.run_in(host, server, 'cat /data/kept'),
                sorted(str(each) for each in now.addresses.items()),
                self.run_in(host, server, NET),
                now.name, now.attached_volumes)

    def migrate(self, server):
        self.compute.migrate_server(server)
        self.wait_status(server, 'VERIFY_RESIZE')

    def traffic(self):
        """Bytes between the hosts, and those that came to the target else."""
        came = self.target.traffic()
        return (sum(self.source.traffic()[underlay.MANAGEMENT]),
                sum(received for name, (_sent, received) in came.items()
                    if name != underlay.MANAGEMENT))

    def offload(self, switch):
        """Whether the kernel of the source leaves it to others to split."""
        self.source.run('ethtool', '-K', underlay.MANAGEMENT,
                        'tso', switch, 'gso', switch)

    def assert_sends_changes_only(self, server):
        """It migrates with little more on the way than it has changed.

        By the counters of the interfaces: with the headers of all packets.
        """
        # Else several are one that is split later, with one header.
        self.offload('off')
        self.addCleanup(self.offload, 'on')
        before = self.traffic()
        self.migrate(server)
        between, else_came = (now - then for now, then in zip(
            self.traffic(), before, strict=True))
        print(f'cold migration: {between} bytes between the hosts and '
              f'{else_came} from the services, for {_SIZE} that changed')
        self.assertLess(_SIZE, between)
        self.assertLess(between, 1.1 * _SIZE)
        # An image would be in it.
        self.assertLess(else_came, 0.1 * _SIZE)

    def check_moves(self, server):
        """It goes, comes back, goes again and stays, with all it has."""
        expected = self.all_of(self.source, server)
        self.assert_sends_changes_only(server)
        self.assertEqual(expected, self.all_of(self.target, server))
        self.run_in(self.target, server, 'echo changed > /large')
        self.compute.revert_server_resize(server)
        self.wait_status(server, 'ACTIVE')
        self.assertEqual(expected, self.all_of(self.source, server))
        self.migrate(server)
        self.compute.confirm_server_resize(server)
        self.wait_status(server, 'ACTIVE')
        self.assertEqual(expected, self.all_of(self.target, server))
        self.assert_nothing_left(self.source, self.before)

    def test_revert_and_confirm(self):
        self.check_moves(self.build_all())

    @unittest.skipUnless(cloud_base.LONG, 'takes minutes')
    def test_large_image(self):
        """400 MB, which the target has, and of which it changes some."""
        image = self.large_image()
        self.wait_status(self.build(
            'has-it', image=image,
            availability_zone=f'nova:{self.target.name}'), 'ACTIVE')
        server = self.build_all(image=image)
        self.run_in(self.source, server, 'rm /base-1 && '
                    'dd if=/dev/urandom of=/base-0 bs=1M count=1 && sync')
        self.check_moves(server)

    def large_image(self):
        """Of busybox, and files that nothing makes smaller."""
        file = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'image')
        file.write_bytes(dockerd.busybox_layer())
        with tarfile.open(file, 'a') as archive:
            for number in range(9):
                member = tarfile.TarInfo(f'base-{number}')
                member.size = _SIZE if number else 1 << 20
                archive.addfile(member, io.BytesIO(os.urandom(member.size)))
        made = self.cloud.create_image(
            uuid.uuid4().hex, filename=str(file), wait=True,
            container_format='bare', disk_format='raw', img_hv_type='docker',
            docker_image_type='rootfs', docker_command=(
                "sh -c 'trap exit TERM; while :; do sleep 9 & wait; done'"))
        self.addCleanup(self.cloud.image.delete_image, made.id)
        return made.id

    def test_resize(self):
        server = self.wait_status(self.on_source('grows'), 'ACTIVE')
        self.keep(self.source, server)
        weight = self.weight(self.source, server)
        flavor = self.compute.find_flavor('m1.medium')
        self.compute.resize_server(server, flavor)
        self.wait_status(server, 'VERIFY_RESIZE')
        host = self.host_of(server)
        self.assertEqual(flavor.ram << 20, self.memory(host, server))
        self.assertLess(weight, self.weight(host, server))
        self.assert_kept(host, server)
        self.compute.confirm_server_resize(server)
        self.wait_status(server, 'ACTIVE')

    def test_volume(self):
        """And another one, of which the source knows nothing."""
        server = self.wait_status(self.on_source(
            'volume', **self.volume_with()), 'ACTIVE')
        data = self.volume(metadata={'docker_mount_path': '/data'})
        self.keep(self.source, server)
        self.migrate(server)
        self.assert_kept(self.target, server)
        self.attach(server, data)
        self.keep(self.target, server, '/data/kept')
        # That is only where it is mounted next.
        self.volumes.set_volume_metadata(data, docker_mount_path='/other')
        self.compute.revert_server_resize(server)
        self.wait_status(server, 'ACTIVE')
        self.assert_kept(self.source, server)
        self.assert_kept(self.source, server, '/data/kept')
