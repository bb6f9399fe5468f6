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

"""Directories in two archives, as root: the copy is as the original."""

import contextlib
import functools
import mmap
import os
import random
import shutil
import stat
import tarfile
import threading
import time

import fixtures
from oslo_concurrency import processutils
from oslotest import base

from nova_docker.privsep import changes
from nova_docker.privsep import layer
from tests.fixtures import fifos
from tests.fixtures import privsep
from tests.integration import killed

#: Of random directories: few, so that they meet.
_NAMES = 'abcdef'


class ChangesTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.useFixture(privsep.InProcess())
        # What is older than that is not written to any more.
        self.useFixture(fixtures.MockPatchObject(changes, '_WRITING', 0.1))
        self.begin()

    def begin(self):
        self.folder = self.useFixture(fixtures.TempDir())
        self.source, self.target = (
            self.folder.join(name) for name in ('source', 'target'))
        for path in self.source, self.target:
            os.mkdir(path)
        self.file, self.notes = (
            self.folder.join(name) for name in ('file', 'notes'))

    def path(self, name):
        return os.path.join(self.source, name)

    def write(self, name, data='data'):
        with open(self.path(name), 'w') as file:
            file.write(data)

    def wait(self):
        """Until what was written is old enough to be kept."""
        newest = max(os.lstat(os.path.join(folder, name)).st_ctime
                     for folder, names, files in os.walk(self.source)
                     for name in ['.', *names, *files])
        while time.time() < newest + 0.2:
            time.sleep(0.01)

    def first(self):
        changes.survey(self.source, self.notes)
        self.whole = self.packed(changes.pack_first)

    def second(self):
        """And unpack both.

        :returns: the bytes that it has
        """
        changes.compare(self.source, self.notes)
        changed = self.packed(changes.pack)
        for data, unpack in ((self.whole, layer.unpack),
                             (changed, layer.change)):
            with open(self.file, 'wb') as file:
                file.write(data)
            unpack(self.file, self.target, os.getpid())
        return len(changed)

    def packed(self, pack):
        return fifos.written(self.folder.join('fifo'), pack, self.source,
                             self.notes)

    def assert_same(self, message=''):
        source, target = _tree(self.source), _tree(self.target)
        self.assertEqual({}, {
            name: (source.get(name), target.get(name))
            for name in source.keys() | target.keys()
            if source.get(name) != target.get(name)}, message)


def _tree(top):
    """All that is in a directory, with all that is known of it."""
    found, links = {}, {}
    for folder, names, files in os.walk(top):
        for name in ['.', *names, *files]:
            path = os.path.normpath(os.path.join(folder, name))
            status = os.lstat(path)
            content = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode):
                with open(path, 'rb') as file:
                    content = file.read()
            relative = os.path.relpath(path, top)
            same = links.setdefault(status.st_ino, [])
            same.append(relative)
            found[relative] = (
                status.st_mode, status.st_uid, status.st_gid, status.st_rdev,
                status.st_mtime_ns, content,
                # tar keeps no other links.
                stat.S_IFMT(status.st_mode) in (
                    stat.S_IFREG, stat.S_IFLNK) and same,
                {name: os.getxattr(path, name, follow_symlinks=False)
                 for name in os.listxattr(path, follow_symlinks=False)})
    for same in links.values():
        same.sort()
    return found


