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


"""What the flavor says is what the server has, seen from inside."""

import glob
import json
import os

import fixtures
from nova.tests.functional.api import client as api_client

from nova_docker.host import blocks
from tests import engine_cases
from tests.fixtures import busybox
from tests.functional import base
from tests.functional import flavors

#: Counts the limits of disks that are the number that follows.
THROTTLED = ('cat /sys/fs/cgroup/blkio/blkio.throttle.*_device '
             '/sys/fs/cgroup/io.max | tr " =" "\\n\\n" | grep -cx ')
#: An extra spec and its value, a command in the server, and what it prints.
EFFECTS = (
    ('docker:pids_limit', '99', 'cat /sys/fs/cgroup/pids/pids.max '
     '/sys/fs/cgroup/pids.max', '99'),
    ('docker:memory_reservation_mb', '32', 'cat '
     '/sys/fs/cgroup/memory/memory.soft_limit_in_bytes '
     '/sys/fs/cgroup/memory.low', str(32 << 20)),
    ('docker:shm_size_mb', '8', 'grep -o "shm .*size=8192k" /proc/mounts | '
     'wc -l', '1'),
    ('docker:oom_score_adj', '77', 'cat /proc/1/oom_score_adj', '77'),
    # Of the first process: what runc executes may have runc's own.
    ('docker:ulimit_nofile', '77:99',
     'awk "/open files/ {print \\$4, \\$5}" /proc/1/limits', '77 99'),
    ('docker:sysctl_net.core.somaxconn', '77',
     'cat /proc/sys/net/core/somaxconn', '77'),
    ('docker:sysctl_kernel.msgmax', '77', 'cat /proc/sys/kernel/msgmax',
     '77'),
    ('docker:tmpfs', '/srv:size=1m', 'grep -c " /srv tmpfs" /proc/mounts',
     '1'),
    # The engine's default, without MKNOD and SETFCAP and with IPC_LOCK.
    ('docker:cap_add', 'IPC_LOCK', 'grep -o "CapBnd.*" /proc/1/status',
     'CapBnd:\t00000000200465fb'),
    ('docker:cap_drop', 'SETFCAP', 'true', ''),
    ('docker:security_opt', 'no-new-privileges:false',
     'grep NoNewPrivs /proc/1/status', 'NoNewPrivs:\t0'),
    ('docker:seccomp_profile', 'mine', 'mkdir /x && echo made', ''),
    ('docker:devices', '/dev/fuse:/dev/x:r',
     'stat -c %F /dev/x; (: < /dev/x) && echo read; '
     '(: > /dev/x) && echo written', 'character special file\nread'),
    ('docker:init', 'true', 'cat /proc/1/comm', 'docker-init'),
    # The most, as cgroup v2 has it, too.
    ('quota:cpu_shares', '262144', 'cat /sys/fs/cgroup/cpu/cpu.shares || '
     'sed s/^10000$/262144/ /sys/fs/cgroup/cpu.weight', '262144'),
    ('quota:cpu_quota', '70000', 'cd /sys/fs/cgroup; echo $(cat '
     'cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu.max)', '70000 90000'),
    ('quota:cpu_period', '90000', 'true', ''),
    ('quota:disk_total_bytes_sec', '246913578', THROTTLED + '123456789', '2'),
    ('quota:disk_read_iops_sec', '12345', THROTTLED + '12345', '1'),
    ('quota:disk_write_iops_sec', '12346', THROTTLED + '12346', '1'),
)
#: The engine has it as well as its default, runc.
RUNTIME = 'io.containerd.runc.v2'
SECCOMP = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [
    {'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO'}]}


