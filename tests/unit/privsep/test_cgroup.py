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

"""Where the control group of a container is, and what is written there."""

import os
from unittest import mock

import fixtures
from oslotest import base

from nova_docker.privsep import bpf
from nova_docker.privsep import cgroup

ID = 'c0ffee' * 10
FIRST = '9:devices:/docker/{0}\n8:pids:/docker/{0}\n0::/\n'.format(ID)
UNIFIED = '0::/system.slice/docker-{}.scope/init.scope\n'.format(ID)
MOUNTS = """\
25 24 0:22 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
26 24 0:23 / {0}/devices rw,relatime - cgroup cgroup rw,devices
27 24 0:24 / {0}/unified rw,relatime - cgroup2 cgroup2 rw
28 24 0:23 /docker/x /mnt rw - cgroup cgroup rw,devices
29 24 0:25 / / rw,relatime - ext4 /dev/vda rw
"""


class CgroupTestCase(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.directory = self.useFixture(fixtures.TempDir()).path
        self.proc = os.path.join(self.directory, 'proc')
        for path in ('self', '12'):
            os.makedirs(os.path.join(self.proc, path))
        self.write('self/mountinfo', MOUNTS.format(self.directory))
        self.write('12/cgroup', FIRST)

    def write(self, path, text):
        with open(os.path.join(self.proc, path), 'w') as file:
            file.write(text)

    def find(self, pid=12):
        return cgroup.find(pid, ID, self.proc)


class FindTest(CgroupTestCase):

    def test_mounted_again_for_a_while(self):
        self.write('self/mountinfo', MOUNTS.format(self.directory) + (
            '30 29 0:23 / /x/.criu.cgyard/devices rw - cgroup none devices\n'
            '31 29 0:24 / /x/unified rw - cgroup2 none rw\n'))
        self.assertEqual(
            (f'{self.directory}/devices/docker/{ID}', True), self.find())
        self.write('12/cgroup', UNIFIED)
        self.assertEqual(
            (f'{self.directory}/unified/system.slice/docker-{ID}.scope',
             False), self.find())

    def test_version_1(self):
        self.assertEqual(
            (f'{self.directory}/devices/docker/{ID}', True), self.find())

    def test_version_2(self):
        """The container's own, of which an init has made others."""
        self.write('12/cgroup', UNIFIED)
        self.assertEqual(
            (f'{self.directory}/unified/system.slice/docker-{ID}.scope',
             False), self.find())

    def test_another_process(self):
        for text in ('9:devices:/docker/other\n', '0::/\n', ''):
            self.write('12/cgroup', text)
            self.assertRaises(ProcessLookupError, self.find)
        self.assertRaises(ProcessLookupError, self.find, 13)

    def test_no_container(self):
        """As of a start that was given up: no group is that of all."""
        for pid in (12, 13):
            self.assertRaises(ProcessLookupError, cgroup.find, pid, '',
                              self.proc)

    def test_not_mounted(self):
        self.write('self/mountinfo', '')
        self.write('12/cgroup', UNIFIED)
        self.assertRaises(FileNotFoundError, self.find)


class ChangeTest(CgroupTestCase):

    def setUp(self):
        super().setUp()
        self.group = os.path.join(self.directory, 'devices/docker', ID)
        os.makedirs(os.path.join(self.group, 'below'))
        for path, text in (('cgroup.procs', '12\n13\n'),
                           ('below/cgroup.procs', '14\n')):
            with open(os.path.join(self.group, path), 'w') as file:
                file.write(text)
        self.is_first = True
        self.useFixture(fixtures.MockPatchObject(
            cgroup, 'find', autospec=True,
            side_effect=lambda *_: (self.group, self.is_first)))

    def written(self):
        found = {}
        for name in ('deny', 'allow'):
            path = os.path.join(self.group, f'devices.{name}')
            if os.path.exists(path):
                with open(path) as file:
                    found[name] = file.read()
                os.unlink(path)
        return found

    def test_version_1(self):
        for access, allowed in (('rwm', {'allow': 'b 8:16 rwm'}),
                                ('r', {'allow': 'b 8:16 r'}), ('', {})):
            cgroup.change(12, ID, 8, 16, access)
            self.assertEqual({'deny': 'b 8:16 rwm'} | allowed,
                             self.written())

    def test_version_2(self):
        self.is_first = False
        with mock.patch.object(bpf, 'change', autospec=True) as change:
            cgroup.change(12, ID, 8, 16, 'r')
        change.assert_called_once_with(self.group, 8, 16, 'r')
        self.assertEqual({}, self.written())

    def test_processes(self):
        self.assertEqual([12, 13, 14], cgroup.processes(12, ID))