class WholeTest(ChangesTestCase):
    """What may happen to a file between the two."""

    def change(self, *functions):
        self.wait()
        self.first()
        for function in functions:
            function()
        size = self.second()
        self.assert_same()
        return size

    def test_nothing(self):
        self.write('large', 'x' * (1 << 20))
        os.mkdir(self.path('directory'))
        self.assertLess(self.change(), 20 << 10)

    def test_content_alone(self):
        self.write('written')
        self.write('in place')
        self.write('large', 'x' * (1 << 20))

        def in_place():
            status = os.stat(self.path('in place'))
            with open(self.path('in place'), 'r+') as file:
                file.write('meta')
            os.utime(self.path('in place'), ns=(
                status.st_atime_ns, status.st_mtime_ns))
        self.assertLess(self.change(
            functools.partial(self.write, 'written', 'other'), in_place),
            20 << 10)

    def test_attributes(self):
        self.write('file')
        os.mkdir(self.path('directory'))
        for name in 'file', 'directory':
            os.setxattr(self.path(name), 'user.old', b'1')
            os.setxattr(self.path(name), 'trusted.old', b'1')

        def change():
            for name in 'file', 'directory':
                os.removexattr(self.path(name), 'user.old')
                os.removexattr(self.path(name), 'trusted.old')
                os.setxattr(self.path(name), 'user.new', b'2')
                os.chown(self.path(name), 7, 8)
                os.chmod(self.path(name), 0o4711)
            os.setxattr(self.path('file'), 'security.capability',
                        bytes.fromhex('01000002002000000000000000000000'
                                      '00000000'))
        self.change(change)

    def test_access_lists(self):
        os.mkdir(self.path('less'))
        os.mkdir(self.path('more'))
        entries = bytes.fromhex(
            '02000000' '01000700ffffffff' '0200050001000000'
            '04000500ffffffff' '10000500ffffffff' '20000500ffffffff')
        for name in 'access', 'default':
            os.setxattr(self.path('less'), f'system.posix_acl_{name}',
                        entries)

        self.write('less/inherits')
        self.write('more/has none')

        def change():
            for name in 'access', 'default':
                os.removexattr(self.path('less'), f'system.posix_acl_{name}')
                os.setxattr(self.path('more'), f'system.posix_acl_{name}',
                            entries)
            self.write('less/has none')
            self.write('more/inherits')
            self.write('more/has none', 'again')
        self.change(change)

    def test_layer(self):
        """What overlay makes: deleted, replaced and opaque."""
        self.write('file')
        os.mkdir(self.path('directory'))
        self.write('directory/file')
        os.mknod(self.path('deleted'), stat.S_IFCHR, 0)

        def change():
            os.unlink(self.path('file'))
            os.mknod(self.path('file'), stat.S_IFCHR, 0)
            os.unlink(self.path('deleted'))
            self.write('deleted')
            shutil.rmtree(self.path('directory'))
            os.mkdir(self.path('directory'))
            os.setxattr(self.path('directory'), 'trusted.overlay.opaque',
                        b'y')
        self.change(change)

    def test_other_kinds(self):
        for name in 'abc':
            self.write(name)
        os.makedirs(self.path('d/e'))
        self.write('d/e/f')

        def change():
            for name in 'abc':
                os.unlink(self.path(name))
            os.makedirs(self.path('a/b'))
            os.symlink('d', self.path('b'))
            os.mkfifo(self.path('c'))
            shutil.rmtree(self.path('d'))
            self.write('d')
        self.change(change)

    def test_renamed(self):
        os.makedirs(self.path('a/b'))
        os.mkdir(self.path('c'))
        self.write('a/b/file')
        self.write('c/other')
        self.change(
            lambda: os.rename(self.path('a/b'), self.path('d')),
            lambda: os.rename(self.path('c'), self.path('a/b')),
            lambda: os.rename(self.path('d'), self.path('c')))

    def test_links(self):
        for name in 'one', 'two', 'three':
            self.write(name)
        os.link(self.path('two'), self.path('two again'))
        self.change(
            lambda: os.link(self.path('one'), self.path('new')),
            lambda: os.unlink(self.path('two')),
            lambda: os.link(self.path('three'), self.path('many')),
            lambda: self.write('many', 'other'))

    def test_holes(self):
        with open(self.path('sparse'), 'wb') as file:
            file.truncate(100 << 20)

        def change():
            with open(self.path('sparse'), 'r+b') as file:
                file.seek(50 << 20)
                file.write(b'data')
        self.assertLess(self.change(change), 100 << 10)
        self.assertLess(os.stat(os.path.join(
            self.target, 'sparse')).st_blocks, 100)

    def test_mapped(self):
        """What was written by way of memory before, and is again."""
        self.write('file', 'x' * 8192)
        with (open(self.path('file'), 'r+b') as file,
              mmap.mmap(file.fileno(), 8192) as memory):
            memory[0:1] = b'1'
            self.wait()
            self.change(lambda: memory.__setitem__(slice(0, 1), b'2'))


