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


"""What init_host does before nova-compute takes on work.

It refuses a host that cannot run instances, with one message that says what
to do, and removes what instances without a container left on the host.
"""

import collections.abc
import contextlib
import dataclasses
import os

from oslo_log import log as logging

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker import exception
from nova_docker.host import info as host_info
from nova_docker.spec import names
from nova_docker.spec import state

LOG = logging.getLogger(__name__)

#: Oldest API version, that of Docker Engine 25: the first with CDI.
API_FLOOR = (1, 44)

#: Limits without which an instance is not held to its flavor, as docker info
#: names them, and the cgroup controller that each needs.
_LIMITS = (('MemoryLimit', 'memory'), ('CpuCfsQuota', 'cpu'),
           ('PidsLimit', 'pids'))
#: Settings of the kernel for what it counts for root of all instances, or for
#: the host, and of how many an instance's memory comes to its end first.
SHARED = {'fs/inotify/max_user_instances': 1048576,
          'kernel/pty/max': 1048576}

#: Why instances may swap more than they should.
NO_SWAP_LIMIT = ('The kernel does not account for swap: instances may use '
                 'more of it than their flavors allow')


@dataclasses.dataclass(frozen=True)
class Kept:
    """A kind of thing that the driver keeps on the host for an instance.

    :ivar what: what it is, for the log
    :ivar instances: the uuids of the instances that have one
    :ivar remove: removes the one of an instance, if there
    """

    what: str
    instances: collections.abc.Callable[[], collections.abc.Iterable[str]]
    remove: collections.abc.Callable[[str], None]


def check(engine: client.Engine, url: str, cdi_spec_dir: str,
          proc: str = '/proc', sys: str = '/sys') -> host_info.HostInfo:
    """Make sure that instances can run here.

    :param url: the address of the engine, for the messages
    :raises HostUnusable: they cannot; the message says what to do
    """
    engine_info = reach(engine, url)
    check_limits(engine_info)
    check_cdi(engine_info, cdi_spec_dir)
    host = see(engine_info, proc, sys)
    if not engine_info.get('SwapLimit'):
        LOG.warning('%s', NO_SWAP_LIMIT)
    if low := low_settings(proc):
        LOG.warning('%s', low)
    LOG.info('Docker Engine %(version)s: storage driver %(storage)s, cgroup '
             'v%(cgroup)s, data in %(root)s, %(disk)d GiB',
             {'version': host.engine_version, 'storage': host.storage_driver,
              'cgroup': host.cgroup_version, 'root': host.data_root,
              'disk': host.disk_gb})
    return host


def see(engine_info: client.Json, proc: str = '/proc',
        sys: str = '/sys') -> host_info.HostInfo:
    """What this host is.

    :raises HostUnusable: as of :func:`check`
    """
    try:
        return host_info.read(engine_info, proc, sys)
    except OSError as error:
        raise _unusable(
            f'The data root of the engine cannot be seen: {error}. '
            'nova-compute must run on the host of the engine; when it runs '
            'in a container, mount this directory there under the same path, '
            'read-only.')


def reach(engine: client.Engine, url: str) -> client.Json:
    """The answer to GET /info of an engine that the driver can use.

    :raises HostUnusable: as of :func:`check`
    """
    try:
        version = engine.version()
        engine_info = engine.info()
    except errors.TooOld as error:
        raise _unusable(f'{error}. Install Docker Engine 25 or newer.')
    except errors.Timeout as error:
        raise _unusable(
            f'The Docker Engine at {url} accepts connections and does not '
            f'answer ({error}). Restart it or see its log.')
    except errors.EngineError as error:
        raise _unusable(
            f'No Docker Engine can be used at {url}: {error}. Start it, set '
            '[docker]url to its address, and let the user of nova-compute '
            'access it.')
    _check_engine(version, engine_info)
    return engine_info


