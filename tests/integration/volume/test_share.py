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


"""Shares in containers, with what any kernel can mount in their place."""

import os
import pathlib
import signal
import subprocess

import fixtures
from oslo_concurrency import processutils

from nova_docker.privsep import share
from nova_docker.spec import shares
from tests import engine_cases
from tests.fixtures import loops
from tests.integration.volume import base

TIMEOUT = 120


class ShareTest(base.ClassicStore):
    """A loop device has the file system that a NAS has elsewhere."""

    def setUp(self):
        super().setUp()
        self.loop = self.useFixture(loops.Loop())
        subprocess.run(['mke2fs', '-q', '-t', 'ext4', self.loop.path],
                       check=True)
        self.top = str(self.folder)
        self.place = os.path.join(self.top, 'instance', 'id')
        self.addCleanup(share.unmount, self.place, TIMEOUT)

    def mount(self, **changes):
        share.mount(**{
            'kind': 'ext4', 'source': self.loop.path, 'directory': self.place,
            'options': ['nosuid', 'nodev'], 'secret': '',
            'timeout': TIMEOUT} | changes)

    def unmount(self):
        share.unmount(self.place, TIMEOUT)

    def test_in_a_container(self):
        self.mount()
        mount, = shares.mounts([shares.share('id', 'data')],
                               os.path.dirname(self.place))
        script = ('echo kept > /shares/data/file; '
                  'grep " /shares/data " /proc/self/mounts')
        name, told = self.run_container(script, 'share', **self.device(mount))
        self.assertIn('nosuid,nodev', told[3])
        self.assertEqual('kept\n', pathlib.Path(
            self.place, 'file').read_text())
        self.unmount()
        self.assertEqual([], os.listdir(self.top))
        # Gone as a whole: nothing has the file system mounted any more.
        os.close(os.open(self.loop.path, os.O_RDWR | os.O_EXCL))
        self.mount()
        self.output(name)
        self.assertEqual('kept\n', pathlib.Path(
            self.place, 'file').read_text())

    def test_twice(self):
        for _ in range(2):
            self.mount()
            self.assertEqual([self.place], share.mounted(self.top))
        for _ in range(2):
            self.unmount()
            self.assertEqual([], share.mounted(self.top))

    def test_in_use(self):
        self.mount()
        with open(os.path.join(self.place, 'file'), 'w'):
            error = self.assertRaises(
                processutils.ProcessExecutionError, self.unmount)
            self.assertIn('busy', error.stderr)
            self.assertEqual([self.place], share.mounted(self.top))
        self.unmount()

    def test_source_is_no_option(self):
        for source in ('--bind', '-oremount'):
            self.assertRaises(processutils.ProcessExecutionError, self.mount,
                              source=source)
            self.assertEqual([], os.listdir(self.top))

    def test_secret_is_in_no_list_of_processes(self):
        # A program in the place of mount(8) that tells what it is given.
        folder = self.useFixture(fixtures.TempDir()).path
        told = os.path.join(folder, 'told')
        script = pathlib.Path(folder, 'mount')
        script.write_text(
            '#!/bin/sh\n'
            f'tr "\\0" " " < /proc/$$/cmdline > {told}\n'
            f'cat "$(echo "$4" | sed s/.*secretfile=//)" > {told}.secret\n')
        script.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{folder}:{os.environ["PATH"]}'))
        self.mount(secret='s3cret')
        with open(told) as file:
            self.assertNotIn('s3cret', file.read())
        with open(f'{told}.secret') as file:
            self.assertEqual('s3cret', file.read())

    def test_storage_that_does_not_answer(self):
        # mount(8) leaves the work to other programs, as that of NFS.
        folder = self.useFixture(fixtures.TempDir()).path
        started = os.path.join(folder, 'pid')
        script = pathlib.Path(folder, 'mount')
        script.write_text('#!/bin/sh\n'
                          f'sleep 1000 & echo $! > {started}; wait\n')
        script.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{folder}:{os.environ["PATH"]}'))
        self.assertRaises(TimeoutError, self.mount, timeout=5)
        with open(started) as file:
            pid = int(file.read())
        engine_cases.wait_until(lambda: not _runs(pid))
        self.assertEqual([], os.listdir(self.top))
        # One that can not be killed keeps what it could write to open.
        script.write_text('#!/bin/sh\n'
                          f'setsid sleep 1000 & echo $! > {started}; wait\n')
        self.assertRaises(TimeoutError, self.mount, timeout=5)
        with open(started) as file:
            os.kill(int(file.read()), signal.SIGKILL)


def _runs(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False
