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


"""Sockets and sysctls of another network namespace.

A netlink socket belongs to the namespace it was made in, wherever it is used
later. So the calling thread enters the namespace for one system call and
leaves it again: no helper process or thread, and nothing that could switch
green threads in between.
"""

import collections.abc
import contextlib
import ctypes
import os
import socket

import pyroute2
from pyroute2.netlink import exceptions as netlink_exceptions

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def os_errors() -> collections.abc.Iterator[None]:
    """Raise netlink errors as OSError, which crosses privsep as it is."""
    try:
        yield
    except netlink_exceptions.NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error


def _enter(namespace: int) -> None:
    # os.setns() came with Python 3.12.
    if _libc.setns(namespace, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f'setns: {os.strerror(code)}')


@contextlib.contextmanager
def opened(path: str) -> collections.abc.Iterator[int]:
    """A descriptor of a file for the time of the context."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def current() -> collections.abc.Iterator[int]:
    """A descriptor of the host's network namespace."""
    with opened('/proc/thread-self/ns/net') as descriptor:
        yield descriptor


@contextlib.contextmanager
def inside(namespace: int) -> collections.abc.Iterator[None]:
    """Put the calling thread into a namespace. Nothing in here may block.

    :raises OSError: it cannot be entered
    """
    with current() as home:
        _enter(namespace)
        try:
            yield
        finally:
            _enter(home)


def netlink(namespace: int) -> pyroute2.IPRoute:
    """A netlink connection to a namespace; the caller closes it."""
    with inside(namespace):
        connection = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE)
    return pyroute2.IPRoute(fileno=connection.detach())


def set_sysctl(namespace: int, name: str, value: str) -> None:
    """Set what is in /proc/sys/net, unless it is so already.

    :param name: such as ipv4/conf/eth0/arp_ignore
    :raises OSError: the kernel does not have it, or refuses
    """
    path = f'/proc/sys/net/{name}'
    with inside(namespace):
        with open(path, encoding='ascii') as sysctl:
            differs = sysctl.read().strip() != value
        if differs:
            with open(path, 'w', encoding='ascii') as sysctl:
                sysctl.write(value)


def find(ip: pyroute2.IPRoute, name: str) -> int | None:
    """Index of the link with a name, None when there is none."""
    indexes = ip.link_lookup(ifname=name)
    return int(indexes[0]) if indexes else None
