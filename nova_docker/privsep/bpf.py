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

"""What devices a control group of version 2 may use: a BPF program says so.

The kernel asks each program that is attached to the control group, and all
must agree. The runtime attaches one as it makes the container. To change what
it says of one device, it is replaced, at once, by the same with a rule before
it. No library for Python does that, and libbpf knows only programs of its own.

Source: bpf(2), include/uapi/linux/bpf.h and
Documentation/bpf/instruction-set.rst of Linux.
"""

import collections.abc
import contextlib
import ctypes
import errno
import os
import platform
import struct

_libc = ctypes.CDLL(None, use_errno=True)
#: The number of the system call by machine; elsewhere, that of new ones.
_SYS_BPF = {'x86_64': 321, 's390x': 351, 'ppc64le': 361, 'armv7l': 386}
_SYS_BPF_GENERIC = 280

_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_GET_FD_BY_ID = 13
_OBJ_GET_INFO_BY_FD = 15
_PROG_QUERY = 16
_TYPE_CGROUP_DEVICE = 15
_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_REPLACE = 4
#: Bytes of what a call is told; the kernel ignores zeros at the end.
_ATTRIBUTES = 128
#: How many programs may be attached to a control group.
_PROGRAMS = 64
#: Bytes that the verifier may say; its end says why it refuses.
_LOG = 1 << 16

#: What a program is asked: the kind of device, in the lower half of the first
#: word, and what is to be done with it, in the upper.
_BLOCK = 1
_ACCESS = {'m': 1, 'r': 2, 'w': 4}

#: Of an instruction: what it does, its registers, and its size in bytes.
_LOAD = 0x61
_COPY = 0xbf
_SET = 0xb7
_AND = 0x57
_SHIFT_RIGHT = 0x77
_JUMP_UNLESS = 0x55
_JUMP_IF = 0x15
_EXIT = 0x95
_SIZE = 8
#: Instructions of a rule.
_RULE = 14


def change(directory: str, major: int, minor: int, access: str) -> None:
    """Change what a control group may do with one block device.

    :param directory: of the control group
    :param access: some of r, w and m (mknod); none denies the device
    :raises OSError: the kernel refuses, or the control group has no program
    """
    with _opened(os.open(directory, os.O_RDONLY | os.O_CLOEXEC)) as group:
        programs, flags = _attached(group)
        if not programs:
            raise FileNotFoundError(
                errno.ENOENT, 'no program decides about the devices of '
                f'{directory}')
        for program in programs:
            with _opened(_call(_PROG_GET_FD_BY_ID,
                               struct.pack('II', program, 0))[0]) as old:
                code = extended(_code(old), major, minor, access)
                with _opened(_load(code)) as new:
                    _replace(group, old, new, flags)


def extended(code: bytes, major: int, minor: int, access: str) -> bytes:
    """A program with one rule of ours for a device, in front."""
    rules, rest = [], code
    while _device(rest[:_RULE * _SIZE]):
        rules.append(rest[:_RULE * _SIZE])
        rest = rest[_RULE * _SIZE:]
    others = [each for each in rules if _device(each) != (major, minor)]
    return b''.join([rule(major, minor, access), *others, rest])


def rule(major: int, minor: int, access: str) -> bytes:
    """Instructions that decide about one block device, and no other.

    Those that follow decide about all others.
    """
    refused = 0xffff & ~sum(_ACCESS[each] for each in access)
    return b''.join((
        _instruction(_LOAD, 2, 1, 0),
        _instruction(_COPY, 3, 2),
        _instruction(_AND, 2, value=0xffff),
        _instruction(_JUMP_UNLESS, 2, offset=10, value=_BLOCK),
        _instruction(_LOAD, 2, 1, 4),
        _instruction(_JUMP_UNLESS, 2, offset=8, value=major),
        _instruction(_LOAD, 2, 1, 8),
        _instruction(_JUMP_UNLESS, 2, offset=6, value=minor),
        _instruction(_SHIFT_RIGHT, 3, value=16),
        _instruction(_AND, 3, value=refused),
        _instruction(_SET, 0, value=1),
        _instruction(_JUMP_IF, 3, offset=1, value=0),
        _instruction(_SET, 0, value=0),
        _instruction(_EXIT)))


