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

"""Small functions of plain values that run as root.

The context is our own and not Nova's because entering the network namespace
of a process that still has all capabilities needs CAP_SYS_PTRACE.
"""

from oslo_config import cfg
from oslo_privsep import capabilities
from oslo_privsep import priv_context

sys_admin_pctxt = priv_context.PrivContext(
    'nova_docker',
    cfg_section='nova_docker_privileged',
    pypath=__name__ + '.sys_admin_pctxt',
    capabilities=[capabilities.CAP_CHOWN,
                  capabilities.CAP_DAC_OVERRIDE,
                  capabilities.CAP_DAC_READ_SEARCH,
                  capabilities.CAP_FOWNER,
                  capabilities.CAP_KILL,
                  capabilities.CAP_MKNOD,
                  capabilities.CAP_NET_ADMIN,
                  capabilities.CAP_SYS_ADMIN,
                  capabilities.CAP_SYS_PTRACE],
)

#: For shares alone: their storage may not answer, and whoever waits for it
#: must not keep the few threads that everybody else's requests have.
shares_pctxt = priv_context.PrivContext(
    'nova_docker',
    cfg_section='nova_docker_shares',
    pypath=__name__ + '.shares_pctxt',
    capabilities=[capabilities.CAP_DAC_OVERRIDE,
                  capabilities.CAP_DAC_READ_SEARCH,
                  capabilities.CAP_SYS_ADMIN],
)

#: For the files of servers that move, which takes minutes: whoever waits for
#: less must not wait for that.
moves_pctxt = priv_context.PrivContext(
    'nova_docker',
    cfg_section='nova_docker_moves',
    pypath=__name__ + '.moves_pctxt',
    capabilities=[capabilities.CAP_CHOWN,
                  capabilities.CAP_DAC_OVERRIDE,
                  capabilities.CAP_DAC_READ_SEARCH,
                  capabilities.CAP_FOWNER,
                  capabilities.CAP_FSETID,
                  capabilities.CAP_MKNOD,
                  capabilities.CAP_SETFCAP,
                  capabilities.CAP_SYS_ADMIN,
                  capabilities.CAP_SYS_CHROOT],
)
# They wait for disks and networks and not for CPUs, of which the default is
# the number; one that waits for another one here does not get on.
cfg.CONF.set_default('thread_pool_size', 64, group=moves_pctxt.cfg_section)
