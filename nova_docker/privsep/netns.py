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


"""The network namespaces of containers.

A port is a dict with the keys of nova_docker.spec.ports.Port.
"""

import collections.abc
import contextlib
import ctypes
import errno
import os
import socket
import typing

import pyroute2
from pyroute2.netlink import exceptions as netlink_exceptions

import nova_docker.privsep
from nova_docker.privsep import bandwidth
from nova_docker.privsep import namespace

_MS_BIND = 0x1000
_MNT_DETACH = 2
_IFA_F_NODAD = 0x02
_LOOPBACK = 1
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

_libc = ctypes.CDLL(None, use_errno=True)

_Port = collections.abc.Mapping[str, typing.Any]


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def configure(pid: int, ports: list[dict[str, typing.Any]]) -> None:
    """Move parked ports into the namespace of a process and set them up.

    :raises OSError: the process or a parked device is gone, or the kernel
        refuses a setting (NetlinkError is not an OSError everywhere, so it
        is translated)
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_os_errors())
        target = stack.enter_context(
            namespace.opened(f'/proc/{pid}/ns/net'))
        host = stack.enter_context(pyroute2.IPRoute())
        for port in ports:
            _move(host, port['parked_device'], target, port['name'])
        ip = stack.enter_context(namespace.netlink(target))
        ip.link('set', index=_LOOPBACK, state='up')
        for port in ports:
            if any(each['version'] == 6 for each in port['addresses']):
                _enable_ipv6(target, port['name'])
            bandwidth.limit(ip, target, port['name'], port['limits'])
            _set_up(ip, port)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def hold(path: str, pid: int) -> int:
    """Bind the namespace of a process to a file, so that it outlives it.

    What the file held before is let go.

    :returns: the namespace's inode number
    """
    _let_go(path)
    with open(path, 'a', encoding='ascii'):
        pass
    source = f'/proc/{pid}/ns/net'.encode()
    if _libc.mount(source, os.fsencode(path), None, _MS_BIND, None):
        code = ctypes.get_errno()
        os.unlink(path)
        raise OSError(code, f'mount {path}: {os.strerror(code)}')
    return os.stat(path).st_ino


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def release(path: str) -> None:
    """Undo :func:`hold`, if it was done."""
    _let_go(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def take_back(path: str, ports: list[dict[str, typing.Any]]) -> bool:
    """Move the inner ends from a held namespace back to the host.

    The pairs are recognised by the kernel's own link between their ends, so
    neither a name nor a MAC address that somebody changed inside matters.

    :returns: False, and nothing is moved, when one of them is not there
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(namespace.opened(path))
            ip = stack.enter_context(namespace.netlink(held))
        except OSError:
            return False
        stack.enter_context(_os_errors())
        home = stack.enter_context(namespace.current())
        host = stack.enter_context(pyroute2.IPRoute())
        found = [(_inner(host, ip, port['host_device']),
                  port['parked_device']) for port in ports]
        if any(index is None for index, _ in found):
            return False
        for index, parked in found:
            ip.link('set', index=index, state='down')
            ip.link('set', index=index, net_ns_fd=home, ifname=parked)
    return True


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def set_down(path: str, inode: int) -> bool:
    """Set all links of a held namespace down, but the loopback.

    :param inode: of :func:`hold`; when the file holds another namespace by
        now nothing happens
    :returns: whether it was the namespace
    """
    with contextlib.ExitStack() as stack:
        try:
            held = stack.enter_context(namespace.opened(path))
            if os.fstat(held).st_ino != inode:
                return False
            ip = stack.enter_context(namespace.netlink(held))
        except OSError:
            return False
        stack.enter_context(_os_errors())
        for link in ip.get_links():
            if link['index'] != _LOOPBACK:
                ip.link('set', index=link['index'], state='down')
    return True


@contextlib.contextmanager
def _os_errors() -> collections.abc.Iterator[None]:
    """Raise netlink errors as OSError, which crosses privsep as it is."""
    try:
        yield
    except netlink_exceptions.NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error


def _let_go(path: str) -> None:
    # More than one mount may lie on it after a crash.
    while not _libc.umount2(os.fsencode(path), _MNT_DETACH):
        pass


def _move(host: pyroute2.IPRoute, parked: str, target: int,
          name: str) -> None:
    index = namespace.find(host, parked)
    if index is None:
        raise OSError(errno.ENODEV, f'{parked} is not on the host')
    host.link('set', index=index, net_ns_fd=target, ifname=name)


def _inner(host: pyroute2.IPRoute, ip: pyroute2.IPRoute,
           host_device: str) -> int | None:
    """Index of the other end of a host device in a held namespace."""
    outer = namespace.find(host, host_device)
    if outer is None:
        return None
    for link in ip.get_links():
        if (link.get_attr('IFLA_LINK') == outer and
                link.get_attr('IFLA_LINK_NETNSID') is not None):
            return int(link['index'])
    return None


def _enable_ipv6(target: int, name: str) -> None:
    """Some engines disable IPv6 in containers without a network.

    :raises OSError: the kernel has no IPv6
    """
    with namespace.inside(target):
        path = f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6'
        with open(path, encoding='ascii') as sysctl:
            disabled = sysctl.read().strip() != '0'
        if disabled:
            with open(path, 'w', encoding='ascii') as sysctl:
                sysctl.write('0')


def _set_up(ip: pyroute2.IPRoute, port: _Port) -> None:
    index = namespace.find(ip, port['name'])
    size = {'mtu': port['mtu']} if port['mtu'] else {}
    ip.link('set', index=index, address=port['mac'], **size)
    ip.link('set', index=index, state='up')
    for address in port['addresses']:
        # Neutron sees to it that they are unique: no detection, no delay.
        extra: dict[str, typing.Any] = (
            {'flags': _IFA_F_NODAD} if address['version'] == 6 else {})
        ip.addr('add', index=index, address=address['address'],
                prefixlen=address['prefixlen'],
                family=_FAMILY[address['version']], **extra)
    for route in port['routes']:
        extra = {'gateway': route['gateway']} if route['gateway'] else {
            'scope': 'link'}
        ip.route('add', dst=route['destination'], oif=index,
                 priority=route['metric'],
                 family=_FAMILY[route['version']], **extra)
