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


import os

import fixtures
from nova import exception
from oslotest import base

from nova_docker.host import info

INFO = {
    'Architecture': 'x86_64', 'MemTotal': 2 * 2**30 + 5,
    'ServerVersion': '28.5.2+dfsg1', 'CgroupVersion': '2',
    'Driver': 'overlay2', 'DockerRootDir': '/',
    'Runtimes': {'runc': {}, 'io.containerd.runc.v2': {}},
    'CDISpecDirs': ['/etc/cdi', '/var/run/cdi'], 'LiveRestoreEnabled': True,
    'SecurityOptions': ['name=seccomp,profile=builtin', 'name=userns'],
}
CPUINFO = ''.join(f'''processor\t: {number}
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R): Gold
physical id\t: {number // 4}
siblings\t: 4
cpu cores\t: 2
flags\t\t: fpu sse sse2

''' for number in range(8))
ARM_CPUINFO = '''processor\t: 0
Features\t: fp asimd
CPU implementer\t: 0x41
CPU part\t: 0xd0c

'''


class HostFiles(fixtures.Fixture):
    """A /proc and a /sys with the processors of a host."""

    def __init__(self, cpuinfo=CPUINFO, online='0-7'):
        self.cpuinfo = cpuinfo
        self.online = online

    def _setUp(self):
        self.proc = self.useFixture(fixtures.TempDir()).path
        self.sys = self.useFixture(fixtures.TempDir()).path
        directory = os.path.join(self.sys, 'devices/system/cpu')
        os.makedirs(directory)
        with open(os.path.join(directory, 'online'), 'w') as online:
            online.write(self.online + '\n')
        with open(os.path.join(self.proc, 'cpuinfo'), 'w') as cpuinfo:
            cpuinfo.write(self.cpuinfo)


class ReadTest(base.BaseTestCase):

    def read(self, files=None, **changes):
        files = self.useFixture(files or HostFiles())
        return info.read(INFO | changes, files.proc, files.sys)

    def test_read(self):
        host = self.read()
        self.assertEqual('x86_64', host.arch)
        self.assertEqual(2048, host.memory_mb)
        self.assertEqual(28005002, host.hypervisor_version)
        self.assertEqual('28.5.2+dfsg1', host.engine_version)
        self.assertEqual('2', host.cgroup_version)
        self.assertEqual({'runc', 'io.containerd.runc.v2'}, host.runtimes)
        self.assertEqual(('/etc/cdi', '/var/run/cdi'), host.cdi_dirs)
        self.assertTrue(host.live_restore)
        self.assertEqual({'seccomp', 'userns'}, host.security_options)
        self.assertTrue(host.userns_remap)
        self.assertEqual((0, 0), host.first_ids)

    def test_first_ids(self):
        root = self.useFixture(fixtures.TempDir()).join('100000.200000')
        os.mkdir(root)
        self.assertEqual((100000, 200000),
                         self.read(DockerRootDir=root).first_ids)
        self.assertEqual((0, 0), self.read(
            DockerRootDir=root, SecurityOptions=[]).first_ids)

    def test_engine_that_says_little(self):
        host = self.read(Runtimes=None, CDISpecDirs=None,
                         SecurityOptions=None, CgroupVersion=None)
        self.assertEqual(frozenset(), host.runtimes)
        self.assertEqual((), host.cdi_dirs)
        self.assertEqual('', host.cgroup_version)
        self.assertFalse(host.userns_remap)

    def test_disk_of_the_data_root(self):
        stat = os.statvfs('/')
        host = self.read()
        self.assertEqual(stat.f_blocks * stat.f_frsize // 2**30, host.disk_gb)
        self.assertLessEqual(host.disk_free_gb, host.disk_gb)

    def test_data_root_out_of_sight(self):
        self.assertRaises(OSError, self.read, DockerRootDir='/does/not/exist')

    def test_processors(self):
        cpu = self.read().cpu
        self.assertEqual(frozenset(range(8)), cpu.online)
        self.assertEqual('GenuineIntel', cpu.vendor)
        self.assertEqual('Intel(R) Xeon(R): Gold', cpu.model)
        self.assertEqual({'fpu', 'sse', 'sse2'}, cpu.features)
        self.assertEqual((2, 2, 2), (cpu.sockets, cpu.cores, cpu.threads))

    def test_processors_offline(self):
        self.assertEqual({0, 1, 2, 5}, self.read(
            HostFiles(online='0-2,5')).cpu.online)

    def test_arm(self):
        host = self.read(HostFiles(ARM_CPUINFO, '0-3'), Architecture='arm64')
        self.assertEqual('aarch64', host.arch)
        self.assertEqual({'fp', 'asimd'}, host.cpu.features)
        self.assertEqual('0x41', host.cpu.vendor)
        self.assertEqual((1, 4, 1), (host.cpu.sockets, host.cpu.cores,
                                     host.cpu.threads))

    def test_this_machine(self):
        host = info.read(INFO)
        self.assertTrue(host.cpu.online)
        self.assertTrue(host.cpu.features)


class NamesTest(base.BaseTestCase):

    def test_architecture(self):
        for given, expected in (('x86_64', 'x86_64'), ('amd64', 'x86_64'),
                                ('aarch64', 'aarch64'), ('386', 'i686'),
                                ('ppc64le', 'ppc64le'), ('s390x', 's390x')):
            self.assertEqual(expected, info.architecture(given))

    def test_architecture_unknown_to_nova(self):
        self.assertRaises(exception.InvalidArchitectureName,
                          info.architecture, 'loongarch64')

    def test_version_number(self):
        for given, expected in (('26.1.5+dfsg1', 26001005), ('29', 29000000),
                                ('25.0.3-rc.1', 25000003), ('dev', 0),
                                ('28.5', 28005000)):
            self.assertEqual(expected, info.version_number(given), given)


class InitTest(base.BaseTestCase):

    def test_engine_without_its_init(self):
        for commit, found in (('de40ad0', True), ('', True), ('N/A', False)):
            self.assertIs(found, info.has_init(
                {'InitBinary': 'docker-init', 'InitCommit': {'ID': commit}}))
