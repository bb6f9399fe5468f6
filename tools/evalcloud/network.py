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

from evalcloud import progress
from evalcloud import settings
from evalcloud import supervisor

_LINKS = pathlib.Path('/sys/class/net')
_NETNS = pathlib.Path('/run/netns')

#: Devices of Open vSwitch itself.
_BRIDGES = ('br-int', 'br-ex', 'br-tun', 'ovs-netdev')
_AGENT_NETNS = ('ovnmeta-', 'qrouter-', 'qdhcp-')


def check() -> None:
    """Refuse a machine whose bridges have our names."""
    for name in _BRIDGES:
        if name in _names(_LINKS):
            raise progress.Failure(
                f'there is a device {name} on this machine already: the '
                'cloud cannot share it with another Open vSwitch')


def remember(cloud: settings.Settings) -> None:
    """Note what is there before the cloud, which ``clean`` must leave."""
    (cloud.state / 'before.json').write_text(json.dumps(
        {'links': _names(_LINKS), 'netns': _names(_NETNS)}))


def _names(folder: pathlib.Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


def ports(cloud: settings.Settings) -> list[str]:
    """What is plugged into the integration bridge."""
    with contextlib.suppress(progress.Failure):
        return _vsctl(cloud, 'list-ports', 'br-int').split()
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
    for name in (*plugged, *_BRIDGES):
        if name not in before['links'] and name in _names(_LINKS):
            _quiet('ip', 'link', 'del', name)


def _quiet(*command: str) -> None:
    """Run a clean-up command; what it removes may be gone by itself."""
    subprocess.call(command, stderr=subprocess.DEVNULL)


def start(cloud: settings.Settings, control: supervisor.Supervisor) -> None:
    """Open vSwitch up with its bridges, and OVN where asked for."""
    schema = '/usr/share/openvswitch/vswitch.ovsschema'
    _create(cloud.data / 'ovs' / 'conf.db', schema)
    control.start('ovsdb-server')
    control.wait('ovsdb-server',
                 supervisor.exists(cloud.run / 'ovs' / 'db.sock'))
    _vsctl(cloud, '--no-wait', 'init')
    control.start('ovs-vswitchd')
    command = ['set', 'open', '.', f'external-ids:system-id={settings.HOST}',
               f'external-ids:hostname={settings.HOST}']
    if cloud.network == 'ovn':
        command += _ovn_options(cloud)
    for name, mode in (('br-int', 'secure'), ('br-ex', 'standalone')):
        command += ['--', '--may-exist', 'add-br', name, '--', 'set',
                    'bridge', name, 'datapath_type=netdev',
                    f'fail-mode={mode}']
    _vsctl(cloud, *command)
    _host_leg()
    if cloud.network == 'ovn':
        _start_ovn(cloud, control)


def _create(file: pathlib.Path, schema: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    progress.run('ovsdb-tool', 'create', str(file), schema)


def _vsctl(cloud: settings.Settings, *arguments: str) -> str:
    return progress.run('ovs-vsctl', '--timeout=30', f'--db={cloud.ovsdb}',
                        *arguments)


def _ovn_options(cloud: settings.Settings) -> list[str]:
    options = {'ovn-remote': f'unix:{cloud.run}/ovn/ovnsb_db.sock',
               'ovn-encap-type': 'geneve', 'ovn-encap-ip': '127.0.0.1',
               'ovn-bridge-datapath-type': 'netdev', 'ovn-bridge': 'br-int',
               'ovn-bridge-mappings': 'public:br-ex',
               'ovn-cms-options': 'enable-chassis-as-gw'}
    # The inner quotes are for ovs-vsctl, to which : and , mean something.
    return [f'external-ids:{name}="{value}"'
            for name, value in options.items()]


def _host_leg() -> None:
    """Let the host reach floating IPs: an address on br-ex itself."""
    prefix = settings.PUBLIC_CIDR.partition('/')[2]
    progress.run('ip', 'address', 'replace',
                 f'{settings.PUBLIC_GATEWAY}/{prefix}', 'dev', 'br-ex')
    progress.run('ip', 'link', 'set', 'br-ex', 'up')
    # The userspace datapath does not finish checksums that a sender left
    # to its device: TCP would not get through.
    with contextlib.suppress(progress.Failure):
        progress.run('ethtool', '-K', 'br-ex', 'tx', 'off')


def _start_ovn(cloud: settings.Settings,
               control: supervisor.Supervisor) -> None:
    for name in ('nb', 'sb'):
        _create(cloud.data / 'ovn' / f'{name}.db',
                f'/usr/share/ovn/ovn-{name}.ovsschema')
        control.start(f'ovn-{name}')
    for name in ('nb', 'sb'):
        control.wait(f'ovn-{name}', supervisor.exists(
            cloud.run / 'ovn' / f'ovn{name}_db.sock'))
    control.start('ovn-northd', 'ovn-controller')
