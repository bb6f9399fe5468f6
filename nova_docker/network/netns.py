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


"""What happens inside a container's network namespace.

After a start the namespace is held: bound to a file, it outlives the
container with the port's interface in it, and the next start only moves the
interface on. That needs neither Neutron nor Open vSwitch, and the port does
not flap.
"""

import collections.abc
import contextlib
import errno
import os

from oslo_log import log as logging
import tenacity

from nova_docker.network import plans
from nova_docker.network import process
from nova_docker.privsep import netns
from nova_docker.spec import ports as ports_spec
from nova_docker.spec import routing

LOG = logging.getLogger(__name__)

#: Seconds that a virtual function may be on its way from a namespace that
#: ends.
_PATIENCE = 10
_PAUSE = 0.1

_Ports = collections.abc.Iterable[ports_spec.Port]


def configure(pid: int, ports: _Ports, earlier: _Ports = ()) -> None:
    """Have ports in the namespace of a process and set them up (idempotent).

    Those that are parked are moved there first.

    :param earlier: the plan until now of ports that are inside already
    :raises OSError: the process or a device is gone, or a setting is refused
    """
    netns.configure(pid, [port.to_dict() for port in ports],
                    [port.to_dict() for port in earlier])


def route(pid: int, ports: _Ports, earlier: _Ports = ()) -> None:
    """Have each of several ports send what its addresses send (idempotent).

    :param ports: all that are in the namespace of the process
    :param earlier: those that were until now
    :raises OSError: the process is gone, or a setting is refused
    """
    tables = routing.tables(ports)
    if not tables and not routing.tables(earlier):
        return
    if not netns.route(pid, [table.to_dict() for table in tables]):
        LOG.warning('The kernel has no policy routing '
                    '(CONFIG_IP_MULTIPLE_TABLES, '
                    'CONFIG_IPV6_MULTIPLE_TABLES). A container with several '
                    'ports may not be reached by each of them.')


def forget(pid: int, port: ports_spec.Port) -> None:
    """Remove what a port leaves in a namespace when its pair is deleted.

    :raises OSError: the process is gone, or the kernel refuses
    """
    if port.limits.inbound:
        netns.forget(pid, port.to_dict())


def hold(path: str, pid: int) -> None:
    """Keep the namespace of a container's process over its end.

    :param path: of nova_docker.network.plans.netns_path
    :raises OSError: the process is gone
    """
    started = process.start_time(pid)
    plans.write_json(_owner(path), {
        'pid': pid, 'started': started, 'inode': netns.hold(path, pid)})


def held(path: str) -> bool:
    """Whether a namespace is held at this path."""
    return os.path.ismount(path)


def owner(path: str) -> int | None:
    """The process whose namespace is held at this path, while it runs."""
    known = plans.read_json(_owner(path))
    if known and process.start_time(known['pid']) == known['started']:
        return int(known['pid'])
    return None


def ended(path: str) -> bool:
    """Whether the process has ended whose namespace was held at this path.

    An engine may list its container as running for a while yet.
    """
    return os.path.exists(_owner(path)) and owner(path) is None


def in_use(path: str) -> bool:
    """Whether the process runs whose namespace is held at this path."""
    return owner(path) is not None


def take_back(path: str, ports: _Ports) -> bool:
    """Park the interfaces of a held namespace again and let it go.

    For the time before a start, with the instance's turn taken.

    :param ports: the plan that they were configured by
    :returns: False when one of them is missing; what is left of the pairs
        then goes with the namespace, but not at once
    :raises BlockingIOError: the container runs and would lose its network
    """
    if in_use(path):
        raise BlockingIOError(errno.EBUSY, 'the container runs')
    # Before the first start there is none, and no reason to ask root.
    taken = os.path.exists(path) and bool(
        netns.take_back(path, [port.to_dict() for port in ports]))
    _let_go(path)
    return taken


def give_back(path: str, ports: _Ports) -> None:
    """Have the virtual functions of ports on the host, under their own names.

    They may be in a held namespace, even a container's that runs, or on their
    way from one that ends.

    :raises OSError: the kernel refuses
    """
    functions = [port.to_dict() for port in ports if port.pci_address]
    if not functions:
        return
    missing = tenacity.Retrying(
        retry=tenacity.retry_if_result(bool),
        stop=tenacity.stop_after_delay(_PATIENCE),
        wait=tenacity.wait_fixed(_PAUSE),
        retry_error_callback=lambda state: state.outcome and
        state.outcome.result())(netns.give_back, path, functions)
    if missing:
        LOG.warning('The virtual functions %s of network cards did not come '
                    'back to the host.', missing)


def set_down(path: str, ports: _Ports = ()) -> bool:
    """Set the interfaces down of a container that died.

    Its held namespace answers ping otherwise. Virtual functions go back to
    the host. Safe at any time and without a lock: the namespace of a live
    container is left alone.

    :param ports: the plan that they were configured by
    :returns: whether they were
    """
    known = plans.read_json(_owner(path))
    if not known or in_use(path):
        return False
    return bool(netns.set_down(path, known['inode'],
                               [port.to_dict() for port in ports]))


def release(path: str, ports: _Ports = ()) -> None:
    """Let the namespace go, if there is one (idempotent).

    :param ports: the plan that they were configured by
    :raises OSError: the kernel does not give a virtual function back
    """
    give_back(path, ports)
    _let_go(path)


def _let_go(path: str) -> None:
    if os.path.exists(path):
        netns.release(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_owner(path))


def _owner(path: str) -> str:
    return f'{path}.json'
