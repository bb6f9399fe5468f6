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


"""A driver and the bare Docker Engine API, side by side on one engine.

Real are the engine, the driver, its gate and start hook, the veth pairs, the
namespaces and, unless told otherwise, root's daemon and an Open vSwitch. Nova
gives its objects only: there is no database, no Neutron to wait for, and the
image is in the engine before anything is timed.
"""

import argparse
import collections
import collections.abc
import contextlib
import functools
import ipaddress
import os
import pathlib
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
import typing

import fixtures
from glanceclient.common import http
from nova.compute import utils as compute_utils
from nova.compute import vm_states
import nova.conf
from nova import context
from nova.image import glance
from nova.network import model
from nova import objects
from nova.tests import fixtures as nova_fixtures
from nova.virt import fake as nova_fake
import os_vif
from oslo_utils import uuidutils
from vif_plug_ovs import privsep as ovs_privsep

from nova_docker import driver
from nova_docker.engine import errors
from nova_docker.engine import session
from nova_docker.engine import transport
from nova_docker.network import metadata
from nova_docker.network import netns
from nova_docker.network import trunks
from nova_docker.network import vif
from nova_docker import privsep
from nova_docker.spec import limits
from nova_docker.spec import names
from nova_docker.spec import volumes as spec
from nova_docker.volume import filesystem
from tests.benchmarks import results
from tests.fixtures import busybox
from tests.fixtures import dockerd
from tests.fixtures import loops
from tests.fixtures import openvswitch
from tests.fixtures import volumes

CONF = nova.conf.CONF
HOST = f'benchmark-{os.getpid()}'
_IMAGE = uuidutils.generate_uuid()
_NETWORK = uuidutils.generate_uuid()
_CHECKSUM = '0123456789abcdef0123456789abcdef'
_COMMAND = 'sleep 100000'
_MEMORY_MB = 64
#: The ports' network.
CIDR, MTU = '10.0.0.0/16', 1450
_PIDS = 4096
#: A session of its own: Ctrl-C must not end what the clean-up needs.
_HELPER = f'setsid {sys.prefix}/bin/privsep-helper'


