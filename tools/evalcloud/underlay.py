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

"""The network between the hosts of a cloud that has several.

Two bridges in a network namespace of its own, out of reach of the firewall
and the other interfaces of the machine, with a link from each to each host:
for what hosts say to one another, and for the tunnels of Open vSwitch. With
one bridge a host would answer on either link who asks for one of its
addresses, and get on one what is for the other.
"""

import contextlib
import os

from evalcloud import hosts
from evalcloud import progress
from evalcloud import settings

#: The namespace.
NAME = 'underlay'
#: Length of the prefix of its two subnets.
PREFIX = 24
#: A host's links, and the bridges that they lead to.
MANAGEMENT = 'underlay-mgmt'
TUNNEL = 'underlay-tun'


def namespaces(cloud: settings.Settings) -> list[str]:
    """Names of the network namespaces that it takes."""
    apart = [host.name for host in cloud.all_hosts if host.apart]
    return [NAME, *apart] if apart else []


def create(cloud: settings.Settings) -> None:
    """Make the network and the namespaces of the hosts."""
    cloud.mounts.mkdir()
    # What holds a mount namespace may not be on a shared mount.
    progress.run('mount', '--bind', str(cloud.mounts), str(cloud.mounts))
    progress.run('mount', '--make-private', str(cloud.mounts))
    progress.run('ip', 'netns', 'add', NAME)
    for name in (MANAGEMENT, TUNNEL):
        _underlay('link', 'add', name, 'type', 'bridge')
        _underlay('link', 'set', name, 'up')
    for host in cloud.all_hosts:
        if host.apart:
            _namespaces(host)
        for name in (MANAGEMENT, TUNNEL):
            _link(host, name)
        _in(host, 'address', 'add', f'{host.address}/{PREFIX}', 'dev',
            MANAGEMENT)


def _namespaces(host: hosts.Host) -> None:
    progress.run('ip', 'netns', 'add', host.name)
    assert host.mounts
    host.mounts.touch()
    # Neutron's agents name their namespaces after networks: two hosts with
    # one network would have the same one.
    own = host.run / 'netns'
    own.mkdir()
    progress.run('unshare', f'--mount={host.mounts}', '--propagation=slave',
                 'mount', '--bind', str(own), '/run/netns')
    _in(host, 'link', 'set', 'lo', 'up')


def _link(host: hosts.Host, name: str) -> None:
    """A link of the host to the bridge of that name."""
    there = str(host.netns) if host.apart else str(os.getpid())
    end = f'{name[len(NAME) + 1:]}-{host.name}'
    _underlay('link', 'add', end, 'type', 'veth', 'peer', 'name', name,
              'netns', there)
    _underlay('link', 'set', end, 'master', name, 'up')
    _in(host, 'link', 'set', name, 'up')


def _underlay(*arguments: str) -> None:
    progress.run('ip', '-n', NAME, *arguments)


def _in(host: hosts.Host, *arguments: str) -> None:
    progress.run(*host.enter, 'ip', *arguments)


def remove(cloud: settings.Settings) -> None:
    """Remove the namespaces; their links go with them."""
    for name in namespaces(cloud):
        with contextlib.suppress(progress.Failure):
            progress.run('ip', 'netns', 'del', name)
