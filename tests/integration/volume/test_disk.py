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

"""Root disks under the layers of a real engine, with each image store.

Each safety rule is broken on purpose. Disks are small, so that filling one
takes no time.
"""

import contextlib
import glob
import itertools
import os
import pathlib
import subprocess
from unittest import mock

from nova import exception

from nova_docker.engine import errors
from nova_docker.privsep import disk as privileged
from nova_docker.privsep import mounts
from nova_docker.privsep import program
from nova_docker.volume import disk
from nova_docker.volume import limit
from nova_docker.volume import rootfs
from tests.fixtures import starts
from tests.integration.volume import base

SIZE = 32 << 20
#: Fills the disk, and says how far it came.
FILL = ('cat /kept 2> /dev/null; '
        'dd if=/dev/zero of=/full bs=1M count=64 2>&1; '
        'rm /full; echo kept > /kept')


class Killed(Exception):
    """Stands for SIGKILL, which nobody handles."""


class Cases:
    """What holds for each store."""

    def setUp(self):
        super().setUp()
        self.disks = str(self.folder / 'disks')

    def create(self, command=FILL):
        """A container that never ran; its id, the file of its disk."""
        name = f'disk-test-{self.mark}-{self.getUniqueInteger()}'
        container = self.engine.create_container(name, {
            'Image': self.image, 'Cmd': ['sh', '-c', command],
            # What the engine makes of it at once must be on the disk.
            'WorkingDir': '/made/by/the/engine',
            'HostConfig': {'NetworkMode': 'none'}})
        image = disk.path(self.disks, 'uuid', container)
        self.addCleanup(self.remove, container, image)
        return container, image

    def remove(self, container, image):
        disk.remove(image)
        try:
            self.engine.remove_container(container)
        except errors.NotFound:
            pass

    def make(self, container, image, size=SIZE):
        disk.make(self.engine, image, container, size, False)

    def mount(self, container, image, size=SIZE):
        disk.mount(self.engine, image, container, size, False)

    def created(self, command=FILL):
        container, image = self.create(command)
        self.make(container, image)
        return container, image

    def directory(self, container):
        return rootfs.directory(self.engine, container)[0]

    def assert_does_not_start(self, container):
        self.assertRaises(errors.ServerError, self.engine.start_container,
                          container, 60)

    def loops(self):
        """The files of this test that loop devices hold."""
        found = []
        for path in glob.glob('/sys/block/loop*/loop/backing_file'):
            # Another user's ends meanwhile.
            with contextlib.suppress(OSError):
                found.append(pathlib.Path(path).read_text())
        return [file for file in found if self.disks in file]

    def assert_nothing_left(self):
        self.assertEqual([], [
            line for line in pathlib.Path(
                '/proc/self/mounts').read_text().splitlines()
            if self.disks in line])
        # The kernel lets go of one when its last user has.
        starts.wait_until(lambda: not self.loops())
        self.assertEqual([], [
            str(path) for path in pathlib.Path(self.disks).rglob('*')])

    def test_full(self):
        container, image = self.created()
        for run in range(2):
            output = ' '.join(self.output(container))
            self.assertIn('No space left on device', output)
            self.assertEqual(run, output.count('kept'))
        self.assertTrue(disk.mounted(image))
        self.assertEqual(
            0o710 if self.engine.info()['Driver'] == 'overlay2' else 0o700,
            os.stat(self.directory(container)).st_mode & 0o777)
        self.remove(container, image)
        self.assert_nothing_left()

    def test_commit(self):
        container, _image = self.created()
        self.output(container)
        reference = f'{self.image}-committed'
        self.engine.commit_container(container, reference)
        self.addCleanup(self.engine.remove_image, reference)
        self.image = reference
        self.assertEqual(['kept'], self.run_container(
            'cat /kept; test -d /made/by/the/engine || echo lost',
            'committed')[1])

    def test_a_start_without_the_mount(self):
        container, image = self.created()
        self.output(container)
        subprocess.run(['umount', self.directory(container)], check=True)
        self.assertFalse(disk.mounted(image))
        self.assert_does_not_start(container)
        self.mount(container, image)
        self.assertIn('kept', self.output(container))

    def test_links_lead_nowhere(self):
        """A link in the place of a layer's directory, on the disk."""
        for name in rootfs.directory(self.engine, self.create()[0])[1]:
            container, image = self.created()
            host = self.folder / f'host-{name}'
            host.mkdir()
            (host / 'secret').write_text('secret')
            directory = pathlib.Path(self.directory(container))
            (directory / name).rename(directory / 'away')
            (directory / name).symlink_to(host)
            subprocess.run(['umount', directory], check=True)
            error = self.assertRaises(exception.InternalError, self.mount,
                                      container, image)
            self.assertIn('not a directory', str(error))
            self.assertFalse(disk.mounted(image))
            self.assert_does_not_start(container)
            self.assertEqual(['secret'], os.listdir(host))

    def test_removed_in_any_order(self):
        def by_hand(container, image):
            self.engine.remove_container(container)

        def stop(container, image):
            self.engine.stop_container(container, 0)

        def unmount(container, image):
            subprocess.run(['umount', self.directory(container)], check=True)

        for steps in ((by_hand,), (stop, by_hand), (stop, unmount, by_hand),
                      (stop, unmount), (stop,), ()):
            container, image = self.created('sleep 1000')
            self.engine.start_container(container, 60)
            for step in steps:
                step(container, image)
            if by_hand not in steps:
                stop(container, image)
            self.remove(container, image)
            self.assert_nothing_left()

    def test_grows(self):
        container, image = self.created()
        self.output(container)
        self.mount(container, image, 3 * SIZE)
        self.assertEqual(3 * SIZE, privileged.size(image))
        output = ' '.join(self.output(container))
        self.assertIn('kept', output)
        self.assertIn('64+0 records out', output)
        # It never shrinks.
        self.mount(container, image)
        self.assertEqual(3 * SIZE, privileged.size(image))

    def test_grows_not_in_use(self):
        container, image = self.created('sleep 1000')
        self.engine.start_container(container, 60)
        with subprocess.Popen(['sleep', '1000'],
                              cwd=self.directory(container)) as holder:
            self.assertRaises(exception.InternalError, self.mount, container,
                              image, 3 * SIZE)
            holder.kill()
        self.engine.stop_container(container, 0)
        self.mount(container, image, 3 * SIZE)
        self.assertEqual(3 * SIZE, privileged.size(image))

    def test_damaged(self):
        container, image = self.created()
        self.output(container)
        subprocess.run(['umount', self.directory(container)], check=True)
        with open(image, 'r+b') as file:
            file.write(bytes(SIZE // 2))
        self.assertRaises(exception.InternalError, self.mount, container,
                          image)
        self.assertFalse(disk.mounted(image))
        self.assert_does_not_start(container)
        self.remove(container, image)
        self.assert_nothing_left()

    def test_killed_between_any_two_steps(self):
        for at in itertools.count():
            container, image = self.create()
            if not self.killed(at, self.make, container, image):
                break
            # The next start finds it, or a removal does.
            if at % 2:
                self.make(container, image)
                self.assertIn('device', self.output(container))
            self.remove(container, image)
            self.assert_nothing_left()
        self.assertGreater(at, 4)

    def test_killed_while_it_grows(self):
        for at in itertools.count():
            container, image = self.created()
            self.output(container)
            killed = self.killed(at, self.mount, container, image, 3 * SIZE)
            self.mount(container, image, 3 * SIZE)
            self.assertEqual(3 * SIZE, privileged.size(image))
            self.assertIn('kept', self.output(container))
            self.remove(container, image)
            self.assert_nothing_left()
            if not killed:
                break
        self.assertGreater(at, 4)

    def killed(self, at, function, *args):
        """Call a function that ends at its step of this number.

        Commands end it before they run, mounts after they were made.
        """
        steps = itertools.count()

        def step(original):
            def wrapper(*args, **kwargs):
                # What follows does not happen either.
                if next(steps) >= at:
                    raise Killed()
                return original(*args, **kwargs)
            return wrapper

        with contextlib.ExitStack() as patches:
            for module, name in (
                    (program, 'run'), (mounts, '_umount'),
                    (mounts, '_checked'), (os, 'rename'),
                    (privileged.shutil, 'rmtree')):
                patches.enter_context(mock.patch.object(
                    module, name, step(getattr(module, name))))
            try:
                function(*args)
            except Killed:
                return True
        return False

    def test_no_space_on_the_host(self):
        small = self.folder / 'small'
        small.mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=16m', 'none',
                        small], check=True)
        self.addCleanup(subprocess.run, ['umount', small], check=True)
        container, _image = self.create()
        image = disk.path(str(small), 'uuid', container)
        self.assertRaises(
            exception.ComputeResourcesUnavailable, disk.make, self.engine,
            image, container, SIZE, True)
        self.assertEqual([], os.listdir(small / 'uuid'))

    def test_detected(self):
        self.assertEqual('filesystem', limit.detect(
            self.engine, None, self.disks))
        self.assert_nothing_left()


class ClassicStoreTestCase(Cases, base.ClassicStore):
    pass


class ContainerdStoreTestCase(Cases, base.ContainerdStore):
    pass
