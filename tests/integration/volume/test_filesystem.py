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

"""File systems of volumes, on loop devices, in a running container."""

import contextlib
import errno
import os
import pathlib
import struct
import subprocess

from oslo_concurrency import processutils
from oslo_utils import uuidutils

from nova_docker.privsep import filesystem
from tests import engine_cases
from tests.fixtures import loops
from tests.integration.volume import base

SIZE = 32 << 20


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True).stdout


class FilesystemTest(base.ClassicStore):

    def setUp(self):
        super().setUp()
        self.file = self.folder / 'volume'
        with open(self.file, 'wb') as file:
            file.truncate(SIZE)
        self.device = run('losetup', '--find', '--show',
                          str(self.file)).strip()
        self.addCleanup(run, 'losetup', '--detach', self.device)
        self.place = str(self.folder / 'place')
        self.addCleanup(filesystem.unmount, self.place)

    def write(self, offset, data=b'x'):
        with open(self.device, 'r+b') as file:
            file.seek(offset)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def content(self):
        run('sync')
        return self.file.read_bytes()

    def container(self):
        """A running one: its id and the pid of its first process."""
        name = f'rootfs-test-{self.mark}-{uuidutils.generate_uuid()}'
        self.engine.create_container(name, {
            'Image': self.image, 'Cmd': ['sleep', '1000'],
            'HostConfig': {'NetworkMode': 'none'}})
        self.addCleanup(self.engine.remove_container, name)
        self.engine.start_container(name, 60)
        state = self.engine.inspect_container(name)
        return state['Id'], state['State']['Pid']

    def inside(self, pid, *command):
        return run('nsenter', '-t', str(pid), '-m', '-r', *command)

    def refused(self, error, function, *arguments):
        before = self.content()
        raised = self.assertRaises(error, function, *arguments)
        self.assertEqual(before, self.content())
        self.assertFalse(os.path.ismount(self.place))
        return raised


class ContentTest(FilesystemTest):
    """What is on a device, and what is done to it."""

    def test_blank(self):
        self.assertEqual({}, filesystem.probe(self.device))
        filesystem.make(self.device)
        self.assertEqual('ext4', filesystem.probe(self.device)['TYPE'])

    def test_one_byte_anywhere_is_data(self):
        for offset in (0, 4 << 20, (20 << 20) + 4711, SIZE - 1):
            self.write(offset)
            self.assertEqual({}, filesystem.probe(self.device))
            self.refused(FileExistsError, filesystem.make, self.device)
            self.write(offset, b'\0')
        filesystem.make(self.device)

    def test_in_use(self):
        descriptor = os.open(self.device, os.O_RDWR | os.O_EXCL)
        try:
            error = self.refused(OSError, filesystem.make, self.device)
        finally:
            os.close(descriptor)
        self.assertEqual(errno.EBUSY, error.errno)

    def test_partitions(self):
        # One of type 83, at 1 MiB, of 8 MiB.
        self.write(446, struct.pack('<B3sB3sII', 0, b'', 0x83, b'', 2048,
                                    16384) + bytes(48) + b'\x55\xaa')
        self.assertEqual('dos', filesystem.probe(self.device)['PTTYPE'])
        self.refused(FileExistsError, filesystem.make, self.device)

    def test_several_at_once(self):
        run('mkfs.ext4', '-q', self.device)
        with open(self.device, 'rb') as file:
            file.seek(1024)
            superblock = file.read(1024)
        run('mkfs.xfs', '-q', '-f', '-m', 'crc=0', '-d', 'size=32m',
            '--unsupported', self.device)
        self.write(1024, superblock)
        self.assertRaises(ValueError, filesystem.probe, self.device)

    def test_gone(self):
        self.assertRaises(FileNotFoundError, filesystem.probe,
                          f'{self.device}-not')


