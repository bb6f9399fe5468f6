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

"""passwd(5), shadow(5) and authorized_keys of a container, as bytes. Pure."""

import dataclasses

#: The last user id that is not a special value.
_LAST_ID = (1 << 32) - 2


@dataclasses.dataclass(frozen=True)
class Account:
    """A user of a container."""

    uid: int
    gid: int
    home: str


def find(passwd: bytes, name: str) -> Account | None:
    """The account of this name; None when there is no sound one."""
    for line in passwd.split(b'\n'):
        fields = line.split(b':')
        if len(fields) == 7 and fields[0] == name.encode():
            uid, gid, home = fields[2], fields[3], fields[5]
            if (uid.isdigit() and gid.isdigit() and
                    max(int(uid), int(gid)) <= _LAST_ID):
                return Account(int(uid), int(gid),
                               home.decode(errors='replace'))
    return None


def with_password(shadow: bytes, name: str, hashed: str,
                  day: int) -> bytes | None:
    """The content of /etc/shadow with another password.

    :param hashed: of crypt(3)
    :param day: of the change, since 1970-01-01
    :returns: None when the user has no entry
    """
    lines = shadow.split(b'\n')
    for number, line in enumerate(lines):
        fields = line.split(b':')
        if fields[0] == name.encode() and len(fields) > 2:
            fields[1:3] = hashed.encode(), str(day).encode()
            lines[number] = b':'.join(fields)
            return b'\n'.join(lines)
    return None


def with_key(authorized_keys: bytes, key: str) -> bytes:
    """The content of authorized_keys with another key, once.

    :param key: one line
    """
    line = key.strip().encode()
    if line in authorized_keys.split(b'\n'):
        return authorized_keys
    if authorized_keys and not authorized_keys.endswith(b'\n'):
        authorized_keys += b'\n'
    return authorized_keys + line + b'\n'
