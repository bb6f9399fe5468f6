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

from oslotest import base

from nova_docker.spec import extra_specs
from nova_docker.spec import privileges


#: Name, value and what the driver makes of it.
VALUES = (
    ('pids_limit', '16', 16),
    ('net_admin', 'True', True),
    ('volume_mount_path', '/mnt/{device}', '/mnt/{device}'),
    ('memory_reservation_mb', '64', 64),
    ('shm_size_mb', '1', 1),
    ('huge_pages_mb', '2', 2),
    ('oom_score_adj', '1000', 1000),
    ('ulimit_nofile', '1024', (1024, 1024)),
    ('ulimit_core', '0:-1', (0, -1)),
    ('ulimit_memlock', '-1', (-1, -1)),
    ('sysctl_net.core.somaxconn', '5', '5'),
    ('sysctl_net.ipv4.tcp_rmem', '1 2\t3', '1 2\t3'),
    ('sysctl_kernel.shmmax', '1', '1'),
    ('sysctl_fs.mqueue.msg_max', '1', '1'),
    ('init', 'yes', True),
    ('tmpfs', '/run:size=1m,exec,/tmp', {'/run': 'size=1m,exec',
                                         '/tmp': ''}),
    ('read_only_rootfs', '1', True),
    ('stop_timeout', '3600', 3600),
    ('log_max_size_mb', '1', 1),
    ('log_max_files', '9', 9),
    ('runtime', 'io.containerd.runsc.v1', 'io.containerd.runsc.v1'),
    ('userns', 'remap', 'remap'),
    ('cap_add', 'NET_ADMIN,CAP_SYS_PTRACE', ('NET_ADMIN', 'SYS_PTRACE')),
    ('cap_drop', 'ALL', ('ALL',)),
    ('security_opt', 'no-new-privileges:false',
     ('no-new-privileges:false',)),
    ('security_opt', 'label=level:s0:c1,c2,systempaths=unconfined',
     ('label=level:s0:c1,c2', 'systempaths=unconfined')),
    ('seccomp_profile', 'mine', 'mine'),
    ('apparmor_profile', 'nova/mine', 'nova/mine'),
    ('devices', '/dev/fuse', (
        privileges.Device('/dev/fuse', '/dev/fuse', 'rw'),)),
    ('devices', '/dev/a:/dev/b:r,/dev/c:/dev/d', (
        privileges.Device('/dev/a', '/dev/b', 'r'),
        privileges.Device('/dev/c', '/dev/d', 'rw'))),
    ('nesting', 'false', False),
    ('privileged', 'true', True),
)
BAD = {
    'oom_score_adj': ('-1', '1001'),
    'ulimit_nofile': ('', 'x', '2:1', '1:2:3', '-2', '-1:5', '1:'),
    'sysctl_net.core.somaxconn': ('', ' 5', '5\n', '5;6'),
    'tmpfs': ('/etc', '/run:suid', 'run'),
    'stop_timeout': ('0', '3601'),
    'runtime': ('', '-x', 'a b', '../x'),
    'userns': ('host', ''),
    'cap_add': ('ALL', 'net_admin', 'KILL,KILL', 'KILL,CAP_KILL', '',
                'KILL, CHOWN'),
    'cap_drop': ('NONE',),
    'security_opt': ('', 'seccomp=unconfined', 'apparmor=x', 'label=x:y',
                     'no-new-privileges=false', 'systempaths=confined'),
    'seccomp_profile': ('../x', '/etc/x', ''),
    'apparmor_profile': ('-x', ''),
    'devices': ('', '/dev/../etc/passwd', '/etc/x', '/dev/x:/etc/x',
                '/dev/x::rx', '/dev/a,/dev/b:/dev/a'),
}


class ParseTest(base.BaseTestCase):

    def test_other_namespaces_are_not_ours(self) -> None:
        self.assertEqual({}, extra_specs.parse({
            'hw:cpu_policy': 'x', 'dockers:a': 'b', 'pids_limit': 'z'}))

    def test_values(self) -> None:
        for name, value, wanted in VALUES:
            self.assertEqual({name: wanted}, extra_specs.parse(
                {f'docker:{name}': value}))

    def test_each_has_a_value(self) -> None:
        seen = {f'docker:{name.partition("_")[0]}_{{name}}'
                if name.startswith(('ulimit_', 'sysctl_')) else
                f'docker:{name}' for name, _value, _wanted in VALUES}
        self.assertEqual(extra_specs.SPECS.keys(), seen)

    def test_bad_values(self) -> None:
        for name, values in BAD.items():
            for value in values:
                error = self.assertRaises(
                    ValueError, extra_specs.parse, {f'docker:{name}': value})
                self.assertIn(f'docker:{name}', str(error))

    def test_accepts_from_lowest_to_highest(self) -> None:
        for value in ('16', '4194304'):
            extra_specs.parse({'docker:pids_limit': value})

    def test_refuses_bad_values(self) -> None:
        for value in ('15', '-1', '4194305', 'many', '', '1.5'):
            error = self.assertRaises(
                ValueError, extra_specs.parse,
                {'docker:pids_limit': value})
            self.assertIn('docker:pids_limit', str(error))

    def test_booleans(self) -> None:
        for value in ('true', 'False', 'no', '1'):
            extra_specs.parse({'docker:net_admin': value})
        for value in ('', 'maybe', '2'):
            error = self.assertRaises(
                ValueError, extra_specs.parse,
                {'docker:net_admin': value})
            self.assertIn('docker:net_admin', str(error))

    def test_refuses_unknown_names(self) -> None:
        for name in ('docker:typo', 'docker:', 'docker:pids-limit',
                     'docker:ulimit_nproc', 'docker:ulimit_{name}',
                     'docker:ulimit_msgqueue', 'docker:ulimit_rss',
                     # Of the whole host, with some kernels.
                     'docker:sysctl_net.ipv4.'
                     'tcp_allowed_congestion_control',
                     'docker:sysctl_net.netfilter.nf_conntrack_max',
                     'docker:sysctl_vm.swappiness', 'docker:sysctl_net.',
                     'docker:sysctl_kernel.core_pattern'):
            error = self.assertRaises(
                ValueError, extra_specs.parse, {name: 'true'})
            self.assertIn(name, str(error))