class MountTest(FilesystemTest):

    def test_written_on_the_host_and_read_again(self):
        for make, kind in ((['mkfs.ext3', '-q', '-F'], 'ext4'),
                           (['mkfs.xfs', '-q', '-f', '--unsupported'],
                            'xfs')):
            run(*make, self.device)
            for _ in range(2):
                filesystem.mount(self.device, self.place, kind, False)
            options = run('findmnt', '-no', 'OPTIONS', self.place)
            self.assertIn('nosuid', options)
            self.assertIn('nodev', options)
            (pathlib.Path(self.place) / 'kept').write_text('kept')
            filesystem.unmount(self.place)
            filesystem.unmount(self.place)
            before = self.content()
            filesystem.mount(self.device, self.place, kind, True)
            kept = pathlib.Path(self.place) / 'kept'
            self.assertEqual('kept', kept.read_text())
            self.assertRaises(OSError, kept.write_text, 'x')
            filesystem.unmount(self.place)
            self.assertEqual(before, self.content())

    def test_an_error_ends_no_host(self):
        run('mkfs.ext4', '-q', self.device)
        run('tune2fs', '-e', 'panic', self.device)
        filesystem.mount(self.device, self.place, 'ext4', False)
        self.assertIn('errors=remount-ro', run(
            'grep', self.place, '/proc/mounts'))

    def test_corrupt(self):
        run('mkfs.ext4', '-q', '-b', '1024', self.device)
        # The groups' descriptors and the inodes of the first.
        self.write(2048, os.urandom(1 << 20))
        self.assertRaises(
            (processutils.ProcessExecutionError, OSError), filesystem.mount,
            self.device, self.place, 'ext4', False)
        self.assertFalse(os.path.ismount(self.place))

    def test_corrupt_xfs(self):
        run('mkfs.xfs', '-q', '--unsupported', self.device)
        # All but the superblock.
        self.write(512, os.urandom(1 << 20))
        self.assertRaises(processutils.ProcessExecutionError,
                          filesystem.mount, self.device, self.place, 'xfs',
                          False)
        self.assertFalse(os.path.ismount(self.place))

    def test_journal_elsewhere(self):
        other = self.folder / 'journal'
        with open(other, 'wb') as file:
            file.truncate(SIZE)
        journal = run('losetup', '--find', '--show', str(other)).strip()
        self.addCleanup(run, 'losetup', '--detach', journal)
        run('mke2fs', '-q', '-O', 'journal_dev', '-b', '1024', journal)
        run('mke2fs', '-q', '-t', 'ext4', '-b', '1024', '-J',
            f'device={journal}', self.device)
        self.refused(ValueError, filesystem.mount, self.device, self.place,
                     'ext4', False)

    def grown(self, kind, *make):
        run(*make, self.device)
        filesystem.mount(self.device, self.place, kind, False)
        os.truncate(self.file, 2 * SIZE)
        run('losetup', '--set-capacity', self.device)
        filesystem.grow(self.device, self.place, kind)
        status = os.statvfs(self.place)
        self.assertGreater(status.f_blocks * status.f_frsize, 1.3 * SIZE)

    def test_grows_ext4(self):
        if not loops.has_sys_resource():
            self.skipTest('root cannot resize a mounted ext4 here: it lacks '
                          'CAP_SYS_RESOURCE')
        self.grown('ext4', 'mkfs.ext4', '-q')

    def test_grows_xfs(self):
        self.grown('xfs', 'mkfs.xfs', '-q', '--unsupported')


class FreezeTest(FilesystemTest):

    def setUp(self):
        super().setUp()
        filesystem.make(self.device)
        filesystem.mount(self.device, self.place, 'ext4', False)
        self.addCleanup(filesystem.thaw, [self.place])

    def needs_recovery(self):
        """Whether a copy of the device has a journal to be replayed."""
        run('sync', '-f', str(self.folder))
        told = run('dumpe2fs', '-h', self.device)
        return 'needs_recovery' in told

    def writer(self):
        """A process that writes, and tells when it has."""
        done = self.folder / 'done'
        process = subprocess.Popen([
            'sh', '-c', f'echo x > {self.place}/file && touch {done}'])
        self.addCleanup(process.wait)
        return process, done

    def test_snapshot_is_as_after_an_unmount(self):
        self.assertTrue(self.needs_recovery())
        for _ in range(2):
            filesystem.freeze([self.place])
        self.assertFalse(self.needs_recovery())
        process, done = self.writer()
        engine_cases.wait_until(
            lambda: pathlib.Path(f'/proc/{process.pid}/stat').read_text()
            .rpartition(')')[2].split()[0] == 'D')
        self.assertFalse(done.exists())
        for _ in range(2):
            filesystem.thaw([self.place])
        process.wait(60)
        self.assertTrue(done.exists())
        self.assertTrue(self.needs_recovery())

    def test_all_or_none(self):
        self.assertRaises(OSError, filesystem.freeze, [
            self.place, str(self.folder / 'absent')])
        process, done = self.writer()
        process.wait(60)
        self.assertTrue(done.exists())

    def test_unmounted_while_it_is_frozen(self):
        filesystem.freeze([self.place])
        filesystem.unmount(self.place)
        # Nothing has it any more, the kernel neither.
        os.close(os.open(self.device, os.O_RDWR | os.O_EXCL))


class ShutDownTest(FilesystemTest):

    def setUp(self):
        super().setUp()
        filesystem.make(self.device)
        filesystem.mount(self.device, self.place, 'ext4', False)
        self.addCleanup(filesystem.unmount, self.place)

    def test_nothing_is_written_any_more(self):
        kept, lost = (pathlib.Path(self.place, name)
                      for name in ('kept', 'lost'))
        kept.write_text('kept')
        os.sync()
        lost.write_text('lost')
        filesystem.shut_down(self.device, [self.place])
        self.assertRaises(OSError, lost.write_text, 'again')
        filesystem.unmount(self.place)
        filesystem.mount(self.device, self.place, 'ext4', False)
        self.assertEqual('kept', kept.read_text())
        self.assertFalse(lost.exists())

    def test_mounted_elsewhere_or_not_at_all(self):
        kept = pathlib.Path(self.place, 'kept')
        filesystem.shut_down(self.device, [str(self.folder)])
        kept.write_text('kept')
        filesystem.unmount(self.place)
        filesystem.shut_down(self.device, [self.place])


