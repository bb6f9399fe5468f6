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

"""The sub-ports of a trunk: VLAN interfaces on that of their parent.

A port and a sub-port are dicts with the keys of nova_docker.spec.ports.Port
and SubPort. An interface is known by its parent and its VLAN: its name and MAC
address are root's in the container to change.
"""

import collections.abc
import os
import typing

import pyroute2
from pyroute2.netlink import exceptions as netlink_exceptions

from nova_docker.privsep import namespace

_Plain = collections.abc.Mapping[str, typing.Any]


def on(ip: pyroute2.IPRoute, parent: int | None) -> dict[int, typing.Any]:
    """The links of the VLANs on a link, by their numbers."""
    return {link.get_nested('IFLA_LINKINFO', 'IFLA_INFO_DATA',
                            'IFLA_VLAN_ID'): link
            for link in ip.get_links()
            if link.get_nested('IFLA_LINKINFO', 'IFLA_INFO_KIND') == 'vlan'
            and link.get_attr('IFLA_LINK') == parent
            and link.get_attr('IFLA_LINK_NETNSID') is None}


def remove(ip: pyroute2.IPRoute, parent: int) -> None:
    """Remove the VLANs on a link that is about to leave the namespace.

    They would stay, and keep their numbers from being used again on it.
    """
    for link in on(ip, parent).values():
        ip.link('del', index=link['index'])


def have(ip: pyroute2.IPRoute, parent: str, port: _Plain,
         before: _Plain | None) -> list[tuple[str, _Plain, _Plain | None]]:
    """Have the interfaces of a port's sub-ports, and no others that it had.

    :param parent: name of the port's interface
    :param before: how the port was set up, None: not yet
    :returns: of each sub-port: the name of its interface, it, and how the
        interface was set up
    :raises OSError: the kernel refuses one; it may have no VLANs
    """
    known = {_key(each): each for each in (before or {}).get('subports', ())}
    wanted = {_key(each): each for each in port['subports']}
    if not known and not wanted:
        return []
    index = namespace.find(ip, parent)
    there = on(ip, index)
    for key, each in known.items():
        if key not in wanted and each['vlan'] in there:
            ip.link('del', index=there.pop(each['vlan'])['index'])
    return [(there[each['vlan']].get_attr('IFLA_IFNAME')
             if each['vlan'] in there else _make(ip, index, each),
             each, known.get(key)) for key, each in wanted.items()]


def _key(subport: _Plain) -> tuple[str, int]:
    return subport['id'], subport['vlan']


def _make(ip: pyroute2.IPRoute, parent: int | None, subport: _Plain) -> str:
    name: str = subport['name']
    try:
        ip.link('add', ifname=name, kind='vlan', link=parent,
                vlan_id=subport['vlan'])
    except netlink_exceptions.NetlinkError as error:
        raise OSError(error.code, f'cannot make the VLAN interface {name}: '
                      f'{os.strerror(error.code)}') from error
    return name
