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

"""The end of a terminal, for the processes behind it."""

import os
import signal

import nova_docker.privsep
from nova_docker.privsep import inside


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def hang_up(pid: int, container: str) -> None:
    """Tell a process of a container that its terminal has gone (SIGHUP).

    :param container: id of the container, whose process it must be
    :raises ProcessLookupError, FileNotFoundError: it has ended, or it is none
        of that container
    """
    process = os.pidfd_open(pid)
    try:
        inside.check_member(pid, container)
        signal.pidfd_send_signal(process, signal.SIGHUP)
    finally:
        os.close(process)
