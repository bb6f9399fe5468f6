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

"""Root volumes under containers of a real engine, with each image store.

Each safety rule is broken on purpose.
"""

import contextlib
import io
import itertools
import json
import os
import stat
import subprocess
import sys
import tarfile
from unittest import mock

from nova import exception

from nova_docker.engine import errors
from nova_docker.image import archive
from nova_docker.image import hollow
from nova_docker.privsep import copier
from nova_docker.privsep import mounts
from nova_docker.privsep import root as privileged
from nova_docker.volume import root
from nova_docker.volume import rootfs
from tests import engine_cases
from tests.fixtures import archives
from tests.fixtures import deaths
from tests.fixtures import loops
from tests.integration.volume import base

SIZE = 64 << 20
DOCUMENT = json.dumps({
    'architecture': 'amd64', 'os': 'linux',
    'config': {'Cmd': ['sh', '-c', 'cat /kept 2> /dev/null; '
                       'echo written > /kept; ls -l /setuid']}}).encode()


def odd_layer():
    """What a copy might lose."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w',
                      format=tarfile.PAX_FORMAT) as layer:
        for name, kind, mode, link, records in (
                ('setuid', tarfile.REGTYPE, 0o4755, '', {}),
                ('hard', tarfile.LNKTYPE, 0o4755, 'setuid', {}),
                ('soft', tarfile.SYMTYPE, 0o777, '/etc/../absent', {}),
                ('fifo', tarfile.FIFOTYPE, 0o600, '', {}),
                ('null', tarfile.CHRTYPE, 0o640, '', {}),
                ('owned', tarfile.DIRTYPE, 0o1751, '', {}),
                ('capable', tarfile.REGTYPE, 0o755, '', {
                    'SCHILY.xattr.security.capability':
                        b'\1\0\0\2\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0'.decode()})):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.linkname = kind, mode, link
            member.pax_headers, member.mtime = records, 1000000000
            member.uid, member.gid = 1234, 99999
            member.devmajor, member.devminor = 1, 3
            layer.addfile(member)
    return buffer.getvalue()


class Cases:
    """What holds for each store."""

    def setUp(self):
        super().setUp()
        self.place = str(self.folder / 'place')
        self.loop = self.useFixture(loops.Loop(SIZE))
        self.device = self.loop.path
        self.addCleanup(root.unmount, self.device)
        self.whole = f'rootfs-test-{self.mark}:whole'
        self.load(self.whole, [archives.docker25([
            base.dockerd.busybox_layer(), odd_layer()],
            tags=[self.whole])])
        self.hollow = f'rootfs-test-{self.mark}:hollow'
        self.load(self.hollow, archive.Rewriter(
            io.BytesIO(hollow.packed(DOCUMENT)), self.hollow, None))

    def load(self, reference, pieces):
        self.engine.load_image(pieces)
        self.addCleanup(self.engine.remove_image, reference)

    def create(self, image):
        """A container that never ran."""
        container = self.engine.create_container(
            f'root-test-{self.mark}-{self.getUniqueInteger()}', {
                'Image': image, 'HostConfig': {'NetworkMode': 'none'}} | (
                    {'Cmd': ['/']} if image == self.whole else {}))
        self.addCleanup(self.remove, container)
        return container

    def remove(self, container):
        # An engine does not tell where one is that it could not remove.
        with contextlib.suppress(errors.NotFound, exception.Invalid):
            self.engine.stop_container(container, 0)
            root.release(self.engine, container)
        with contextlib.suppress(errors.NotFound):
            self.engine.remove_container(container)

    def make(self):
        source = self.create(self.whole)
        root.make(self.engine, self.device, self.place, source, DOCUMENT)
        self.remove(source)

    def mount(self, container):
        root.mount(self.engine, self.device, self.place, container)

    def booted(self):
        """A container that has the root volume, and never ran."""
        container = self.create(self.hollow)
        self.mount(container)
        return container

    @contextlib.contextmanager
    def top(self):
        """The top of the volume, as in another server."""
        path = self.folder / 'top'
        path.mkdir(exist_ok=True)
        subprocess.run(['mount', self.device, path], check=True)
        try:
            yield path
        finally:
            subprocess.run(['umount', path], check=True)

    def assert_refused(self, error=exception.InvalidVolume):
        container = self.create(self.hollow)
        raised = self.assertRaises(error, self.mount, container)
        self.assertFalse(root.mounted(self.device))
        self.assertFalse(os.path.exists(self.place))
        return str(raised)

    def test_boots_again(self):
        self.make()
        self.assertTrue(root.is_root(root.content(self.device)))
        self.assertEqual(DOCUMENT, root.document(self.device, self.place))
        for expected in (False, True, True):
            container = self.booted()
            root.protect(self.device)
            self.mount(container)
            output = self.output(container)
            self.assertEqual(expected, 'written' in output)
            self.assertIn('-rwsr-xr-x', output)
            self.remove(container)
            self.assertFalse(root.mounted(self.device))
        self.assertFalse(os.path.exists(self.place))

    def test_copy(self):
        self.make()
        with self.top() as top:
            files = top / 'diff'
            found = {name: os.lstat(files / name) for name in (
                'setuid', 'hard', 'soft', 'fifo', 'null', 'owned')}
            self.assertEqual(0o4755, stat.S_IMODE(found['setuid'].st_mode))
            self.assertEqual(found['setuid'].st_ino, found['hard'].st_ino)
            self.assertEqual('/etc/../absent', os.readlink(files / 'soft'))
            self.assertTrue(stat.S_ISFIFO(found['fifo'].st_mode))
            self.assertEqual(os.makedev(1, 3), found['null'].st_rdev)
            self.assertEqual(0o1751, stat.S_IMODE(found['owned'].st_mode))
            for each in found.values():
                self.assertEqual((1234, 99999, 1000000000), (
                    each.st_uid, each.st_gid, int(each.st_mtime)))
            self.assertTrue(os.getxattr(files / 'capable',
                                        'security.capability'))
            self.assertTrue((files / 'bin/sh').exists())

    def test_names_of_the_other_store(self):
        self.make()
        for other in ('fs', 'diff'):
            with self.top() as top:
                for name in ('diff', 'fs'):
                    if (top / name).exists():
                        (top / name).rename(top / other)
            container = self.booted()
            self.assertIn('-rwsr-xr-x', self.output(container))
            self.remove(container)

    def test_a_start_without_the_mount(self):
        self.make()
        container = self.booted()
        self.output(container)
        root.unmount(self.device)
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          container, 60)
        self.mount(container)
        self.assertIn('written', self.output(container))

    def test_links_lead_nowhere(self):
        """A link in the place of a directory or file of the top."""
        host = self.folder / 'host'
        host.mkdir()
        (host / 'secret').write_text('secret')
        self.make()
        with self.top() as top:
            (top / 'diff').rename(top / 'away')
            (top / 'diff').symlink_to(host)
        self.assertIn('not a directory', self.assert_refused())
        with self.top() as top:
            (top / 'diff').unlink()
            self.assertTrue((top / 'away/bin/sh').exists())
        self.assertIn('files', self.assert_refused())
        self.make()
        with self.top() as top:
            (top / 'work').rmdir()
            for name in ('work', 'merged', 'link', 'lower', 'committed'):
                (top / name).symlink_to(host)
        container = self.booted()
        self.assertIn('-rwsr-xr-x', self.output(container))
        self.remove(container)
        self.assertEqual(['secret'], os.listdir(host))
        self.assertEqual('secret', (host / 'secret').read_text())

    def test_hostile_document(self):
        self.make()
        for change in (lambda path: path.symlink_to('/etc/shadow'),
                       lambda path: path.mkdir(),
                       lambda path: os.mkfifo(path),
                       lambda path: os.mknod(path, stat.S_IFCHR | 0o666,
                                             os.makedev(1, 5)),
                       lambda path: path.write_bytes(bytes(2 << 20))):
            with self.top() as top:
                path = top / 'image.json'
                subprocess.run(['rm', '-rf', path], check=True)
                change(path)
            self.assertRaises(exception.InvalidVolume, root.document,
                              self.device, self.place)
        with self.top() as top:
            (top / 'image.json').unlink()
        self.assertIsNone(root.document(self.device, self.place))
        self.assertFalse(os.path.exists(self.place))

    def test_damaged(self):
        self.make()
        with open(self.device, 'r+b') as device:
            device.seek(2048)
            device.write(b'\xa5' * (1 << 20))
            device.flush()
            os.fsync(device.fileno())
        self.assertIn('cannot be used', self.assert_refused())
        self.assertRaises(exception.InvalidVolume, root.document,
                          self.device, self.place)

    def test_protected(self):
        """Removed by hand while it runs, which wipes what it finds."""
        self.make()
        container = self.create_sleeping()
        root.protect(self.device)
        with contextlib.suppress(errors.EngineError):
            self.engine.remove_container(container)
        root.unmount(self.device)
        with self.top() as top:
            files, = (top / name for name in ('diff', 'fs')
                      if (top / name).exists())
            self.assertTrue((files / 'bin/sh').exists())
            self.assertTrue((top / 'image.json').exists())

    def create_sleeping(self):
        """A container that runs."""
        container = self.engine.create_container(
            f'root-test-{self.mark}-{self.getUniqueInteger()}', {
                'Image': self.hollow, 'Cmd': ['sleep', '1000'],
                'HostConfig': {'NetworkMode': 'none'}})
        self.addCleanup(self.remove, container)
        self.mount(container)
        self.engine.start_container(container, 60)
        return container

    def test_in_use(self):
        self.make()
        container = self.booted()
        directory = rootfs.directory(self.engine, container)[0]
        with subprocess.Popen(['sleep', '1000'], cwd=directory) as holder:
            self.assertRaises(OSError, root.release, self.engine, container)
            self.assertRaises(OSError, root.unmount, self.device)
            self.assertRaises(OSError, root.make, self.engine, self.device,
                              self.place, container, DOCUMENT)
            holder.kill()
        root.release(self.engine, container)

    def test_cut_off(self):
        with mock.patch.object(privileged, '_program', autospec=True,
                               side_effect=KeyboardInterrupt):
            self.assertRaises(KeyboardInterrupt, self.make)
        self.assertTrue(root.is_root(root.content(self.device)))
        self.assertIsNone(root.document(self.device, self.place))
        self.make()
        self.assertEqual(DOCUMENT, root.document(self.device, self.place))

    def test_copier_is_killed(self):
        """Before each thing that it does."""
        layers = rootfs.layers(self.engine, self.create(self.whole))

        def fill(_prepared):
            sys.argv = ['copier', 'fill', self.device, self.place, *layers]
            sys.stdin = io.TextIOWrapper(io.BytesIO(DOCUMENT))
            copier.main()

        os.mkdir(self.place)
        for number in itertools.count():
            subprocess.run(['mke2fs', '-q', '-F', '-t', 'ext4', '-L',
                            privileged.LABEL, self.device], check=True)
            done = deaths.survives(number, lambda: None, fill)
            engine_cases.wait_until(self.nobody_has_it)
            self.assertEqual(
                DOCUMENT if done else None,
                root.document(self.device, f'{self.place}-2'))
            if done:
                break
        self.assertGreater(number, 4)
        os.rmdir(self.place)

    def nobody_has_it(self):
        with contextlib.suppress(OSError):
            os.close(os.open(self.device, os.O_RDWR | os.O_EXCL))
            return True

    def test_somebody_else_s(self):
        """Of our label, and nothing that the driver has begun."""
        self.make()
        with self.top() as top:
            (top / 'image.json').unlink()
            (top / 'theirs').write_text('data')
        self.assertIn('other files', str(self.assertRaises(
            exception.InvalidVolume, root.document, self.device,
            self.place)))

    def test_too_small(self):
        small = self.useFixture(loops.Loop(1 << 20)).path
        self.device = small
        raised = self.assertRaises(exception.InvalidVolume, self.make)
        self.assertIn('No space left', str(raised))
        self.assertIsNone(root.document(small, self.place))
        self.assertEqual([], mounts.of([small]))

    def test_grows(self):
        self.make()
        os.truncate(self.loop.file, 2 * SIZE)
        subprocess.run(['losetup', '--set-capacity', self.device], check=True)
        container = self.create_sleeping()
        root.protect(self.device)
        self.assertGreater(self.space(), SIZE)
        if not loops.has_sys_resource():
            self.skipTest('root cannot resize a mounted ext4 here: it lacks '
                          'CAP_SYS_RESOURCE')
        os.truncate(self.loop.file, 3 * SIZE)
        subprocess.run(['losetup', '--set-capacity', self.device], check=True)
        root.grow(self.device)
        self.assertGreater(self.space(), 2 * SIZE)
        self.remove(container)

    def space(self):
        found = os.statvfs(mounts.of([self.device])[0])
        self.assertTrue(found.f_flag & os.ST_RDONLY)
        return found.f_blocks * found.f_frsize


class ClassicStoreTestCase(Cases, base.ClassicStore):
    pass


class ContainerdStoreTestCase(Cases, base.ContainerdStore):
    pass
