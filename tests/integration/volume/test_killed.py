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

"""nova-compute gets SIGKILL in the middle of an attach or a detach."""

import os
import subprocess
import uuid

import fixtures
from nova import context

from nova_docker.lifecycle import records
from nova_docker.spec import volumes as spec
from tests.fixtures import dockerd
from tests.fixtures import loops
from tests.fixtures import volumes
from tests.integration import killed

DEVICE = '/dev/vdb'


class BlockDeviceTest(killed.KilledTestCase):

    #: Things that each verb does for sure.
    least = {'attach': 15, 'detach': 12}
    #: What the server does with the volume.
    there = f'test -b {DEVICE}'
    write = f'echo kept > {DEVICE}'
    read = f'head -n 1 {DEVICE} | grep -q kept'

    def setUp(self):
        super().setUp()
        self.on(dockerd.url(), self.useFixture(fixtures.TempDir()).path)
        self.loop = self.useFixture(loops.Loop(8 << 20))
        self.volume = str(uuid.uuid4())
        self.connection = volumes.connection(self.volume, self.loop.path)
        self.compute(self.spawn)
        self.addCleanup(self._clean)
        self.rules = self._rules()

    def _clean(self):
        self.compute(self.destroy)
        self.assertEqual([], self.mounts())
        self.assertEqual([], os.listdir(
            os.path.join(self.state_dir, 'instances')))
        self.remove_image()

    def attach(self, compute):
        compute.attach_volume(context.RequestContext(), self.connection,
                              self.instance, DEVICE)

    def detach(self, compute):
        compute.detach_volume(context.RequestContext(), self.connection,
                              self.instance, DEVICE)

    def mounts(self):
        """Where the host has volumes of this test mounted."""
        folder = os.path.join(self.state_dir, 'volumes')
        with open('/proc/self/mounts') as mounts:
            return [line.split()[1] for line in mounts
                    if folder in line or
                    line.startswith(f'{self.loop.path} ')]

    def _rules(self):
        """What the server may do with devices, where that can be read."""
        pid = self.by_hand.inspect_container(self.name)['State']['Pid']
        with open(f'/proc/{pid}/cgroup') as groups:
            path = next((line.strip().split(':')[2] for line in groups
                         if ':devices:' in line), None)
        if path is None:
            return None
        with open(f'/sys/fs/cgroup/devices{path}/devices.list') as rules:
            return sorted(rules)

    def has(self):
        """Whether the server has the volume: wholly, or not at all."""
        known = records.find(self.state_dir, self.instance.uuid, self.volume)
        if known:
            self.assertEqual(spec.ATTACHED, known.state)
            self.assertTrue(self.succeeds(self.there))
            return True
        self.assertEqual([], self.mounts())
        self.assertEqual(self.rules, self._rules())
        self.assertFalse(self.succeeds(
            f'ls {DEVICE} || grep {self.loop.path} /proc/mounts'))
        # Nobody has it open, mounted, or as a part of something.
        os.close(os.open(self.loop.path, os.O_RDWR | os.O_EXCL))
        return False

    def test_attach(self):
        for _killed in self.kills(self.attach, self.least['attach']):
            def after(compute):
                if not self.has():
                    self.attach(compute)
                self.assertTrue(self.has())
                self.assertTrue(self.succeeds(self.write))
                self.detach(compute)
                self.assertFalse(self.has())
            self.compute(after)
            self.blank()
        self.assertTrue(self.has())

    def blank(self):
        """Have it as it was at first, so that a file system is made again."""
        subprocess.run(['dd', 'if=/dev/zero', f'of={self.loop.path}',
                        'bs=1M', 'count=8'], check=True, capture_output=True)

    def test_detach(self):
        self.compute(self.attach)
        self.assertTrue(self.succeeds(self.write))
        for _killed in self.kills(self.detach, self.least['detach']):
            def after(compute):
                if self.has():
                    self.detach(compute)
                self.assertFalse(self.has())
                self.attach(compute)
                self.assertTrue(self.succeeds(self.read))
            self.compute(after)
        self.assertFalse(self.has())


class MountedTest(BlockDeviceTest):

    least = {'attach': 25, 'detach': 15}
    metadata = {'docker_mount_path': '/data'}
    there = 'grep " /data " /proc/mounts'
    write = f'{there} && echo kept > /data/it'
    read = f'{there} && grep -q kept /data/it'
