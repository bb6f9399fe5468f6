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

from nova.api.validation.extra_specs import validators
from nova.tests.functional.api import client as api_client

from nova_docker import extra_specs
from nova_docker.spec import names
from tests.functional import base

#: Of each extra spec: its value, a command, and what it prints.
EFFECTS = (
    ('pids_limit', '99', 'cat /sys/fs/cgroup/pids/pids.max '
     '/sys/fs/cgroup/pids.max 2>/dev/null', '99'),
    ('memory_reservation_mb', '32',
     'cat /sys/fs/cgroup/memory/memory.soft_limit_in_bytes '
     '/sys/fs/cgroup/memory.low 2>/dev/null', str(32 << 20)),
    ('shm_size_mb', '8', 'df -k /dev/shm | tail -1 | awk "{print \\$2}"',
     '8192'),
    ('oom_score_adj', '77', 'cat /proc/1/oom_score_adj', '77'),
    ('ulimit_nofile', '77:99', 'ulimit -n; ulimit -Hn', '77\n99'),
    ('ulimit_core', '0', 'ulimit -c', '0'),
    ('sysctl_net.core.somaxconn', '77', 'cat /proc/sys/net/core/somaxconn',
     '77'),
    ('sysctl_kernel.msgmax', '77', 'cat /proc/sys/kernel/msgmax', '77'),
    ('tmpfs', '/srv:size=1m', 'grep -c " /srv tmpfs" /proc/mounts', '1'),
    ('cap_add', 'IPC_LOCK', 'grep CapBnd /proc/1/status',
     'CapBnd:\t00000000a00465fb'),
    ('cap_drop', 'CHOWN,NET_RAW,SETFCAP,KILL', '', ''),
    ('security_opt', 'no-new-privileges:false',
     'grep NoNewPrivs /proc/1/status', 'NoNewPrivs:\t0'),
    ('seccomp_profile', 'mine', 'mkdir /x 2>&1; echo $?',
     "mkdir: can't create directory '/x': Operation not permitted\n1"),
    ('devices', '/dev/fuse:/dev/x:r',
     'stat -c %F /dev/x; : < /dev/x && echo opened; : > /dev/x',
     'character special file\nopened'),
    ('runtime', 'runc', '', ''),
    ('stop_timeout', '3', '', ''),
    ('log_max_size_mb', '3', '', ''),
    ('log_max_files', '4', '', ''),
)
SECCOMP = {'defaultAction': 'SCMP_ACT_ALLOW', 'syscalls': [
    {'names': ['mkdir', 'mkdirat'], 'action': 'SCMP_ACT_ERRNO'}]}


class FlavorTestCase(base.FunctionalTestCase):

    def set(self, **specs):
        self.admin_api.post_extra_spec(self.flavor_id, {'extra_specs': {
            (name if ':' in name else f'docker:{name}'): value
            for name, value in specs.items()}})

    def inside(self, server, command):
        """What a command prints in a server."""
        container = self.engine.inspect_container(
            names.container_name(server['id']))
        return base.run_inside(container['State']['Pid'], command)

    def restart(self, **options):
        self.flags(group='docker', **options)
        self.restart_compute_service('host1')
