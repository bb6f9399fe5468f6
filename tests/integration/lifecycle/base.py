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

"""A server that moves between two hosts, whose nova-computes are killed.

It has all that a server may have: a port, an ephemeral disk, and volumes, one
as a block device and one mounted. Each host has an engine and a network; what
os-vif does is all that is not real. Nova's part is done by hand: what it has
in its database, and what it asks for as a nova-compute starts again, or when
an administrator has reset the server.
"""

import contextlib
import multiprocessing
import os
import uuid

import fixtures
from nova.compute import task_states
from nova.compute import vm_states
import nova.conf
from nova import context
from nova.network import model
from nova import objects
import os_vif
from pyroute2 import netns

from nova_docker.lifecycle import records
from nova_docker.lifecycle import unconfirmed
from nova_docker.network import metadata
from nova_docker.network import trunks
from nova_docker.spec import volumes as spec
from tests.fixtures import dockerd
from tests.fixtures import hosts
from tests.fixtures import loops
from tests.fixtures import transfers
from tests.fixtures import volumes
from tests.integration import killed

CONF = nova.conf.CONF
FORK = multiprocessing.get_context('fork')
ADDRESSES = {'source': '192.0.2.1', 'target': '192.0.2.2'}
#: What the server has changed, and what shows that it is whole.
CHANGE = ('echo kept > /kept && ln /kept /linked && chown 7:4000000 /kept && '
          'rm /etc/nsswitch.conf && mknod /pipe p && '
          'echo kept > /mnt/ephemeral0/it && echo kept > /dev/vdb && '
          'echo kept > /data/it && sync')
WHOLE = ('grep -q kept /kept && test /kept -ef /linked && test -p /pipe && '
         'test "$(stat -c %u:%g /kept)" = 7:4000000 && '
         '! test -e /etc/nsswitch.conf && test -e /etc/group && '
         'grep " /mnt/ephemeral0 " /proc/mounts && '
         'grep kept /mnt/ephemeral0/it && head -n 1 /dev/vdb | grep kept && '
         'grep " /data " /proc/mounts && grep kept /data/it && '
         'ip addr show eth0 | grep " 10.0.0.5/24 "')


