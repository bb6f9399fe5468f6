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
import typing

import pyroute2

import nova_docker.privsep
from nova_docker.privsep import bandwidth
from nova_docker.privsep import interface
from nova_docker.privsep import namespace
from nova_docker.privsep import routing
from nova_docker.privsep import vlan

_MS_BIND = 0x1000
_MNT_DETACH = 2
_IFA_F_NODAD = 0x02
_LOOPBACK = 1
#: A port answers ARP for its own addresses only, and asks with one of them, on
#: whichever of several ports of one network a request comes in.
_ARP = {'arp_ignore': '1', 'arp_announce': '2'}

_libc = ctypes.CDLL(None, use_errno=True)

_Port = collections.abc.Mapping[str, typing.Any]


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def configure(pid: int, ports: list[dict[str, typing.Any]],
              earlier: list[dict[str, typing.Any]]) -> None:
    """Have ports in the namespace of a process and set them up (idempotent).

    Those that are parked are moved there first.

    :param earlier: how ports were set up that are inside already; addresses,
        routes and sub-ports that they had and shall not have any more are
        removed
    :raises OSError: the process or a device is gone, or the kernel refuses a
        setting (NetlinkError is not an OSError everywhere, so it is
        translated)
    """
    before = {port['id']: port for port in earlier}
    with _opened(pid) as (target, host, ip):
        entered = [_enter(host, ip, port, target) for port in ports]
        ip.link('set', index=_LOOPBACK, state='up')
        for port, (name, moved) in zip(ports, entered, strict=True):
            if moved:
                bandwidth.limit(ip, target, name, port['limits'])
            one = before.get(port['id'])
            _set_up(ip, target, name, port, one)
            for subport in vlan.have(ip, name, port, one):
                _set_up(ip, target, *subport)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def route(pid: int, tables: list[dict[str, typing.Any]]) -> bool:
    """Have each port send what its addresses send (idempotent).

    :param tables: all that there shall be, with the keys of
        nova_docker.spec.routing.Table; one whose port is gone goes, too
    :returns: False where the kernel has no policy routing
    :raises OSError: the process is gone, or the kernel refuses a setting
    """
    with _opened(pid) as (target, host, ip):
        indexed = []
        for table in tables:
            link = interface.inside(host, ip, table)
            if link is not None and table['vlan']:
                link = vlan.on(ip, link['index']).get(table['vlan'])
            if link is not None:
                name = link.get_attr('IFLA_IFNAME')
                for key, value in _ARP.items():
                    namespace.set_sysctl(
                        target, f'ipv4/conf/{name}/{key}', value)
                indexed.append((link['index'], table))
        return routing.apply(ip, indexed)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def forget(pid: int, port: dict[str, typing.Any]) -> None:
    """Remove what a port leaves in a namespace when its pair is deleted."""
    with (namespace.os_errors(),
          namespace.opened(f'/proc/{pid}/ns/net') as target,
          namespace.netlink(target) as ip):
        bandwidth.remove_block(ip, port['name'])


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
    """Move the interfaces from a held namespace back to the host.

    Virtual functions are in any case.

    :returns: False, and no end of a pair is moved, when the namespace or one
        of the ports is not there
    """
    with contextlib.ExitStack() as stack:
        host, ip, home = _held(stack, path)
        missing = interface.give_back(host, ip, home, ports)
        if missing or ip is None:
            return False
        pairs = [port for port in ports if not port['pci_address']]
        found = [interface.inside(host, ip, port) for port in pairs]
        if None in found:
            return False
        for link, port in zip(found, pairs, strict=True):
            vlan.remove(ip, link['index'])
            ip.link('set', index=link['index'], state='down')
            ip.link('set', index=link['index'], net_ns_fd=home,
                    ifname=port['parked_device'])
    return True


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def give_back(path: str, ports: list[dict[str, typing.Any]]) -> list[str]:
    """Have virtual functions on the host, and not in a held namespace.

    :returns: PCI addresses of those that are not, see
        nova_docker.privsep.interface.give_back
    """
    with contextlib.ExitStack() as stack:
        host, ip, home = _held(stack, path)
        return interface.give_back(host, ip, home, ports)


@nova_docker.privsep.sys_admin_pctxt.entrypoint
def set_down(path: str, inode: int,
             ports: list[dict[str, typing.Any]]) -> bool:
    """Set all links of a held namespace down, but the loopback.

    Virtual functions go back to the host.

    :param inode: of :func:`hold`; when the file holds another namespace by
        now nothing happens
    :returns: whether it was the namespace
    """
    with contextlib.ExitStack() as stack:
        host, ip, home = _held(stack, path, inode)
        if ip is None:
            return False
        interface.give_back(host, ip, home, ports)
        for link in ip.get_links():
            if link['index'] != _LOOPBACK:
                _set_down(ip, link['index'])
    return True