class EffectsTest(flavors.FlavorTestCase):

    def test_each_has_its_effect(self):
        directory = self.useFixture(fixtures.TempDir()).path
        with open(os.path.join(directory, 'mine.json'), 'w') as file:
            json.dump(SECCOMP, file)
        self.restart(seccomp_profiles_dir=directory,
                     allowed_devices=['/dev/fuse'], root_disk='unlimited')
        self.add(**{name: value for name, value, *_others in EFFECTS},
                 **{'docker:runtime': RUNTIME})
        server = self.boot()
        for name, _value, command, wanted in EFFECTS:
            self.assertEqual(wanted, self.inside(server, command), name)
        self.assertEqual(
            RUNTIME, self.container(server)['HostConfig']['Runtime'])
        self.delete(server)

    @base.one_nova
    def test_log_and_stop(self):
        """It logs more than is kept, and needs more than the host's second."""
        self.flags(shutdown_timeout=1)
        self.add(**{'docker:log_max_size_mb': '1',
                    'docker:log_max_files': '3',
                    'docker:stop_timeout': '60'})
        self.image_id = self.add_image(
            busybox.archive(), 'bb', properties={'os_command_line': (
                'sh -c "trap \'sleep 3; echo; echo clean; exit\' TERM; '
                'echo ready; head -c 6000000 /dev/zero | tr \'\\0\' x; '
                'while :; do sleep 1 & wait $!; done"')})
        server = self.boot()
        logs = self.container(server)['LogPath'] + '*'
        engine_cases.wait_until(lambda: len(glob.glob(logs)) == 3)
        self.act(server, {'os-stop': {}}, 'SHUTOFF')
        self.assertIn('clean', self.console(server, 'clean'))
        self.assertEqual(3, len(glob.glob(logs)))
        self.delete(server)

    def test_the_api_refuses(self):
        for name, value in (('docker:typo', '1'), ('docker:init', 'perhaps'),
                            ('docker:ulimit_nproc', '9'),
                            ('docker:tmpfs', '/etc')):
            error = self.assertRaises(
                api_client.OpenStackApiException, self.add, **{name: value})
            self.assertEqual(400, error.response.status_code)
            self.assertIn(name, str(error))

    @base.one_nova
    def test_read_only_files(self):
        self.add(**{'docker:read_only_rootfs': 'true',
                    'docker:tmpfs': '/run'})
        server = self.boot()
        self.assertEqual('no', self.inside(
            server, 'touch /x || echo no; touch /run/x'))
        self.delete(server)

    @base.one_nova
    def test_limits_of_disks(self):
        self.restart(root_disk='filesystem')
        self.add(**{'quota:disk_read_bytes_sec': '12345678',
                    'quota:disk_write_bytes_sec': '12345679',
                    'quota:disk_total_iops_sec': '24691'})
        server = self.boot()
        for number, count in ((12345678, '2'), (12345679, '2'), (12345, '4')):
            self.assertEqual(count, self.inside(
                server, f'{THROTTLED}{number}'))
        image, = glob.glob(f'{self.state_dir}/disks/{server["id"]}/root-*')
        disk = blocks.disk_of(self.engine.info()['DockerRootDir'])
        self.assertEqual(
            {'{}:{}'.format(*each) for each in (disk, blocks.loop_of(image))},
            {line.split()[0] for line in self.inside(
                server, 'grep -h 12345678 '
                '/sys/fs/cgroup/blkio/blkio.throttle.read_bps_device '
                '/sys/fs/cgroup/io.max').splitlines()})
        self.delete(server)


class PowerTest(flavors.FlavorTestCase):

    def test_only_where_the_host_allows_it(self):
        # With another host to try, the log of nova-conductor would have it.
        self.flags(group='scheduler', max_attempts=1)
        self.add(**{'docker:nesting': 'true', 'docker:userns': 'remap',
                    'docker:apparmor_profile': 'mine'})
        fault = self.fault(self.boot('ERROR'))
        for words in ('docker:nesting', 'does not remap users',
                      'docker:apparmor_profile=mine'):
            self.assertIn(words, fault)
        self.assert_nothing_left()

    @base.one_nova
    def test_nesting(self):
        """It mounts, and makes namespaces and control groups."""
        self.restart(allow_privileged=True)
        self.add(**{'docker:nesting': 'true'})
        server = self.boot()
        self.assertEqual('tmpfs', self.inside(
            server, 'mkdir /m && mount -t tmpfs x /m && stat -f -c %T /m'))
        self.assertEqual('made', self.inside(
            server, 'for group in /sys/fs/cgroup /sys/fs/cgroup/*/; do '
            '[ ! -e $group/cgroup.procs ] || { mkdir $group/x && '
            'rmdir $group/x; } || exit; done; echo made'))
        self.assertEqual('1', self.inside(
            server, 'echo 1 > /proc/sys/net/ipv4/ip_forward; '
            'cat /proc/sys/net/ipv4/ip_forward'))
        # Which is the host's.
        self.assertEqual('', self.inside(
            server, 'echo 1 > /proc/sys/kernel/panic && echo written'))
        # No disk of the host.
        self.assertEqual('0', self.inside(
            server, 'ls -l /dev | grep -c ^b'))
        self.delete(server)

    @base.one_nova
    def test_privileged(self):
        self.restart(allow_privileged=True)
        self.add(**{'docker:privileged': 'true'})
        server = self.boot()
        self.assertNotEqual('0', self.inside(
            server, 'ls -l /dev | grep -c ^b'))
        self.delete(server)
