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

"""Open vSwitch with the userspace datapath, OVN, and the host's own leg."""

import contextlib
import json
import os
import pathlib
import subprocess

from evalcloud import hosts
from evalcloud import progress
from evalcloud import settings
from evalcloud import supervisor
from evalcloud import underlay

_LINKS = pathlib.Path('/sys/class/net')
_NETNS = pathlib.Path('/run/netns')

#: Devices of Open vSwitch itself.
_BRIDGES = ('br-int', 'br-ex', 'br-tun', 'br-phys', 'ovs-netdev')
_AGENT_NETNS = ('ovnmeta-', 'qrouter-', 'qdhcp-')


def check(cloud: settings.Settings) -> None:
    """Refuse a machine whose bridges or namespaces have our names."""
    for name in _BRIDGES:
        if name in _names(_LINKS):
            raise progress.Failure(
                f'there is a device {name} on this machine already: the '
                'cloud cannot share it with another Open vSwitch')
    for name in underlay.namespaces(cloud):
        if name in _names(_NETNS):
            raise progress.Failure(f'there is a network namespace {name} on '
                                   'this machine already')


def remember(cloud: settings.Settings) -> None:
    """Note what is there before the cloud, which ``clean`` must leave."""
    (cloud.state / 'before.json').write_text(json.dumps(
        {'links': _names(_LINKS), 'netns': _names(_NETNS)}))


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def ports(cloud: settings.Settings) -> list[str]:
    """What is plugged into the integration bridge."""
    with contextlib.suppress(progress.Failure):
        return _vsctl(cloud.controller, 'list-ports', 'br-int').split()
    return []


def clean(cloud: settings.Settings, plugged: list[str]) -> None:
    """Remove the links and network namespaces that the cloud has made.

    :param plugged: ports of the integration bridge before it was stopped.
    """
    file = cloud.state / 'before.json'
    if not file.exists():
        return
    before = json.loads(file.read_text())
    for name in _names(_NETNS):
        if name not in before['netns'] and name.startswith(_AGENT_NETNS):
            _quiet('ip', 'netns', 'del', name)
    underlay.remove(cloud)
    for name in (*plugged, *_BRIDGES):
        if name not in before['links'] and name in _names(_LINKS):
            _quiet('ip', 'link', 'del', name)


def _quiet(*command: str) -> None:
    """Run a clean-up command; what it removes may be gone by itself."""
    subprocess.call(command, stderr=subprocess.DEVNULL)


def start(cloud: settings.Settings, control: supervisor.Supervisor) -> None:
    """Open vSwitch up on every host, and OVN where asked for."""
    for host in cloud.all_hosts:
        _start(cloud, host, control)
    if cloud.network == 'ovn':
        _start_ovn(cloud, control)


def _start(cloud: settings.Settings, host: hosts.Host,
           control: supervisor.Supervisor) -> None:
    """Open vSwitch up with its bridges."""
    schema = '/usr/share/openvswitch/vswitch.ovsschema'
    _create(host.data / 'ovs' / 'conf.db', schema)
    database = host.program('ovsdb-server')
    control.start(database)
    control.wait(database, supervisor.exists(host.run / 'ovs' / 'db.sock'))
    _vsctl(host, '--no-wait', 'init')
    control.start(host.program('ovs-vswitchd'))
    command = ['set', 'open', '.', f'external-ids:system-id={host.name}',
               f'external-ids:hostname={host.name}']
    if cloud.network == 'ovn':
        command += _ovn_options(cloud, host)
    command += _bridge('br-int', 'secure')
    for name in _legs(cloud, host):
        command += _bridge(name, 'standalone')
    if cloud.several:
        command += ['--', 'add-port', 'br-phys', underlay.TUNNEL]
    _vsctl(host, *command)
    # They outlive a restart of Open vSwitch, as the bridges' devices do.
    for bridge, address in _legs(cloud, host).items():
        _address(host, bridge, address)


def _legs(cloud: settings.Settings, host: hosts.Host) -> dict[str, str]:
    """The bridges on which a host itself has an address."""
    legs = {}
    if not host.apart:
        prefix = settings.PUBLIC_CIDR.partition('/')[2]
        # From it the machine reaches floating IPs.
        legs['br-ex'] = f'{settings.PUBLIC_GATEWAY}/{prefix}'
    if cloud.several:
        # Open vSwitch sends a tunnel's packets out of the bridge that has
        # the tunnel's address.
        legs['br-phys'] = f'{host.tunnel}/{underlay.PREFIX}'
    return legs


def _bridge(name: str, mode: str) -> list[str]:
    return ['--', '--may-exist', 'add-br', name, '--', 'set', 'bridge', name,
            'datapath_type=netdev', f'fail-mode={mode}']


def _create(file: pathlib.Path, schema: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    progress.run('ovsdb-tool', 'create', str(file), schema)


def _vsctl(host: hosts.Host, *arguments: str) -> str:
    return progress.run('ovs-vsctl', '--timeout=30', f'--db={host.ovsdb}',
                        *arguments)


def _ovn_options(cloud: settings.Settings, host: hosts.Host) -> list[str]:
    options = {'ovn-remote': f'unix:{cloud.run}/ovn/ovnsb_db.sock',
               'ovn-encap-type': 'geneve', 'ovn-encap-ip': host.tunnel,
               'ovn-bridge-datapath-type': 'netdev', 'ovn-bridge': 'br-int'}
    if not host.apart:
        options |= {'ovn-bridge-mappings': 'public:br-ex',
                    'ovn-cms-options': 'enable-chassis-as-gw'}
    # The inner quotes are for ovs-vsctl, to which : and , mean something.
    return [f'external-ids:{name}="{value}"'
            for name, value in options.items()]


def _address(host: hosts.Host, bridge: str, address: str) -> None:
    """Give the host itself an address on a bridge."""
    progress.run(*host.enter, 'ip', 'address', 'replace', address, 'dev',
                 bridge)
    progress.run(*host.enter, 'ip', 'link', 'set', bridge, 'up')
    # The userspace datapath does not finish checksums that a sender left
    # to its device: TCP would not get through.
    with contextlib.suppress(progress.Failure):
        progress.run(*host.enter, 'ethtool', '-K', bridge, 'tx', 'off')


def _start_ovn(cloud: settings.Settings,
               control: supervisor.Supervisor) -> None:
    for name in ('nb', 'sb'):
        _create(cloud.data / 'ovn' / f'{name}.db',
                f'/usr/share/ovn/ovn-{name}.ovsschema')
        control.start(f'ovn-{name}')
    for name in ('nb', 'sb'):
        control.wait(f'ovn-{name}', supervisor.exists(
            cloud.run / 'ovn' / f'ovn{name}_db.sock'))
    control.start('ovn-northd', *(host.program('ovn-controller')
                                  for host in cloud.all_hosts))