class RandomTest(ChangesTestCase):
    """Whatever happens: before, between, and while the first one is made."""

    def act(self, chosen):
        """Do anything anywhere."""
        directories, paths = [self.source], []
        for folder, names, files in os.walk(self.source):
            directories += [os.path.join(folder, name) for name in names]
            paths += [os.path.join(folder, name) for name in names + files]
        new = os.path.join(chosen.choice(directories), chosen.choice(_NAMES))
        old = chosen.choice(paths or [new])

        def write():
            with open(new, 'ab') as file:
                file.write(chosen.randbytes(chosen.randrange(3000)))

        def remove():
            shutil.rmtree(old) if os.path.isdir(old) else os.unlink(old)
        with contextlib.suppress(OSError):
            chosen.choice((
                write, write, write, remove,
                functools.partial(os.mkdir, new),
                functools.partial(os.mkdir, new),
                functools.partial(os.mknod, new, stat.S_IFCHR),
                functools.partial(os.symlink, 'x', new),
                functools.partial(os.link, old, new),
                functools.partial(os.rename, old, new),
                functools.partial(os.rename, old, new),
                functools.partial(os.chmod, old, chosen.choice(
                    (0o700, 0o4755))),
                functools.partial(os.setxattr, old, 'user.a', b'1'),
                functools.partial(os.removexattr, old, 'user.a'),
                functools.partial(os.chown, old, chosen.randrange(9), 1)))()

    @contextlib.contextmanager
    def busy(self, chosen):
        """Somebody who writes there."""
        ended = threading.Event()

        def run():
            while not ended.is_set():
                self.act(chosen)
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def test_random(self):
        for seed in range(120 if killed.LONG else 8):
            chosen = random.Random(seed)
            self.begin()
            for _each in range(chosen.randrange(10, 60)):
                self.act(chosen)
            self.wait()
            with (self.busy(random.Random(seed)) if seed % 2 else
                  contextlib.nullcontext()):
                self.first()
            for _each in range(chosen.randrange(40)):
                self.act(chosen)
            self.second()
            self.assert_same(f'seed {seed}')


class HostileTest(ChangesTestCase):
    """Nothing outside of the directory is touched."""

    def change(self, data):
        with open(self.file, 'wb') as file:
            file.write(data)
        with contextlib.suppress(processutils.ProcessExecutionError):
            layer.change(self.file, self.target, os.getpid())

    def archive(self, *members):
        with tarfile.open(self.file, 'w') as made:
            for member in members:
                made.addfile(member)
        with open(self.file, 'rb') as file:
            return file.read()

    def test_removes_nothing_else(self):
        outside = self.folder.join('outside')
        os.makedirs(os.path.join(outside, 'directory'))
        os.setxattr(outside, 'user.kept', b'1')
        os.symlink(outside, os.path.join(self.target, 'link'))
        for names in ((), ('./link//', './link/directory'),
                      (f'./../../{outside}//', f'{outside}//', '..//')):
            kept = b''.join(name.encode() + b'\0' for name in names)
            self.change(b'%d\n' % len(kept) + kept + self.archive())
            self.assertEqual(['directory'], os.listdir(outside))
            self.assertEqual(b'1', os.getxattr(outside, 'user.kept'))

    def test_damaged(self):
        for data in (b'', b'\n', b'-1\n', b'x\n', b'10\n./\0', b'9' * 100,
                     b'3\n./\0', b'1' * 15 + b'\n'):
            with open(self.file, 'wb') as file:
                file.write(data)
            self.assertRaises(processutils.ProcessExecutionError,
                              layer.change, self.file, self.target,
                              os.getpid())

    def test_no_file(self):
        os.mkfifo(self.file)
        self.assertRaises(OSError, layer.change, self.file, self.target,
                          os.getpid())
        os.symlink(self.source, self.folder.join('link'))
        self.assertRaises(NotADirectoryError, layer.change, '/absent',
                          self.folder.join('link'), os.getpid())
