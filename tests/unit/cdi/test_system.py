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

"""The hook of system containers, with tables of the kernel of its own."""

import json
import os
import pathlib
import subprocess

import fixtures
from oslotest import base

from nova_docker.cdi import hook

PID = 4242
#: What the machine itself has, and another hierarchy of the container.
OTHERS = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
90 83 0:35 /c CGROUP/memory ro,nosuid - cgroup cgroup rw,memory
"""
V1 = '92 83 0:37 /c CGROUP/systemd ro master:5 - cgroup cgroup rw,xattr\n'
V2 = '92 83 0:37 /c CGROUP ro,nosuid - cgroup2 cgroup rw%s\n'


class ScriptTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        hook.install(str(self.folder))
        path, = hook.system_command(str(self.folder))
        self.script = pathlib.Path(path)
        self.script.write_text(self.script.read_text().replace(
            '/proc/', f'{self.folder}/proc/'))
        self.process = self.folder / 'proc' / str(PID)
        self.process.mkdir(parents=True)
        self.root = self.folder / 'merged'
        self.bundle = self.folder / 'bundle'
        for folder in (self.root, self.bundle):
            folder.mkdir()
        self.cgroup = self.root / 'sys/fs/cgroup'
        self.calls = self.folder / 'calls'
        self.bin = self.folder / 'bin'
        self.bin.mkdir()
        self.program('nsenter', f'echo $1 >> {self.calls}; shift; exec "$@"')
        self.program('mount', f'echo mount $* >> {self.calls}')
        self.program('chown', f'echo chown $* >> {self.calls}')

    def program(self, name, script):
        """A program that the hook finds before the machine's."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)

    def run_hook(self, mounts, *arguments, cgroups='1:name=systemd:/c\n',
                 root=None, separators=(',', ':'), status='creating', user=0):
        for name in ('uid_map', 'gid_map'):
            (self.process / name).write_text(f'         0 {user:10} 65536\n')
        (self.process / 'mountinfo').write_text(
            (OTHERS + mounts).replace('CGROUP', str(self.cgroup)))
        (self.process / 'cgroup').write_text(cgroups)
        (self.bundle / 'config.json').write_text(json.dumps({
            # What a tenant writes is inside of strings.
            'process': {'env': ['A="root":{"path":"/"}'], 'args': ['"root":']},
            'root': {'path': str(root or self.root)},
            'mounts': [{'path': '/x'}]}, separators=separators))
        return self.call(json.dumps(
            {'id': 'c', 'status': status, 'pid': PID,
             'bundle': str(self.bundle)}, separators=separators), *arguments)

    def call(self, state, *arguments):
        return subprocess.run(
            [self.script, *arguments], input=state, text=True,
            capture_output=True, timeout=10,
            env={'PATH': f'{self.bin}:{os.environ["PATH"]}'})

    def assert_writable(self, done, target):
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual(
            f'--mount={self.process}/ns/mnt\n'
            f'mount -o remount,bind,rw,nosuid,nodev,noexec {target}\n',
            self.calls.read_text())

    def assert_refused(self, done, why):
        self.assertEqual(1, done.returncode)
        self.assertIn('nova-docker: no system container can run here: '
                      f'{why}', done.stderr)
        self.assertFalse(self.calls.exists())

    def test_version_1(self):
        self.assert_writable(self.run_hook(V1), self.cgroup / 'systemd')

    def test_version_2(self):
        self.cgroup.mkdir(parents=True)
        self.assert_writable(self.run_hook(
            V2 % ',nsdelegate,memory_recursiveprot', cgroups='0::/c\n'),
            self.cgroup)
        self.assertEqual(
            '4096\n', (self.cgroup / 'cgroup.max.descendants').read_text())

    def test_all_hierarchies(self):
        done = self.run_hook(V1, 'all')
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual(
            [f'mount -o remount,bind,rw,nosuid,nodev,noexec {self.cgroup}/'
             f'{name}' for name in ('memory', 'systemd')],
            self.calls.read_text().splitlines()[1:])

    def test_all_hierarchies_of_the_host(self):
        done = self.run_hook(V1.replace('/c ', '/ '), 'all')
        self.assertEqual(1, done.returncode)
        self.assertIn('no engine in a container can run here: it would see',
                      done.stderr)

    def test_remapped_users_own_what_holds_no_limit(self):
        self.cgroup.mkdir(parents=True)
        for name in ('cgroup.procs', 'memory.max', 'cgroup.max.descendants'):
            (self.cgroup / name).touch()
        done = self.run_hook(V2 % ',nsdelegate', cgroups='0::/c\n',
                             user=100000)
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertEqual(
            [f'chown 100000:100000 {self.cgroup}{name}'
             for name in ('', '/cgroup.procs')],
            self.calls.read_text().splitlines()[2:])

    def test_restored(self):
        done = self.run_hook('', status='stopped')
        self.assertEqual((0, ''), (done.returncode, done.stderr))
        self.assertFalse(self.calls.exists())

    def test_other_writing_of_the_state(self):
        self.assert_writable(self.run_hook(V1, separators=(', ', ': ')),
                             self.cgroup / 'systemd')

    def test_root_within_the_bundle(self):
        (self.bundle / 'rootfs').mkdir()
        self.cgroup = self.bundle / 'rootfs/sys/fs/cgroup'
        self.assert_writable(self.run_hook(V1, root='rootfs'),
                             self.cgroup / 'systemd')

    def test_root_behind_a_link(self):
        link = self.folder / 'link'
        link.symlink_to(self.root)
        self.assert_writable(self.run_hook(V1, root=link),
                             self.cgroup / 'systemd')

    def test_version_2_without_delegation(self):
        for options in ('', ',nonsdelegate'):
            self.assert_refused(self.run_hook(V2 % options,
                                              cgroups='0::/c\n'),
                                'cgroup2 is not mounted with nsdelegate')

    def test_controllers_in_the_hierarchy(self):
        self.assert_refused(
            self.run_hook(V1, cgroups='1:cpu,name=systemd:/c\n'), 'neither')

    def test_no_hierarchy(self):
        self.assert_refused(self.run_hook(''), 'neither')

    def test_no_cgroup_namespace(self):
        self.assert_refused(self.run_hook(V1.replace('/c ', '/ ')),
                            'it would see the control groups of the host')

    def test_mount_fails(self):
        self.program('mount', 'exit 1')
        done = self.run_hook(V1)
        self.assertEqual(1, done.returncode)
        self.assertIn(f'{self.cgroup} can not be made writable',
                      done.stderr)

    def test_no_root(self):
        self.assert_refused(self.run_hook(V1, root='/nonexistent'),
                            'no root filesystem')

    def test_no_state(self):
        self.assert_refused(self.call('{"id":"c"}'), 'no pid')

    def test_no_configuration(self):
        self.assert_refused(self.call(json.dumps(
            {'pid': PID, 'bundle': '/nonexistent'})), 'no OCI configuration')
