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


import datetime
import os
import subprocess
import sys

import fixtures
from oslotest import base

from nova_docker.host import stats


class FilesTest(base.BaseTestCase):

    def setUp(self):
        super().setUp()
        self.root = self.useFixture(fixtures.TempDir()).path

    def write(self, path, text):
        path = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)


class UptimeTest(FilesTest):

    def uptime(self, seconds):
        self.write('uptime', f'{seconds}.42 99.1\n')
        self.write('loadavg', '0.32 0.12 0.03 2/96 8487\n')
        return stats.uptime(
            self.root, datetime.datetime(2026, 11, 23, 9, 5, 7))

    def test_line(self):
        for seconds, expected in (
                (59, '0 min'), (1500, '25 min'), (7500, ' 2:05'),
                (86400 + 60, '1 day, 1 min'),
                (3 * 86400 + 11 * 3600, '3 days, 11:00')):
            self.assertEqual(
                f' 09:05:07 up {expected},  load average: 0.32, 0.12, 0.03',
                self.uptime(seconds))

    def test_this_machine(self):
        self.assertRegex(
            stats.uptime(),
            r'^ \d\d:\d\d:\d\d up .+,  load average: [\d.]+, [\d.]+, [\d.]+$')


class HostCpuTest(base.BaseTestCase):

    def test_counts_up(self):
        first, second = stats.host_cpu(), stats.host_cpu()
        self.assertEqual({'kernel', 'idle', 'user', 'iowait', 'frequency'},
                         set(first))
        # Nanoseconds: a machine that runs this has been up for a second.
        self.assertGreater(first['idle'] + first['user'], 10**9)
        self.assertGreaterEqual(second['user'], first['user'])


class BlockDeviceTest(FilesTest):

    def test_counters(self):
        self.write('dev/block/8:16/stat',
                   '  10  1  20  5  30  2  40  6  0  7  8  0 0 0 0 9 9\n')
        self.assertEqual([10, 20 * 512, 30, 40 * 512, 0],
                         stats.block_device(8, 16, self.root))

    def test_none(self):
        self.assertIsNone(stats.block_device(8, 16, self.root))


class NicTest(FilesTest):

    def test_what_the_host_sends_the_instance_receives(self):
        for number, name in enumerate((
                'rx_bytes', 'rx_packets', 'rx_errors', 'rx_dropped',
                'tx_bytes', 'tx_packets', 'tx_errors', 'tx_dropped')):
            self.write(f'class/net/tap1/statistics/{name}', f'{number}\n')
        self.assertEqual(
            {'tx_octets': 0, 'tx_packets': 1, 'tx_errors': 2, 'tx_drop': 3,
             'rx_octets': 4, 'rx_packets': 5, 'rx_errors': 6, 'rx_drop': 7},
            stats.nic('tap1', self.root))

    def test_no_device(self):
        self.assertEqual({}, stats.nic('tap1', self.root))

    def test_this_machine(self):
        self.assertIn('rx_octets', stats.nic('lo'))


class ContainerTest(FilesTest):
    """Cgroup files of this process, as each version writes them."""

    def group(self, mounts, cgroup):
        self.write('self/mountinfo', '22 1 0:20 / /proc rw - proc proc rw\n'
                   + ''.join(
                       f'3{n} 31 0:3{n} / {self.root}/{where} rw,relatime '
                       f'shared:9 - {fstype} {fstype} {options}\n'
                       for n, (where, fstype, options) in enumerate(mounts)))
        self.write(f'{os.getpid()}/cgroup', cgroup)
        return stats.container(os.getpid(), self.root)

    def test_version_1(self):
        path = 'docker/id1'
        self.write(f'cpu/{path}/cpuacct.usage', '123456\n')
        self.write(f'memory/{path}/memory.usage_in_bytes', '5000\n')
        self.write(f'memory/{path}/memory.limit_in_bytes', '64000\n')
        self.write(f'memory/{path}/memory.stat',
                   'cache 1\ntotal_inactive_file 1000\n')
        self.write(f'pids/{path}/pids.current', '3\n')
        self.write(f'blkio/{path}/blkio.throttle.io_service_bytes',
                   '8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n'
                   '8:16 Read 1\n8:16 Write 2\nTotal 33\n')
        self.write(f'blkio/{path}/blkio.throttle.io_serviced',
                   '8:0 Read 5\n8:0 Write 6\nTotal 11\n')
        usage = self.group(
            [('cpu', 'cgroup', 'rw,cpu,cpuacct'),
             ('memory', 'cgroup', 'rw,memory'), ('pids', 'cgroup', 'rw,pids'),
             ('blkio', 'cgroup', 'rw,blkio'), ('unified', 'cgroup2', 'rw'),
             # For as long as CRIU saves another container.
             ('yard/memory', 'cgroup', 'rw,memory')],
            f'5:memory:/{path}\n4:blkio:/{path}\n3:pids:/{path}\n'
            f'2:cpu,cpuacct:/{path}\n1:name=systemd:/{path}\n0::/\n')
        self.assertEqual(
            stats.Usage(
                uptime=usage.uptime, cpu_time=123456, memory_used=4000,
                memory_limit=64000, processes=3, read_bytes=11,
                read_requests=5, write_bytes=22, write_requests=6), usage)

    def test_version_2(self):
        path = 'system.slice/docker-id1.scope'
        self.write(f'fs/{path}/cpu.stat', 'usage_usec 123\nuser_usec 1\n')
        self.write(f'fs/{path}/memory.current', '5000\n')
        self.write(f'fs/{path}/memory.max', '64000\n')
        self.write(f'fs/{path}/memory.stat', 'anon 1\ninactive_file 1000\n')
        self.write(f'fs/{path}/pids.current', '3\n')
        self.write(f'fs/{path}/io.stat',
                   '8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n'
                   '8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n')
        usage = self.group([('fs', 'cgroup2', 'rw')], f'0::/{path}\n')
        self.assertEqual(
            stats.Usage(
                uptime=usage.uptime, cpu_time=123000, memory_used=4000,
                memory_limit=64000, processes=3, read_bytes=11,
                read_requests=4, write_bytes=22, write_requests=6), usage)

    def test_no_limit_and_missing_files(self):
        self.write('fs/x/memory.current', '5000\n')
        self.write('fs/x/memory.max', 'max\n')
        usage = self.group([('fs', 'cgroup2', 'rw')], '0::/x\n')
        self.assertEqual(
            stats.Usage(uptime=usage.uptime, memory_used=5000), usage)

    def test_version_1_without_limit(self):
        self.write('memory/x/memory.limit_in_bytes', '9223372036854771712\n')
        usage = self.group([('memory', 'cgroup', 'rw,memory')],
                           '5:memory:/x\n')
        self.assertIsNone(usage.memory_limit)

    def test_not_running(self):
        self.assertEqual(stats.Usage(), stats.container(0))

    def test_gone(self):
        child = subprocess.Popen([sys.executable, '-c', ''])
        child.wait()
        self.assertEqual(stats.Usage(), stats.container(child.pid))

    def test_this_process(self):
        usage = stats.container(os.getpid())
        self.assertGreaterEqual(usage.uptime, 0)
        self.assertLess(usage.uptime, 3600)
