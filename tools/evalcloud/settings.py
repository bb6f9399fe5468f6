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

"""What one cloud is: its options, folders, ports and password."""

import dataclasses
import json
import pathlib
import secrets
import typing

from evalcloud import hosts
from evalcloud import paths

#: Name of the one compute host and network node.
HOST = 'compute-1'
#: Name of the network node of several compute hosts.
CONTROLLER = 'controller'
#: Name of the host of virtual machines.
VM_HOST = 'libvirt-1'
#: Name of the image of one.
VM_IMAGE = 'virtual-machine'
#: Last number of its addresses.
_VM_NUMBER = 21
REGION = 'RegionOne'
USER = 'demo'

#: Nova's own, and those of the hints "same_host" and "different_host".
SCHEDULER_FILTERS = (
    'ComputeFilter', 'ComputeCapabilitiesFilter', 'ImagePropertiesFilter',
    'ServerGroupAntiAffinityFilter', 'ServerGroupAffinityFilter',
    'SameHostFilter', 'DifferentHostFilter', 'NUMATopologyFilter')

#: Nova's major version to the OpenStack series that it belongs to.
SERIES = {'34': '2026.2', '33': '2026.1'}

#: What else a cloud may have.
OPTIONAL = ('cinder', 'cinder:lvm', 'heat', 'libvirt')
#: Cinder's back end of each that is Cinder.
VOLUMES = {'cinder': 'loop', 'cinder:lvm': 'lvm'}
#: What a service is called on PyPI where that is not its name.
PACKAGES = {'heat': 'openstack-heat'}
#: Trait of the resource providers of Docker hosts.
TRAIT = 'CUSTOM_DOCKER'
#: Volume types: that of volumes that name none, and that of volumes for more
#: than one server.
VOLUME_TYPES = ('standard', 'multiattach')

PORTS = {
    'keystone': 15000, 'placement': 18778, 'glance': 19292,
    'neutron': 19696, 'nova': 18774, 'metadata': 18775,
    'cinder': 18776, 'heat': 18004, 'heat-cfn': 18000,
    'rabbitmq': 15672, 'epmd': 14369, 'erlang': 15673,
    'openflow': 16633, 'novncproxy': 16080, 'serialproxy': 16083,
}

#: The provider network: floating IPs come from it, the host has .1 on br-ex.
PUBLIC_CIDR = '172.24.4.0/24'
PUBLIC_GATEWAY = '172.24.4.1'
#: Networks that Neutron makes for projects without one.
AUTOMATIC_CIDR = '10.30.0.0/16'
#: What the hosts of a cloud say to one another, and their tunnels. The
#: controller has .1, compute-N has .(10 + N), libvirt-1 has .21.
MANAGEMENT = '172.24.5.{}'
TUNNELS = '172.24.6.{}'
#: Kilobits per second, out and in, that ports of a compute host may have
#: guaranteed in the networks between hosts.
BANDWIDTHS = 'rp_tunnelled:1000000:1000000'
#: Name of each subnet of the network "private", its prefix and gateway.
PRIVATE = {'private-v4': ('10.20.0.0/24', '10.20.0.1'),
           'private-v6': ('fd20:6e6f:7661::/64', 'fd20:6e6f:7661::1')}


