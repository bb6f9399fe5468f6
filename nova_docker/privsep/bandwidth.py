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

"""Limits of what an interface of a container receives and sends.

They are on the container's end of the pair. On the host's end are those of
Neutron's QoS policies, and Open vSwitch removes what it did not make as it
starts (os-vif's linux-noop keeps it from that on the kernel's datapath only,
and for one direction). A container can not change them, as it has no
CAP_NET_ADMIN, nor pass by them, as it has no CAP_NET_RAW then
(nova_docker.spec.security.raw_sockets).

The kernel queues only what leaves an interface. So what comes in goes
through an intermediate functional block (ifb), from which it leaves. It ends
with the namespace.
"""

import collections.abc
import contextlib
import os
import typing

import pyroute2
from pyroute2.netlink import exceptions as netlink_exceptions
from pyroute2 import protocols

from nova_docker.privsep import namespace

# A queueing discipline, its class and its class's queue.
_ROOT, _CLASS, _LEAF = 0x10000, 0x10001, 0x20000
_INGRESS = 0xffff0000
#: Of all packets.
_ANY = '0x0/0x0+0'
#: Bytes of a burst's own burst, the largest packet: its rate is the ceiling.
_PACKET = 65536

_Limit = collections.abc.Mapping[str, int]


def limit(ip: pyroute2.IPRoute, target: int, name: str,
          limits: collections.abc.Mapping[str, typing.Any]) -> None:
    """Limit an interface that has no limits yet.

    :param ip: of the container's namespace
    :param target: a descriptor of that namespace
    :param limits: of nova_docker.spec.bandwidth.Limits
    :raises OSError: the kernel refuses; it may lack a module for it
    """
    try:
        _limit(ip, target, name, limits)
    except netlink_exceptions.NetlinkError as error:
        raise OSError(error.code, f'cannot limit the bandwidth of {name}: '
                      f'{os.strerror(error.code)}') from error


def _limit(ip: pyroute2.IPRoute, target: int, name: str,
           limits: collections.abc.Mapping[str, typing.Any]) -> None:
    index = namespace.find(ip, name)
    if limits['outbound']:
        _shape(ip, index, limits['outbound'])
    if limits['inbound']:
        block = _make_block(ip, target, name)
        _shape(ip, block, limits['inbound'])
        ip.link('set', index=block, state='up')
        ip.tc(command='add', kind='ingress', index=index)
        ip.tc(command='add-filter', kind='u32', index=index,
              parent=_INGRESS, protocol=protocols.ETH_P_ALL, keys=[_ANY],
              target=_CLASS, action={
                  'kind': 'mirred', 'direction': 'egress',
                  'action': 'redirect', 'ifindex': block})


def remove_block(ip: pyroute2.IPRoute, name: str) -> None:
    """Remove the block of an interface, which may be gone itself."""
    index = namespace.find(ip, _block(name))
    if index is not None:
        ip.link('del', index=index)


def _block(name: str) -> str:
    return f'ifb-{name}'


def _make_block(ip: pyroute2.IPRoute, target: int,
                interface: str) -> int | None:
    # Of an interface that had this name before.
    remove_block(ip, interface)
    name = _block(interface)
    ip.link('add', ifname=name, kind='ifb')
    # It needs no address; a kernel without IPv6 gives it none.
    with contextlib.suppress(FileNotFoundError):
        namespace.set_sysctl(target, f'ipv6/conf/{name}/disable_ipv6', '1')
    return namespace.find(ip, name)


def _shape(ip: pyroute2.IPRoute, index: int | None, shape: _Limit) -> None:
    ip.tc(command='add', kind='htb', index=index, handle=_ROOT,
          default=_CLASS)
    ip.tc(command='add-class', kind='htb', index=index, handle=_CLASS,
          parent=_ROOT, rate=shape['rate'], ceil=shape['ceiling'],
          burst=shape['burst'], cburst=_PACKET, quantum=_PACKET)
    ip.tc(command='add', kind='pfifo', index=index, handle=_LEAF,
          parent=_CLASS, limit=shape['queue'])
