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

"""Volumes in containers of a real engine, as os-brick's local ones."""

import dataclasses
import errno
import hashlib
import os
import re
import subprocess
import uuid

from nova_docker.cdi import store
from nova_docker.privsep import cgroup
from nova_docker.spec import names
from nova_docker.spec import volumes
from nova_docker.volume import connector
from nova_docker.volume import device
from tests.fixtures import commands
from tests.fixtures import loops
from tests.fixtures import starts
from tests.fixtures import volumes as fixture
from tests.integration.network import test_gate

OPTIONS = connector.Options(False, False, 3, 'default')
#: Bytes that tell one volume from another.
DATA = 'dd if=/dev/urandom of=/dev/vdb bs=64k count=8 conv=fsync'


class VolumesTest(test_gate.GateCase):

    def setUp(self):
        super().setUp()
        self.loop = self.useFixture(loops.Loop())
        self.volume = self.connected(self.loop)

    def connected(self, loop, **data):
        """A loop device as a volume that the host has."""
        volume = volumes.Volume(
            str(uuid.uuid4()), '/dev/vdb',
            fixture.connection('v', loop.path, **data), {})
        return device.identify(dataclasses.replace(
            volume, info=connector.connect(OPTIONS, volume)))

    def process(self, instance):
        found = self.engine.inspect_container(names.container_name(instance))
        return found['State']['Pid'], found['Id']

    def give(self, instance, volume=None):
        volume = volume or self.volume
        device.claim(volume)
        device.give(volume, *self.process(instance))

    def take(self, instance):
        return device.take(self.volume, *self.process(instance))

    def run_in(self, instance, command):
        """Exit status and output of a command in a container."""
        return commands.run(
            self.by_hand, names.container_name(instance),
            ['sh', '-c', command])

    def succeeds(self, instance, command):
        status, output = self.run_in(instance, command)
        self.assertEqual(0, status, output)
        return output

    def shown(self, instance, command):
        """The same of a command that prints something.

        An engine loses what a command printed that has ended at once.
        """
        found = []
        starts.wait_until(lambda: found.append(
            self.succeeds(instance, command)) or found[-1])
        return found[-1]

    def fails(self, instance, command, reason):
        def said():
            status, output = self.run_in(instance, command)
            self.assertNotEqual(0, status, output)
            return reason in output
        starts.wait_until(said)

    def rules(self, instance):
        """What the control group says, where it can be read."""
        directory, is_first = cgroup.find(*self.process(instance))
        if not is_first:
            return None
        with open(os.path.join(directory, 'devices.list')) as file:
            return sorted(file)

    def test_from_one_to_another(self):
        first, second = self._spawn(), self._spawn()
        self.give(first)
        listed = self.shown(first, 'ls -ln /dev/vdb')
        self.assertRegex(listed, r'^brw-rw---- +1 0 +6 ')
        self.succeeds(first, DATA)
        self.assertEqual([], self.take(first))
        self.fails(first, 'ls /dev/vdb', 'No such file')
        self.give(second)
        written = self.shown(
            second, 'dd if=/dev/vdb bs=64k count=8 2>/dev/null | md5sum')
        told = subprocess.run(
            f'dd if={self.loop.file} bs=64k count=8 2>/dev/null | md5sum',
            shell=True, check=True, capture_output=True, text=True).stdout
        self.assertEqual(told.split()[0], written.split()[0])
        self.assertNotEqual(bytes(64), self.loop.data(64))

    def test_no_other_device(self):
        """Not even with a node of it, which the driver lets nobody make."""
        instance = self._spawn()
        other = self.useFixture(loops.Loop())
        self.give(instance)
        for loop, path in ((other, '/dev/other'), (self.loop, '/tmp/same')):
            self.succeeds(instance, f'mknod {path} b %d %d' % loop.number)
        self.succeeds(instance, 'head -c 1 /tmp/same')
        self.fails(instance, 'head -c 1 /dev/other', 'not permitted')
        self.take(instance)
        self.fails(instance, 'head -c 1 /tmp/same', 'not permitted')

    def test_full(self):
        instance = self._spawn()
        self.give(instance)
        self.fails(instance, 'dd if=/dev/zero of=/dev/vdb bs=1M',
                   'No space left on device')
        self.succeeds(instance, DATA)
        self.assertEqual([], self.take(instance))

    def test_read_only(self):
        instance = self._spawn()
        self.volume = self.connected(self.loop, access_mode='ro')
        device.set_read_only(self.volume, True)
        self.addCleanup(device.set_read_only, self.volume, False)
        self.give(instance)
        self.succeeds(instance, 'head -c 1 /dev/vdb')
        self.fails(instance, DATA, 'not permitted')
        with open(self.loop.path, 'wb', buffering=0) as writer:
            self.assertRaises(PermissionError, writer.write, bytes(512))
        self.assertEqual([], self.take(instance))

    def test_paused(self):
        instance = self._spawn()
        self.engine.pause_container(names.container_name(instance))
        self.give(instance)
        self.engine.unpause_container(names.container_name(instance))
        self.succeeds(instance, DATA)
        self.engine.pause_container(names.container_name(instance))
        self.assertEqual([], self.take(instance))
        self.engine.unpause_container(names.container_name(instance))
        self.fails(instance, 'ls /dev/vdb', 'No such file')

    def test_it_is_there_again(self):
        """After a start by anybody, as it was given while it ran."""
        instance = self._spawn()
        store.set_volumes(self.cdi_dir, instance,
                          volumes.device_nodes([self.volume]), [], '/none')
        self.give(instance)
        before = self.shown(instance, 'ls -ln /dev/vdb').split()
        hot = self.rules(instance)
        self.by_hand.restart(names.container_name(instance), timeout=0)
        after = self.shown(instance, 'ls -ln /dev/vdb').split()
        self.assertEqual(before[:6], after[:6])
        self.assertEqual(hot, self.rules(instance))
        self.succeeds(instance, DATA)
        # One from the start goes as one that came later.
        self.assertEqual([], self.take(instance))
        self.fails(instance, 'ls /dev/vdb', 'No such file')

    def test_in_use(self):
        instance = self._spawn()
        self.give(instance)
        self.succeeds(instance, 'sleep 999 < /dev/vdb > /dev/null 2>&1 &')
        starts.wait_until(lambda: self.succeeds(
            instance, 'ls -l /proc/[0-9]*/fd').count('/dev/vdb'))
        user, = self.take(instance)
        number = re.fullmatch(r'sleep \((\d+)\)', user)[1]
        self.succeeds(instance, DATA)
        self.succeeds(instance, f'kill {number}')
        starts.wait_until(lambda: self.take(instance) == [])
        self.fails(instance, 'ls /dev/vdb', 'No such file')

    def test_the_name_is_taken(self):
        instance = self._spawn()
        for command in ('touch /dev/vdb', 'ln -s /etc/passwd /dev/vdb',
                        'mkdir /dev/vdb', 'mknod /dev/vdb c 1 3'):
            self.succeeds(instance, command)
            before = self.rules(instance)
            self.assertRaises(device.exception.DevicePathInUse, self.give,
                              instance)
            self.assertEqual(before, self.rules(instance))
            self.succeeds(instance, 'rm -r /dev/vdb')

    def test_the_host_uses_it(self):
        subprocess.run(['mke2fs', '-q', self.loop.path], check=True)
        self.addCleanup(os.rmdir, f'{self.loop.file}.mnt')
        os.mkdir(f'{self.loop.file}.mnt')
        subprocess.run(['mount', self.loop.path, f'{self.loop.file}.mnt'],
                       check=True)
        self.addCleanup(subprocess.run, ['umount', self.loop.path],
                        check=True)
        error = self.assertRaises(OSError, device.claim, self.volume)
        self.assertEqual(errno.EBUSY, error.errno)

    def test_no_block_device(self):
        volume = dataclasses.replace(self.volume,
                                     info={'path': self.loop.file})
        self.assertRaises(ValueError, device.identify, volume)
        self.assertRaises(device.exception.InternalError, device.check,
                          volume)
        device.check(self.volume)

    def test_many_cycles(self):
        instance = self._spawn()
        rules, nodes = self.rules(instance), self.shown(
            instance, 'ls -A /dev')
        for _cycle in range(20):
            self.give(instance)
            self.give(instance)
            self.succeeds(instance, 'test -b /dev/vdb')
            for _again in range(2):
                self.assertEqual([], self.take(instance))
        self.assertEqual(rules, self.rules(instance))
        self.assertEqual(nodes, self.shown(instance, 'ls -A /dev'))

    def test_copied(self):
        larger = self.useFixture(loops.Loop(6 << 20))
        new = self.connected(larger)
        content = os.urandom(self.loop.size)
        for loop, data in ((self.loop, content), (
                larger, os.urandom(larger.size))):
            with open(loop.path, 'wb') as file:
                file.write(data)
        rest = larger.data(larger.size)[self.loop.size:]
        device.copy(self.volume, new)
        with open(larger.file, 'rb') as file:
            self.assertEqual(content + rest, file.read())
        self.assertRaises(device.exception.InvalidVolume, device.copy, new,
                          self.volume)
        self.assertEqual(content, self.loop.data(self.loop.size))

    def test_copied_while_the_host_uses_it(self):
        new = self.connected(self.useFixture(loops.Loop()))
        for used in self.volume, new:
            descriptor = os.open(used.path, os.O_RDONLY | os.O_EXCL)
            try:
                error = self.assertRaises(OSError, device.copy, self.volume,
                                          new)
            finally:
                os.close(descriptor)
            self.assertEqual(errno.EBUSY, error.errno)

    def test_another_one_in_its_place(self):
        instance = self._spawn()
        self.give(instance)
        self.succeeds(instance, DATA)
        self.assertEqual([], self.take(instance))
        new = self.connected(self.useFixture(loops.Loop()))
        device.copy(self.volume, new)
        self.give(instance, new)
        # As of the old one, which may be asked for again.
        self.assertEqual([], self.take(instance))
        sums = [self.shown(instance, 'md5sum < /dev/vdb').split()[0]]
        with open(self.loop.path, 'rb') as file:
            sums.append(hashlib.md5(file.read()).hexdigest())
        self.assertEqual(sums[0], sums[1])

    def test_it_has_ended(self):
        instance = self._spawn()
        process = self.process(instance)
        self.engine.stop_container(names.container_name(instance), 0)
        self.assertRaises(ProcessLookupError, device.give, self.volume,
                          *process)
        self.assertRaises(ProcessLookupError, device.take, self.volume,
                          *process)