def _set_down(ip: pyroute2.IPRoute, index: int) -> None:
    try:
        ip.link('set', index=index, state='down')
    except pyroute2.NetlinkError as error:
        # One end of a pair goes with the other, at any time.
        if error.code != errno.ENODEV:
            raise


def _held(stack: contextlib.ExitStack, path: str, inode: int | None = None
          ) -> tuple[pyroute2.IPRoute, pyroute2.IPRoute | None, int]:
    """Netlink to the host and to a held namespace, and the host's.

    :param inode: of the namespace, None for whichever it is
    :returns: None for a namespace that is not held
    """
    home = stack.enter_context(namespace.current())
    host = stack.enter_context(pyroute2.IPRoute())
    try:
        held = stack.enter_context(namespace.opened(path))
        known = inode is None or os.fstat(held).st_ino == inode
        ip = stack.enter_context(namespace.netlink(held)) if known else None
    except OSError:
        ip = None
    stack.enter_context(namespace.os_errors())
    return host, ip, home


@contextlib.contextmanager
def _opened(pid: int) -> collections.abc.Iterator[
        tuple[int, pyroute2.IPRoute, pyroute2.IPRoute]]:
    """The namespace of a process, and netlink to the host's and to that.

    :raises OSError: the process is gone, or what the body asks is refused
    """
    with (namespace.os_errors(),
          namespace.opened(f'/proc/{pid}/ns/net') as target,
          pyroute2.IPRoute() as host, namespace.netlink(target) as ip):
        yield target, host, ip


def _let_go(path: str) -> None:
    # More than one mount may lie on it after a crash.
    while not _libc.umount2(os.fsencode(path), _MNT_DETACH):
        pass


def _enter(host: pyroute2.IPRoute, ip: pyroute2.IPRoute, port: _Port,
           target: int) -> tuple[str, bool]:
    """Have the interface of a port inside.

    :returns: its name, for one that was there may have got another by its
        user, and whether it was moved
    """
    parked = interface.parked(host, port)
    if parked is None:
        link = interface.inside(host, ip, port)
        if link is None:
            raise OSError(errno.ENODEV,
                          f'{port["parked_device"]} is not on the host')
        return str(link.get_attr('IFLA_IFNAME')), False
    host.link('set', index=parked, net_ns_fd=target, ifname=port['name'])
    return str(port['name']), True


def _enable_ipv6(target: int, name: str) -> None:
    """Some engines disable IPv6 in containers without a network.

    :raises OSError: the kernel has no IPv6
    """
    namespace.set_sysctl(target, f'ipv6/conf/{name}/disable_ipv6', '0')


def _clear(ip: pyroute2.IPRoute, index: int | None, before: _Port,
           port: _Port) -> None:
    """Remove what a port had and shall not have any more."""
    for route in before['routes']:
        if route not in port['routes']:
            with routing.gone(errno.ESRCH):
                ip.route('del', **routing.arguments(index, route))
    for address in before['addresses']:
        if address not in port['addresses']:
            with routing.gone(errno.EADDRNOTAVAIL):
                ip.addr('del', **_address(index, address))


def _set_up(ip: pyroute2.IPRoute, target: int, name: str, port: _Port,
            before: _Port | None) -> None:
    """Set up an interface for a port or sub-port.

    :param before: how it was set up, None: not yet
    """
    if port['ipv6'] or any(each['version'] == 6
                           for each in port['addresses']):
        _enable_ipv6(target, name)
    index = namespace.find(ip, name)
    if before is not None:
        _clear(ip, index, before, port)
    size = {'mtu': port['mtu']} if port['mtu'] else {}
    ip.link('set', index=index, address=port['mac'], **size)
    ip.link('set', index=index, state='up')
    for address in port['addresses']:
        # Neutron sees to it that they are unique: no detection, no delay.
        extra = {'flags': _IFA_F_NODAD} if address['version'] == 6 else {}
        ip.addr('replace', **_address(index, address), **extra)
    # The kernel has removed the routes with an address that they needed.
    for route in port['routes']:
        ip.route('replace', **routing.arguments(index, route))


def _address(index: int | None, address: _Port) -> dict[str, typing.Any]:
    return {'index': index, 'address': address['address'],
            'prefixlen': address['prefixlen'],
            'family': routing.FAMILY[address['version']]}