def _device(code: bytes) -> tuple[int, int] | None:
    """The device that instructions decide about, if they are a rule."""
    if len(code) != _RULE * _SIZE:
        return None
    values = [struct.unpack_from('=i', code, number * _SIZE + 4)[0]
              for number in range(_RULE)]
    major, minor, refused = values[5], values[7], values[9]
    access = ''.join(name for name, bit in _ACCESS.items()
                     if not refused & bit)
    return (major, minor) if code == rule(major, minor, access) else None


def _instruction(operation: int, target: int = 0, source: int = 0,
                 offset: int = 0, value: int = 0) -> bytes:
    return struct.pack('=BBhi', operation, source << 4 | target, offset,
                       value)


@contextlib.contextmanager
def _opened(descriptor: int) -> collections.abc.Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _call(command: int, attributes: bytes) -> tuple[int, bytes]:
    """bpf(2): what it returns, and the attributes after it.

    :raises OSError: it fails
    """
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    number = _SYS_BPF.get(platform.machine(), _SYS_BPF_GENERIC)
    result = _libc.syscall(
        ctypes.c_long(number), ctypes.c_int(command), buffer,
        ctypes.c_uint(_ATTRIBUTES))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f'bpf: {os.strerror(code)}')
    return result, buffer.raw


def _attached(group: int) -> tuple[list[int], int]:
    """The ids of the device programs of a control group, and their flags."""
    ids = (ctypes.c_uint32 * _PROGRAMS)()
    _result, after = _call(_PROG_QUERY, struct.pack(
        'IIIIQI', group, _CGROUP_DEVICE, 0, 0, ctypes.addressof(ids),
        _PROGRAMS))
    _group, _kind, _query, flags, _ids, count = struct.unpack_from(
        'IIIIQI', after)
    return list(ids[:count]), flags


def _code(program: int) -> bytes:
    """The instructions of a program.

    They are as the verifier left them, which takes them again.
    """
    size = _information(program, None)
    code = ctypes.create_string_buffer(size)
    _information(program, code)
    return code.raw


def _information(program: int, code: ctypes.Array[ctypes.c_char] | None
                 ) -> int:
    """Have the kernel write a program's instructions; their size in bytes."""
    information = ctypes.create_string_buffer(struct.pack(
        'II8sIIQQ', 0, 0, b'', 0, len(code) if code else 0, 0,
        ctypes.addressof(code) if code else 0), 256)
    _call(_OBJ_GET_INFO_BY_FD, struct.pack(
        'IIQ', program, len(information), ctypes.addressof(information)))
    return int(struct.unpack_from('I', information, 20)[0])


def _load(code: bytes) -> int:
    """A descriptor of a new program.

    :raises OSError: the kernel refuses it; its log says why
    """
    instructions = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(b'Apache-2.0')
    log = ctypes.create_string_buffer(_LOG)
    try:
        return _call(_PROG_LOAD, struct.pack(
            'IIQQIIQ', _TYPE_CGROUP_DEVICE, len(code) // _SIZE,
            ctypes.addressof(instructions), ctypes.addressof(license_), 1,
            _LOG, ctypes.addressof(log)))[0]
    except OSError as error:
        said = log.value.decode(errors='replace')[-200:]
        raise OSError(error.errno, f'{error.strerror}: {said}') from error


def _replace(group: int, old: int, new: int, flags: int) -> None:
    """Attach a program in the place of another one, at once."""
    if flags & _ALLOW_MULTI:
        flags = _ALLOW_MULTI | _REPLACE
    _call(_PROG_ATTACH, struct.pack(
        'IIIII', group, new, _CGROUP_DEVICE, flags,
        old if flags & _REPLACE else 0))