def arguments(description: str, pairs: int, vif: bool = True,
              megabytes: int = 0) -> argparse.Namespace:
    """The options of a benchmark.

    :param vif: whether it can do without a switch
    :param megabytes: how much a server writes at most, where it matters
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--pairs', type=int, default=pairs, metavar='N',
                        help='rounds, %(default)s by default')
    if megabytes:
        parser.add_argument(
            '--megabytes', type=int, default=megabytes, metavar='N',
            help='leave out servers that have written more than that, '
                 '%(default)s by default')
    parser.add_argument(
        '--vif', choices=('ovs', 'none') if vif else ('ovs',), default='ovs',
        help='plug into an Open vSwitch in userspace (default), or leave '
             'out os-vif')
    parser.add_argument(
        '--privsep', choices=('daemon', 'inside'), default='daemon',
        help="root's functions in their daemon as in production (default), "
             'or in this process')
    return parser.parse_args()


class _Glance:
    """nova.image.glance.API with one image, and room for any other."""

    def __init__(self, archive: bytes) -> None:
        self._archive = archive

    def get(self, context: typing.Any, image_id: str) -> typing.Any:
        return {'id': image_id, 'properties': {}}

    def update(self, context: typing.Any, image_id: str,
               image_info: typing.Any, data: typing.Any,
               purge_props: bool) -> typing.Any:
        # The part of glanceclient that reads it.
        return {'size': sum(map(len, http._BaseHTTPClient._chunk_body(data)))}

    def download(self, context: typing.Any, id_or_uri: str, *,
                 data: typing.Any, trusted_certs: typing.Any) -> None:
        data.write(self._archive)


class Bed(fixtures.Fixture):
    """The driver, and the same engine without it; leaves nothing behind.

    :param archive: of the image that instances have, instead of busybox
    :ivar spent: seconds by part of the work, summed up
    """

    def __init__(self, options: argparse.Namespace,
                 archive: bytes | None = None) -> None:
        super().__init__()
        self._options = options
        self._archive = archive or busybox.archive()
        self.spent: dict[str, float] = collections.defaultdict(float)
        self._lock = threading.Lock()
        self._mount_paths: dict[str, str] = {}
        #: For ports of the one network that there is.
        self.addresses = map(str, ipaddress.ip_network(CIDR).hosts())

    def _setUp(self) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._find_engine()
        self._set_up_network()
        self._patch(glance, 'API', lambda: _Glance(self._archive))
        # Asked of Neutron once in an hour.
        self._patch(metadata, 'addresses', lambda *_: {})
        # Asked of Neutron at each start.
        self._patch(trunks, 'subports', lambda _, network_info, known:
                    dict.fromkeys((port['id'] for port in network_info), {}))
        # Asked of Neutron at each attach.
        self._patch(compute_utils, 'refresh_info_cache_for_instance',
                    lambda *_: None)
        # Asked of Cinder at each attach.
        self._patch(filesystem, 'metadata', lambda _, volume_id: {
            spec.METADATA: self._mount_paths[volume_id]})
        self._patch(objects.Instance, 'save', lambda *_: None)
        for target, name, part in (
                (vif, 'plug', 'ports'), (os_vif, 'plug', 'os-vif'),
                (os_vif, 'unplug', 'os-vif'), (netns, 'configure', 'gate'),
                (netns, 'route', 'gate'), (netns, 'hold', 'gate'),
                (session.Session, 'create_container', 'create'),
                (session.Session, 'start_container', 'start')):
            self.time(target, name, part)
        self._start()

    def _patch(self, target: object, name: str, value: object) -> None:
        self.useFixture(fixtures.MockPatchObject(target, name, value))

    def time(self, target: object, name: str, part: str) -> None:
        """Add what a function takes to a part of :attr:`spent`."""
        self._patch(target, name, self._timed(getattr(target, name), part))

    def _timed(self, function: collections.abc.Callable[..., typing.Any],
               part: str) -> collections.abc.Callable[..., typing.Any]:
        @functools.wraps(function)
        def wrapper(*args: typing.Any, **kwargs: typing.Any) -> typing.Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                with self._lock:
                    self.spent[part] += time.perf_counter() - start
        return wrapper

    def _find_engine(self) -> None:
        self.url = os.environ.get('DOCKER_HOST') or self.useFixture(
            dockerd.Dockerd(bridge=True)).url
        address = transport.Address(self.url)
        try:
            clients = transport.connect(address)
        except errors.EngineError as error:
            sys.exit(str(error))
        for client in clients:
            self.addCleanup(client.close)
        if not clients.bounded.networks(names=['bridge']):
            sys.exit(f'The engine at {self.url} has no bridge network to '
                     'compare with. Unset DOCKER_HOST, or start an engine by '
                     'tools/engine start --bridge --dir DIR')
        self.engine = session.Session(address)
        self.addCleanup(self.engine.close)
        info = self.engine.info()
        results.engine(info)
        self.cdi_dir = info['CDISpecDirs'][0]

    def _set_up_network(self) -> None:
        if self._options.vif == 'ovs':
            self.switch = self.useFixture(openvswitch.OpenVSwitch())
        else:
            os_vif.initialize()
            for name in ('plug', 'unplug'):
                self._patch(os_vif, name, lambda *_: None)
        for root in (privsep.sys_admin_pctxt, privsep.moves_pctxt,
                     ovs_privsep.vif_plug):
            if self._options.privsep == 'daemon':
                CONF.set_override('helper_command', _HELPER, root.cfg_section)
                self.addCleanup(root.stop)
            self._patch(root, 'client_mode',
                        self._options.privsep == 'daemon')

    def start_driver(self, host: str, url: str, cdi_dir: str
                     ) -> driver.DockerDriver:
        """A driver of an engine, ready for servers.

        :param cdi_dir: where the engine reads CDI specifications
        """
        # Not in TMPDIR, whose path may be too long for the daemon's socket.
        state_dir = tempfile.mkdtemp(prefix='benchmark-')
        self.addCleanup(shutil.rmtree, state_dir)
        for name, value in (('url', url), ('state_dir', state_dir),
                            ('cdi_spec_dir', cdi_dir),
                            ('migration_inbound_addr', '127.0.0.1')):
            CONF.set_override(name, value, 'docker')
        self.disks_dir = pathlib.Path(CONF.docker.disks_dir)
        made = driver.DockerDriver(nova_fake.FakeVirtAPI())
        made.init_host(host)
        self.addCleanup(made.cleanup_host, host)
        return made

    def _start(self) -> None:
        CONF([], project='nova', default_config_files=[])
        objects.register_all()
        for rows in (objects.VirtualInterfaceList,
                     objects.BlockDeviceMappingList,
                     objects.ShareMappingList):
            self._patch(rows, 'get_by_instance_uuid', lambda *_: [])
        self.context = context.RequestContext()
        self.useFixture(nova_fixtures.RPCFixture('nova.test'))
        self.driver = self.start_driver(HOST, self.url, self.cdi_dir)
        self.flavor = objects.Flavor(
            flavorid='benchmark', vcpus=1, memory_mb=_MEMORY_MB, root_gb=1,
            ephemeral_gb=0, swap=0, extra_specs={})
        self.image = objects.ImageMeta(
            id=_IMAGE, disk_format='raw', container_format='docker',
            checksum=_CHECKSUM, properties=objects.ImageMetaProps(
                os_command_line=_COMMAND))
        self.reference = names.image_reference(_IMAGE, _CHECKSUM)
        self._instances: dict[str, objects.Instance] = {}
        self._containers: set[str] = set()
        self.addCleanup(self._remove_image)
        self.addCleanup(self._remove_all)

    def _remove_image(self) -> None:
        with contextlib.suppress(errors.NotFound):
            self.engine.remove_image(self.reference)

    def _remove_all(self) -> None:
        with contextlib.ExitStack() as stack:
            for name in list(self._containers):
                stack.callback(self.remove, name)
            for instance in list(self._instances.values()):
                stack.callback(self.destroy, instance)

    def port(self) -> model.VIF:
        """A port, to be attached."""
        port = uuidutils.generate_uuid()
        return model.VIF(
            id=port, type='ovs', devname=f'tap{port[:11]}', active=True,
            address=f'fa:16:3e:{port[:2]}:{port[2:4]}:{port[4:6]}',
            details={'datapath_type': 'netdev'}, vnic_type='normal',
            network=model.Network(
                id=_NETWORK, bridge='br-int', label='private', mtu=MTU,
                subnets=[model.Subnet(
                    cidr=CIDR, gateway=model.IP('10.0.255.254'),
                    ips=[model.FixedIP(address=next(self.addresses))])]))

    def instance(self, ports: int = 1) -> objects.Instance:
        """An instance, to be spawned."""
        network_info = model.NetworkInfo(self.port() for _ in range(ports))
        return objects.Instance(
            id=1, uuid=uuidutils.generate_uuid(), hostname='benchmark',
            project_id='benchmark', host=HOST,
            user_id='benchmark', display_name='benchmark', image_ref=_IMAGE,
            flavor=self.flavor, system_metadata={}, metadata={},
            trusted_certs=None, key_data=None, numa_topology=None,
            config_drive='', launched_at=None,
            vm_state=vm_states.ACTIVE, task_state=None,
            pci_requests=objects.InstancePCIRequests(requests=[]),
            info_cache=objects.InstanceInfoCache(
                network_info=network_info))

    def spawn(self, instance: objects.Instance) -> None:
        """What nova-compute does."""
        self._instances[instance.uuid] = instance
        self.driver.spawn(self.context, instance, self.image, [], None, {},
                          instance.info_cache.network_info)

    def destroy(self, instance: objects.Instance) -> None:
        """What nova-compute does."""
        self.driver.destroy(self.context, instance,
                            instance.info_cache.network_info)
        self._instances.pop(instance.uuid, None)

    def attach(self, instance: objects.Instance, port: model.VIF) -> None:
        """What nova-compute does."""
        self.driver.attach_interface(self.context, instance, self.image, port)
        instance.info_cache.network_info.append(port)

    def detach(self, instance: objects.Instance, port: model.VIF) -> None:
        """What nova-compute does."""
        self.driver.detach_interface(self.context, instance, port)
        instance.info_cache.network_info.remove(port)

    def volume(self, size: int, mount_path: str = '') -> dict[
            str, typing.Any]:
        """A volume, to be attached, as Cinder's connection_info has it.

        :param size: bytes
        :param mount_path: where servers have its file system, if they do
        """
        volume_id = uuidutils.generate_uuid()
        self._mount_paths[volume_id] = mount_path
        return volumes.connection(
            volume_id, self.useFixture(loops.Loop(size)).path)

    def attach_volume(self, instance: objects.Instance,
                      volume: dict[str, typing.Any], device: str) -> None:
        """What nova-compute does."""
        self.driver.attach_volume(self.context, volume, instance, device)

    def detach_volume(self, instance: objects.Instance,
                      volume: dict[str, typing.Any], device: str) -> None:
        """What nova-compute does."""
        self.driver.detach_volume(self.context, volume, instance, device)

    def run(self, name: str, network: str = 'bridge') -> None:
        """Bare create and start, of a container with the same limits."""
        self._containers.add(name)
        config = limits.host_config(1, _MEMORY_MB, 0, {}, {},
                                    limits.Limits(_PIDS, True))
        identifier = self.engine.create_container(name, {
            'Image': self.reference,
            'Cmd': self.image.properties.os_command_line.split(),
            'HostConfig': config | {'NetworkMode': network}})
        self.engine.start_container(identifier, 60)

    def remove(self, name: str) -> None:
        """Bare removal by force."""
        with contextlib.suppress(errors.NotFound):
            self.engine.remove_container(name)
        self._containers.discard(name)


def seconds(function: collections.abc.Callable[..., object],
            *args: object) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def name() -> str:
    """A name for a container."""
    return f'benchmark-{uuidutils.generate_uuid()}'


def ratio(what: str, ours: collections.abc.Sequence[float],
          bare: collections.abc.Sequence[float], unit: str = 'ms',
          scale: float = 1e3) -> str:
    """The line with the figure of pairs, of times in seconds by default.

    :param what: what is compared with what, with a slash in between
    """
    done, _, by = what.partition(' / ')
    results.pairs(done, by, ours, bare, results.KEPT[unit])
    mine, other = statistics.median(ours), statistics.median(bare)
    return (f'{what}: {mine / other:.2f} (median of {len(ours)} pairs; '
            f'{mine * scale:.0f} {unit} / {other * scale:.0f} {unit}; '
            f'load {os.getloadavg()[0]:.1f})')
