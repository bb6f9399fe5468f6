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


"""The veth pair of a port, seen from the host."""

import contextlib
import ctypes
import errno
import fcntl
import socket
import struct
import typing

import pyroute2
from pyroute2.netlink import exceptions as netlink_exceptions

import nova_docker.privsep
from nova_docker.privsep import namespace
from nova_docker.privsep import routing

# linux/sockios.h and linux/ethtool.h
_SIOCETHTOOL = 0x8946
_ETHTOOL_STXCSUM = 0x17

#: What a pair is, see :func:`pair_state`.
PARKED = 'parked'
INSIDE = 'inside'
ABSENT = 'absent'


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def pair_state(host: str, parked: str) -> str:
    """Where the inner end of a pair is.

    :param host: name of the host end
    :param parked: name of the inner end while it is on the host
    :returns: PARKED, on the host under its parked name; INSIDE, in another
        namespace; ABSENT, there is no such pair (there may be one end, or
        links of other kinds under these names)
    """
    with pyroute2.IPRoute() as ip:
        outer = _veth(ip, host)
        if outer is None:
            return ABSENT
        if outer.get_attr('IFLA_LINK_NETNSID') is not None:
            return INSIDE
        inner = _veth(ip, parked)
        if inner is not None and outer.get_attr('IFLA_LINK') == (
                inner['index']):
            return PARKED
        return ABSENT


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def make_pair(host: str, parked: str, mac: str, mtu: int,
              switch: str | None) -> None:
    """Make a pair, with its inner end parked and its host end up.

    Whatever has one of these names is deleted first.

    :param mac: of the inner end
    :param mtu: of both ends in bytes, 0 for the kernel's default
    :param switch: the bridge that the host end will be a port of. Unless
        that is the kernel's Open vSwitch the inner end computes checksums
        itself: the userspace datapath drops what it leaves to a network
        card. The setting survives the move into a container.
    """
    size = {'mtu': mtu} if mtu else {}
    with pyroute2.IPRoute() as ip:
        for name in (host, parked):
            _delete(ip, name)
        ip.link('add', ifname=host, kind='veth', **size,
                peer={'ifname': parked, 'address': mac, **size})
        if switch is None or _kind(_link(ip, switch)) != 'openvswitch':
            _disable_tx_checksum(parked)
        _silence(host)
        ip.link('set', index=namespace.find(ip, host), state='up')


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def assert_pair(host: str, mtu: int) -> None:
    """Put the host end of a live pair into the state it should have."""
    size = {'mtu': mtu} if mtu else {}
    with pyroute2.IPRoute() as ip:
        _silence(host)
        ip.link('set', index=namespace.find(ip, host), state='up', **size)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def set_carrier(hosts: list[str], there: bool) -> None:
    """Give the inner ends of live pairs a carrier, or take it from them.

    Without one they neither send nor receive, and keep their addresses and
    routes, which they would lose if they were set down.

    :param hosts: names of the host ends; those that are gone are left out
    """
    with pyroute2.IPRoute() as ip:
        for name in hosts:
            index = namespace.find(ip, name)
            if index is not None:
                # The other end may take it with it, at any time.
                with routing.gone(errno.ENODEV):
                    ip.link('set', index=index,
                            state='up' if there else 'down')


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def delete_pair(host: str, parked: str) -> None:
    """Delete a pair, or what is left of it, wherever its inner end is."""
    with pyroute2.IPRoute() as ip:
        for name in (host, parked):
            _delete(ip, name)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def set_bridge(name: str, bridge: str) -> None:
    """Make a link a port of a Linux bridge.

    :raises FileNotFoundError: one of them does not exist
    """
    with pyroute2.IPRoute() as ip:
        index = namespace.find(ip, name)
        master = namespace.find(ip, bridge)
        if index is None or master is None:
            missing = name if index is None else bridge
            raise FileNotFoundError(errno.ENOENT, f'no link {missing}')
        ip.link('set', index=index, master=master, state='up')


def _veth(ip: pyroute2.IPRoute, name: str) -> typing.Any:
    """The veth link with a name, None when there is none."""
    link = _link(ip, name)
    return link if _kind(link) == 'veth' else None


def _link(ip: pyroute2.IPRoute, name: str) -> typing.Any:
    """The link with a name, None when there is none.

    Asked for alone: a dump of all links takes longer the more there are, and
    fails when another thread changes one meanwhile.
    """
    index = namespace.find(ip, name)
    if index is not None:
        with contextlib.suppress(netlink_exceptions.NetlinkError):
            return ip.get_links(index)[0]
    return None


def _kind(link: typing.Any) -> str | None:
    if link is None:
        return None
    kind: str | None = link.get_nested('IFLA_LINKINFO', 'IFLA_INFO_KIND')
    return kind


def _delete(ip: pyroute2.IPRoute, name: str) -> None:
    index = namespace.find(ip, name)
    if index is None:
        return
    try:
        ip.link('del', index=index)
    except netlink_exceptions.NetlinkError as error:
        # The namespace of its other end was faster.
        if error.code != errno.ENODEV:
            raise


def _silence(name: str) -> None:
    """Keep the host itself from speaking IP with the container.

    A switch takes what comes, but the userspace datapath of Open vSwitch only
    a copy: the host would answer ARP for every address it has, and take what
    is sent to it. There is no route back through this link, so that the
    filter of reverse paths drops all of it, but for questions of who has no
    address yet (RFC 5227).
    """
    for key, value in ((f'ipv6/conf/{name}/disable_ipv6', '1'),
                       (f'ipv4/conf/{name}/rp_filter', '1'),
                       (f'ipv4/conf/{name}/arp_ignore', '8')):
        # No IPv6, or /proc/sys of a nova-compute in a container.
        with contextlib.suppress(OSError):
            with open(f'/proc/sys/net/{key}', 'w',
                      encoding='ascii') as sysctl:
                sysctl.write(value)


def _disable_tx_checksum(name: str) -> None:
    value = ctypes.create_string_buffer(
        struct.pack('II', _ETHTOOL_STXCSUM, 0))
    request = struct.pack('16sP', name.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)