class MovingTestCase(killed.KilledTestCase):
    """A server that goes from one host to the other one."""

    host = source = 'source'
    target = 'target'
    disk_info = '{}'
    ephemeral_gb = 1
    some = 2

    def setUp(self):
        super().setUp()
        self.addCleanup(CONF.clear_override, 'my_ip')
        self.instance.migration_context = transfers.migration_context()
        self.hosts = {
            name: self.useFixture(hosts.Host(address, self.engine(name)))
            for name, address in ADDRESSES.items()}
        self.hosts['source'].connect(self.hosts['target'])
        self._have()
        self.small, self.large = self.instance.flavor, self.flavor(128)
        self.at(self.source)
        self.compute(self.spawn)
        self.addCleanup(self.clean)
        self.assertTrue(self.succeeds(CHANGE), self.said)
        os.setxattr(self.inside('/kept'), b'user.note', b'a\0b')

    def engine(self, host):
        """That of a host."""
        return self.useFixture(dockerd.Dockerd())

    def _patches(self):
        super()._patches()
        self.useFixture(transfers.Migration(lambda: self.migration))
        for target, name, value in (
                (metadata, 'addresses', lambda *_: {}),
                (trunks, 'subports', lambda *_: {}),
                (os_vif, 'plug', lambda vif, _instance:
                    self.hosts[self.host].plug(vif)),
                (os_vif, 'unplug', lambda vif, _instance:
                    self.hosts[self.host].unplug(vif))):
            self.useFixture(fixtures.MockPatchObject(target, name, value))

    def _have(self):
        """Give the server its port and its volumes."""
        port = str(uuid.uuid4())
        self.tap = f'tap{port[:11]}'
        self.instance.info_cache.network_info = model.NetworkInfo([model.VIF(
            id=port, type='ovs', devname=self.tap,
            address='fa:16:3e:00:00:01', details={}, active=True,
            network=model.Network(
                id=str(uuid.uuid4()), bridge='br-int', label='private',
                mtu=1442, subnets=[model.Subnet(
                    cidr='10.0.0.0/24', gateway=None,
                    ips=[model.FixedIP(address='10.0.0.5')])]))])
        self.volumes = {str(uuid.uuid4()): self.useFixture(
            loops.Loop(8 << 20)).path for _volume in range(2)}
        self.mounted = list(self.volumes)[1]
        self.info = {'block_device_mapping': [{
            'mount_device': device, 'boot_index': None,
            'connection_info': volumes.connection(volume, path)}
            for device, (volume, path) in zip(
                ('/dev/vdb', '/dev/vdc'), self.volumes.items())]}

    def volume_metadata(self, volume_id):
        return ({spec.METADATA: '/data'} if volume_id == self.mounted else {})

    def clean(self):
        self.instance.task_state = task_states.DELETING
        for host in self.hosts:
            self.at(host)
            self.compute(self.destroy)
            self.assert_nothing_at(host)
        for path in self.volumes.values():
            # Nobody has it open, mounted, or as a part of something.
            os.close(os.open(path, os.O_RDWR | os.O_EXCL))

    @property
    def migration(self):
        return objects.Migration(source_compute=self.source,
                                 dest_compute=self.target,
                                 cross_cell_move=False)

    def at(self, host):
        """What follows is on this host."""
        self.host = host
        CONF.set_override('my_ip', ADDRESSES[host])
        self.on(self.hosts[host].engine.url, self.hosts[host].state_dir)

    def is_at(self, host, flavor, task_state=None,
              vm_state=vm_states.ACTIVE):
        """What Nova has in its database; what follows is there."""
        self.instance.host = host
        self.instance.flavor = flavor
        self.instance.task_state = task_state
        self.instance.vm_state = vm_state
        self.at(host)

    def start(self):
        """Start a nova-compute, in this process and the host's network."""
        namespace = os.open(
            f'/proc/{self.hosts[self.host].namespace.pid}/ns/net',
            os.O_RDONLY)
        netns.setns(namespace)
        os.close(namespace)
        return super().start()

    @contextlib.contextmanager
    def beside(self, host):
        """With a nova-compute of this host, too; its process."""
        ours, theirs = FORK.Pipe()
        process = FORK.Process(target=self._serve, args=(host, theirs))
        process.start()
        theirs.close()
        try:
            ours.recv()
            yield process
        finally:
            # Who was killed hears nothing.
            with contextlib.suppress(BrokenPipeError):
                ours.send('end')
            process.join()

    def _serve(self, host, parent):
        self.at(host)
        made = self.start()
        parent.send('ready')
        parent.recv()
        made.cleanup_host(host)

    def compute(self, work, number=None):
        """What needs the other host has one there."""
        with (self.beside(self.target)
              if work in (self.leave, self.bring_back)
              else contextlib.nullcontext()):
            return self.alone(work, number)

    def alone(self, work, number=None):
        return super().compute(work, number)

    # Nova's requests

    def leave(self, compute):
        compute.migrate_disk_and_power_off(
            context.RequestContext(), self.instance, ADDRESSES[self.target],
            self.large, self.network_info, self.info, 0)

    def finish(self, compute):
        compute.finish_migration(
            context.RequestContext(), self.migration, self.instance,
            self.disk_info, self.network_info, self.image_meta, True, {},
            self.info, True)

    def confirm(self, compute):
        compute.confirm_migration(context.RequestContext(), self.migration,
                                  self.instance, self.network_info)

    def bring_back(self, compute):
        compute.finish_revert_migration(
            context.RequestContext(), self.instance, self.network_info,
            self.migration, self.info, True)

    def reboot(self, compute):
        compute.reboot(context.RequestContext(), self.instance,
                       self.network_info, 'HARD', self.info)

    # What has been done when a case begins

    def left(self):
        self.is_at(self.source, self.small)
        self.compute(self.leave)

    def finished(self):
        self.left()
        self.is_at(self.target, self.large)
        self.compute(self.finish)
        self.is_at(self.target, self.large, vm_state=vm_states.RESIZED)

    def going_back(self):
        self.finished()
        self.reverting(self.target, self.large)

    def gone_back(self):
        self.going_back()
        self.compute(self.destroy)
        self.reverting(self.source, self.small)

    def reverting(self, host, flavor):
        self.is_at(host, flavor, task_states.RESIZE_REVERTING,
                   vm_states.RESIZED)

    # What must be so after it

    def inside(self, path):
        state = self.by_hand.inspect_container(self.name)['State']
        return f'/proc/{state["Pid"]}/root{path}'

    def assert_whole_at(self, host):
        self.at(host)
        self.assertTrue(self.succeeds(WHOLE), self.said)
        self.assertEqual(b'a\0b', os.getxattr(
            self.inside('/kept'), b'user.note'))
        container, = self.by_hand.containers(all=True)
        self.assertEqual([f'/{self.name}'], container['Names'])
        self.assertEqual(
            {volume: spec.ATTACHED for volume in self.volumes},
            {volume.id: volume.state for volume in records.read(
                self.state_dir, self.instance.uuid)})
        self.assertIn(self.tap, self.hosts[host].links())
        self.assertEqual([self.tap], os.listdir(self.hosts[host].switch))

    def assert_nothing_at(self, host):
        self.at(host)
        its = self.hosts[host]
        self.assertEqual([], self.by_hand.containers(all=True))
        for folder in 'instances', 'disks', 'transfers', 'volumes':
            with contextlib.suppress(FileNotFoundError):
                self.assertEqual([], os.listdir(os.path.join(
                    self.state_dir, folder)))
        self.assertEqual(set(), unconfirmed.instances(self.state_dir))
        self.assertEqual([], os.listdir(self.cdi_dir))
        self.assertEqual([], os.listdir(its.switch))
        self.assertEqual([], its.mounts())
        its.wait_until_empty()

    def assert_only_at(self, host):
        self.assert_whole_at(host)
        other, = set(self.hosts) - {host}
        self.assert_nothing_at(other)

    def reset(self, host, flavor):
        """Let an administrator reset it: it is there, and nowhere else."""
        self.is_at(host, flavor)
        self.compute(self.reboot)
        self.restart(*set(self.hosts) - {host})
        self.assert_only_at(host)

    def restart(self, host):
        """Let a nova-compute start, which removes what is over there."""
        self.at(host)
        self.compute(lambda compute: None)

    def swap(self):
        """The next migration goes the other way."""
        self.source, self.target = self.target, self.source

    def end_leave(self):
        """What Nova does as nova-compute starts again."""
        self.is_at(self.source, self.small, task_states.RESIZE_MIGRATING)
        self.compute(self.bring_back)
