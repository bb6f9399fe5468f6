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

"""Each process of these tests has a network of its own.

Nova's Neutron fixture hands out the same ports to everybody, so two runs on
one host would take each other's interfaces.
"""

import ctypes
import os

from tests import bootstrap

_CLONE_NEWNET = 0x40000000


def _leave_the_network() -> None:
    """Move this process, which has one thread yet, to a new namespace."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f'no new network: {os.strerror(error)}')
    # Not before Nova has chosen its concurrency.
    import pyroute2
    with pyroute2.IPRoute() as ip:
        ip.link('set', index=1, state='up')


bootstrap.install()
_leave_the_network()
