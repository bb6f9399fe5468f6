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

"""The files of one container in another one, with each image store."""

import collections
import os
import stat

from nova_docker.volume import layer
from nova_docker.volume import rootfs
from tests.integration.volume import base

#: A capability of a file, which root may set: cap_net_raw, effective.
CAPABILITY = bytes.fromhex('0100000200200000000000000000000000000000')
#: user::rwx, user:1234:rw-, group::r-x, mask::rwx, other::r-x
ACL = bytes.fromhex(
    '02000000' '01000700ffffffff' '02000600d2040000' '04000500ffffffff'
    '10000700ffffffff' '20000500ffffffff')
#: By the container itself: a file and all of a directory of the image go.
CHANGE = 'rm /bin/false; rm -r /usr; mkdir /usr; echo new > /usr/new'
LOOK = ('ls /bin/false 2>/dev/null; ls /usr; test -x /bin/true && echo image; '
        'cat /text; test /text -ef /linked && echo linked')


class Cases:
    """What holds for each store."""

    def upper(self, name):
        return rootfs.upper(self.engine, name)

    def fill(self, top):
        """What a container may have, and some of it only on purpose."""
        def path(name):
            return os.path.join(os.fsencode(top), name)

        with open(path(b'text'), 'wb') as file:
            file.write(b'kept\n')
        os.link(file.name, path(b'linked'))
        os.chown(file.name, 4000000000, 123456)
        os.chmod(file.name, 0o6751)
        os.utime(file.name, ns=(10 ** 18 + 1, 10 ** 18 + 2))
        os.setxattr(file.name, b'user.note', b'a\0b')
        os.setxattr(file.name, b'security.capability', CAPABILITY)
        os.setxattr(file.name, b'system.posix_acl_access', ACL)
        with open(path(b'holes'), 'wb') as file:
            file.seek(64 << 20)
            file.write(b'end')
        for name, target in ((b'out', b'../../../../etc/passwd'),
                             (b'absolute', b'/proc/1/root')):
            os.symlink(target, path(name))
        os.lchown(path(b'out'), 7, 8)
        os.setxattr(path(b'out'), b'trusted.note', b'of a link',
                    follow_symlinks=False)
        for name in b'two\nlines', b'\xff\xfe', b'-rf', b'*':
            with open(path(name), 'wb'):
                pass
        os.mknod(path(b'fifo'), 0o640 | stat.S_IFIFO)
        os.mknod(path(b'node'), 0o660 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(path(b'socket'), 0o600 | stat.S_IFSOCK)
        os.makedirs(path(b'closed/inner'))
        os.chmod(path(b'closed'), 0o000)
        os.utime(path(b'closed'), ns=(10 ** 18, 10 ** 18))

    def facts(self, top):
        """By path, all that a file is and has."""
        found, linked = {}, collections.defaultdict(set)
        for folder, folders, files in os.walk(os.fsencode(top)):
            for name in [b'.', *folders, *files]:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                is_link = stat.S_ISLNK(status.st_mode)
                # Overlay keeps there what a file was made of.
                attributes = {
                    each: os.getxattr(path, each, follow_symlinks=False)
                    for each in os.listxattr(path, follow_symlinks=False)
                    if each not in ('trusted.overlay.origin',
                                    'trusted.overlay.impure',
                                    'trusted.overlay.uuid')}
                content = os.readlink(path) if is_link else None
                if stat.S_ISREG(status.st_mode):
                    with open(path, 'rb') as file:
                        content = file.read()
                relative = os.path.relpath(path, os.fsencode(top))
                if stat.S_ISREG(status.st_mode):
                    # What was removed may have one inode in all.
                    linked[status.st_ino].add(relative)
                found[relative] = (
                    status.st_mode, status.st_uid, status.st_gid,
                    status.st_rdev, status.st_mtime_ns,
                    # All names of one file.
                    linked[status.st_ino], attributes, content)
        return found

    def test_copy(self):
        source, _output = self.run_container(CHANGE, 'source')
        self.fill(self.upper(source))
        target = self.run_container('touch /stale', 'target')[0]
        layer.copy(self.upper(source), self.upper(target))
        before, after = (self.facts(self.upper(each))
                         for each in (source, target))
        self.assertNotIn(b'stale', after)
        # tar has none, and nobody listens at it any more.
        del before[b'socket']
        self.assertEqual(before.keys(), after.keys())
        for name, facts in before.items():
            self.assertEqual(facts, after[name], name)
        # A file that is gone, and a directory that hides that of the image.
        self.assertEqual((stat.S_IFCHR, 0), (
            stat.S_IFMT(after[b'bin/false'][0]), after[b'bin/false'][3]))
        self.assertEqual(b'y', after[b'usr'][6]['trusted.overlay.opaque'])
        holes = os.stat(os.path.join(self.upper(target), 'holes'))
        self.assertLess(holes.st_blocks * 512, 1 << 20)
        used = layer.used(self.upper(target))
        self.assertLess(used, 1 << 20)

    def test_in_the_container(self):
        source, _output = self.run_container(CHANGE, 'source')
        self.fill(self.upper(source))
        target = f'rootfs-test-{self.mark}-target'
        self.engine.create_container(target, {
            'Image': self.image, 'Cmd': ['sh', '-c', LOOK],
            'HostConfig': {'NetworkMode': 'none'}})
        self.addCleanup(self.engine.remove_container, target)
        layer.copy(self.upper(source), self.upper(target))
        self.assertEqual(['new', 'image', 'kept', 'linked'],
                         self.output(target))


class ClassicStoreTestCase(Cases, base.ClassicStore):
    pass


class ContainerdStoreTestCase(Cases, base.ContainerdStore):
    pass