def _check_engine(version: client.Json, engine_info: client.Json) -> None:
    number = version.get('Version', '')
    api = version.get('ApiVersion', '0')
    if tuple(int(part) for part in api.split('.')) < API_FLOOR:
        raise _unusable(
            f'Docker Engine {number} is too old: it speaks API {api} and '
            f'{".".join(map(str, API_FLOOR))} is needed. Install Docker '
            'Engine 25 or newer.')
    if engine_info.get('OSType') != 'linux':
        raise _unusable(
            f'The Docker Engine runs {engine_info.get("OSType")} containers '
            'and Linux containers are needed.')
    if 'rootless' in host_info.security_options(
            engine_info.get('SecurityOptions') or ()):
        raise _unusable(
            'The Docker Engine runs rootless and cannot plug network '
            'interfaces. Use an engine that runs as root.')


def check_limits(engine_info: client.Json) -> None:
    """Make sure that instances can be held to their flavors.

    :raises HostUnusable: as of :func:`check`
    """
    missing = [controller for key, controller in _LIMITS
               if not engine_info.get(key)]
    if missing:
        raise _unusable(
            'The Docker Engine cannot limit what instances use: no cgroup '
            f'controller {", ".join(missing)}. Mount cgroups and enable the '
            'controllers in the kernel of the host.')


def low_settings(proc: str = '/proc') -> str:
    """What of the kernel is to be set higher; empty for nothing."""
    low = []
    for name, least in SHARED.items():
        # Kernels without it have nothing to share.
        with contextlib.suppress(OSError), open(
                os.path.join(proc, 'sys', name), encoding='ascii') as file:
            if int(file.read()) < least:
                low.append(f'{name.replace("/", ".")} = {least}')
    return ('One instance can take from all others, and from this host, what '
            'its kernel counts for all of them. Set with sysctl: '
            + ', '.join(low)) if low else ''


def check_labels(engine: client.Engine, host: str) -> None:
    """Make sure that all containers of this host were made by no newer driver.

    Those of older ones are taken over as they are.

    :raises HostUnusable: as of :func:`check`
    :raises EngineError: the containers cannot be listed
    """
    newer = sorted({
        names.instance_uuid(labels) for labels in (
            each['Labels'] for each in engine.list_containers(
                [names.LABEL_INSTANCE, *names.host_filter(host)]))
        if not names.is_known(labels)})
    if newer:
        raise _unusable(
            'Servers of this host were created by a newer nova-docker '
            f'({len(newer)} of them, such as {newer[0]}), and this one does '
            'not know what labels of a version above '
            f'{names.SCHEMA} mean. They run on; install that version again, '
            'or one that is newer still.')


def check_cdi(engine_info: client.Json, cdi_spec_dir: str) -> None:
    """Make sure that the engine reads the CDI specifications of instances.

    :raises HostUnusable: as of :func:`check`
    """
    cdi_dirs = engine_info.get('CDISpecDirs') or []
    if not cdi_dirs:
        raise _unusable(
            'The Docker Engine has CDI (Container Device Interface) off. Add '
            '"features": {"cdi": true} to its daemon.json and restart it.')
    # /var/run is a link to /run on most systems.
    wanted = os.path.realpath(cdi_spec_dir)
    if wanted not in {os.path.realpath(path) for path in cdi_dirs}:
        raise _unusable(
            f'[docker]cdi_spec_dir is {cdi_spec_dir} and the Docker Engine '
            f'reads CDI specifications from {", ".join(cdi_dirs)}. Set the '
            'option to one of these, or add the directory to "cdi-spec-dirs" '
            'in its daemon.json.')


def _unusable(reason: str) -> exception.HostUnusable:
    return exception.HostUnusable(reason=reason)


def reconcile(engine: client.Engine,
              kept: collections.abc.Iterable[Kept]) -> None:
    """Remove what is kept for instances that have no container.

    Such things stay behind when nova-compute dies in the middle of a spawn or
    a destroy. A container is never removed here, also when Nova does not know
    its instance: Nova decides and destroys. Those of other nova-computes on
    the same engine keep their things too. One failure does not stop the rest,
    nor nova-compute.

    :raises EngineError: the containers cannot be listed
    """
    present = {state.instance(summary)
               for summary in engine.list_containers([names.LABEL_INSTANCE])}
    for kind in kept:
        for uuid in set(kind.instances()) - present:
            LOG.info('Removing the %s of instance %s, which has no container',
                     kind.what, uuid)
            try:
                kind.remove(uuid)
            except Exception:
                LOG.exception('Cannot remove the %s of instance %s',
                              kind.what, uuid)