class ContainerTest(FilesystemTest):
    """In a container that runs."""

    def setUp(self):
        super().setUp()
        filesystem.make(self.device)
        filesystem.mount(self.device, self.place, 'ext4', False)
        self.container_id, self.pid = self.container()

    def attach(self, path='/data/in/it'):
        filesystem.attach(self.pid, self.container_id, self.place, path)

    def detach(self):
        number = os.stat(self.device).st_rdev
        filesystem.detach(self.pid, self.container_id, os.major(number),
                          os.minor(number))

    def test_written_inside(self):
        for _ in range(2):
            self.attach()
        self.inside(self.pid, 'sh', '-c', 'echo written > /data/in/it/file')
        self.assertEqual('written\n', pathlib.Path(
            self.place, 'file').read_text())
        filesystem.unmount(self.place)
        for _ in range(2):
            self.detach()
        self.assertEqual('', self.inside(self.pid, 'ls', '/data/in/it'))
        # Nobody has it any more.
        os.close(os.open(self.device, os.O_RDWR | os.O_EXCL))

    def test_full(self):
        self.attach()
        fill = 'dd if=/dev/zero of=/data/in/it/full bs=1M; echo $?'
        for _again in range(2):
            self.assertIn('No space left on device', self.inside(
                self.pid, 'sh', '-c', fill))
            self.inside(self.pid, 'rm', '/data/in/it/full')
        self.inside(self.pid, 'sh', '-c', 'echo kept > /data/in/it/file')
        self.detach()

    def test_its_device_is_gone(self):
        """All that is asked of the file system fails, or stat alone."""
        for make in (['mkfs.ext4', '-q', '-F'],
                     ['mkfs.xfs', '-q', '-f', '--unsupported']):
            filesystem.unmount(self.place)
            run(*make, self.device)
            filesystem.mount(self.device, self.place, make[0][5:], False)
            self.attach()
            filesystem.shut_down(self.device, [self.place])
            self.assertRaises(
                subprocess.CalledProcessError, self.inside, self.pid, 'sh',
                '-c', 'echo lost > /data/in/it/file')
            for _again in range(2):
                self.detach()
                filesystem.unmount(self.place)
            self.assertFalse(os.path.exists(self.place))
            # Nobody has it any more.
            os.close(os.open(self.device, os.O_RDWR | os.O_EXCL))

    def test_paused(self):
        self.engine.pause_container(self.container_id)
        self.attach()
        self.detach()
        self.engine.unpause_container(self.container_id)

    def test_busy(self):
        self.attach()
        with contextlib.ExitStack() as stack:
            user = stack.enter_context(subprocess.Popen(
                ['nsenter', '-t', str(self.pid), '-m', '-r', 'sh', '-c',
                 'cd /data/in/it && echo && exec sleep 1000'],
                stdout=subprocess.PIPE))
            stack.callback(user.kill)
            user.stdout.readline()
            error = self.assertRaises(OSError, self.detach)
            self.assertEqual(errno.EBUSY, error.errno)
            self.inside(self.pid, 'test', '-d', '/data/in/it/lost+found')
        self.detach()

    def test_links_of_the_container_stay_in_it(self):
        outside = self.folder / 'outside'
        outside.mkdir()
        self.inside(self.pid, 'ln', '-s', f'{outside}', '/data')
        # There is none in the container.
        self.assertRaises(OSError, self.attach, '/data')
        self.inside(self.pid, 'mkdir', '-p', f'{outside}')
        self.attach('/data')
        self.assertEqual([], os.listdir(outside))
        self.inside(self.pid, 'test', '-d', f'{outside}/lost+found')
        self.detach()
        self.inside(self.pid, 'test', '!', '-d', f'{outside}/lost+found')

    def test_names_that_its_links_lead_to(self):
        for name in ('no\u00a0break', 'carriage\rreturn', 'with space',
                     'back\\040slash', b'\xff'):
            path = os.path.join(b'/', os.fsencode(name))
            self.inside(self.pid, 'mkdir', path)
            self.inside(self.pid, 'ln', '-s', '-f', '-n', path, '/data')
            self.attach('/data')
            self.inside(self.pid, 'test', '-d', path + b'/lost+found')
            self.detach()
            self.inside(self.pid, 'test', '!', '-d', path + b'/lost+found')

    def test_magic_link(self):
        error = self.assertRaises(
            OSError, self.attach, f'/proc/{os.getpid()}/root')
        self.assertIn(error.errno, (errno.ELOOP, errno.ENOENT, errno.ENOTDIR,
                                    errno.EEXIST))

    def test_no_process_of_it(self):
        self.assertRaises(ProcessLookupError, filesystem.attach, os.getpid(),
                          self.container_id, self.place, '/data')
        self.assertRaises(ProcessLookupError, filesystem.detach, os.getpid(),
                          self.container_id, 7, 1)