@dataclasses.dataclass(frozen=True)
class Settings:
    """The options of a cloud; equal ones make the same cloud."""

    state: pathlib.Path
    network: str = 'ovn'
    #: Neutron's firewall_driver; OVN has a firewall of its own.
    firewall: str = 'openvswitch'
    nova: str = '34'
    compute_driver: str = 'docker.DockerDriver'
    engine_url: str = ''
    engine_cdi: str = ''
    computes: int = 1
    #: Of OPTIONAL, sorted.
    optional: tuple[str, ...] = ()
    source: pathlib.Path = paths.SOURCE
    password: str = ''

    @property
    def series(self) -> str:
        return SERIES[self.nova]

    @property
    def constraints(self) -> pathlib.Path:
        return self.source / 'tools' / 'constraints' / f'{self.series}.txt'

    @property
    def venv(self) -> pathlib.Path:
        return paths.cache_dir() / f'venv-{self.series}'

    @property
    def controller(self) -> hosts.Host:
        """The machine itself: APIs, databases, network node."""
        name = HOST if self.computes == 1 else CONTROLLER
        if not self.several:
            return hosts.Host(name, self.state)
        return hosts.Host(name, self.state, MANAGEMENT.format(1),
                          TUNNELS.format(1))

    @property
    def compute_hosts(self) -> list[hosts.Host]:
        """Where servers run."""
        if self.computes == 1:
            return [self.controller]
        return [self._apart(f'compute-{number}', 10 + number)
                for number in range(1, self.computes + 1)]

    @property
    def vm_hosts(self) -> list[hosts.Host]:
        """Where virtual machines run: none, or one."""
        if 'libvirt' not in self.optional:
            return []
        return [self._apart(VM_HOST, _VM_NUMBER)]

    @property
    def nova_hosts(self) -> list[hosts.Host]:
        """All that have a nova-compute."""
        return self.compute_hosts + self.vm_hosts

    @property
    def several(self) -> bool:
        """Whether there are hosts apart from this machine."""
        return self.computes > 1 or bool(self.vm_hosts)

    def _apart(self, name: str, number: int) -> hosts.Host:
        return hosts.Host(name, self.state / name, MANAGEMENT.format(number),
                          TUNNELS.format(number), self.mounts / name)

    @property
    def all_hosts(self) -> list[hosts.Host]:
        """Every machine, the controller first."""
        return [self.controller, *(host for host in self.nova_hosts
                                   if host.apart)]

    @property
    def mounts(self) -> pathlib.Path:
        """Folder of the files that hold mount namespaces."""
        return self.run / 'mounts'

    @property
    def etc(self) -> pathlib.Path:
        return self.state / 'etc'

    @property
    def log(self) -> pathlib.Path:
        return self.state / 'log'

    @property
    def run(self) -> pathlib.Path:
        """Sockets and pid files."""
        return self.state / 'run'

    @property
    def data(self) -> pathlib.Path:
        return self.state / 'data'

    @property
    def bin(self) -> pathlib.Path:
        """The clients."""
        return self.state / 'bin'

    @property
    def web(self) -> pathlib.Path:
        """The pages of consoles."""
        return self.data / 'web'

    @property
    def clouds_yaml(self) -> pathlib.Path:
        return self.state / 'clouds.yaml'

    @property
    def mysql_socket(self) -> pathlib.Path:
        return self.run / 'mysql.sock'

    def docker_host(self, host: hosts.Host) -> str:
        """URL of a compute host's engine."""
        return self.engine_url or host.engine.url

    def cdi_dir(self, host: hosts.Host) -> pathlib.Path:
        """Where a compute host's engine looks for devices of instances."""
        return pathlib.Path(self.engine_cdi or host.engine.cdi)

    @property
    def volumes(self) -> str:
        """Cinder's back end; empty in a cloud without Cinder."""
        return next((VOLUMES[name] for name in self.optional
                     if name in VOLUMES), '')

    @property
    def more(self) -> tuple[str, ...]:
        """The optional services that are OpenStack's own.

        Each has this name as a database, an API and a user.
        """
        return (*(('cinder',) if self.volumes else ()),
                *(name for name in self.optional if name == 'heat'))

    @property
    def image_properties(self) -> dict[str, str]:
        """What brings the servers of an image to Docker hosts."""
        found = {'img_hv_type': 'docker'} if self.is_docker else {}
        if self.vm_hosts:
            found[f'trait:{TRAIT}'] = 'required'
        return found

    @property
    def is_docker(self) -> bool:
        return self.compute_driver.startswith('docker.')

    def url(self, service: str) -> str:
        return f'http://127.0.0.1:{PORTS[service]}'

    def save(self) -> None:
        """Write them where ``load`` finds them."""
        values = dataclasses.asdict(self)
        file = self.state / 'cloud.json'
        file.touch(mode=0o600)
        file.write_text(json.dumps(values, indent=2, default=str))


def load(state: pathlib.Path) -> Settings | None:
    """The settings of the cloud in ``state``, None without one."""
    try:
        values = json.loads((state / 'cloud.json').read_text())
    except FileNotFoundError:
        return None
    values['state'] = pathlib.Path(values['state'])
    values['source'] = pathlib.Path(values['source'])
    values['optional'] = tuple(values['optional'])
    return Settings(**values)


def password() -> str:
    """The cloud's one password, the same as long as the cache lives.

    The cached databases hold its hash.
    """
    file = paths.cache_dir() / 'password'
    with paths.locked('password'):
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(18))
    return file.read_text()


def public(values: Settings) -> dict[str, typing.Any]:
    """The options that a user chooses."""
    return {'network': values.network,
            'firewall': (values.firewall if values.network == 'ovs'
                         else '(own)'),
            'nova': values.nova,
            'compute-driver': values.compute_driver,
            'engine': values.engine_url or '(own)',
            'computes': values.computes,
            'with': ' '.join(values.optional) or '(nothing)'}
