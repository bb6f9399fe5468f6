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

"""The machines of a cloud: this one, and network namespaces beside it."""

import dataclasses
import pathlib
import typing

from evalcloud import engine


@dataclasses.dataclass(frozen=True)
class Host:
    """One machine of a cloud, with all that its programs write.

    A host apart is a network and a mount namespace of this machine: its
    interfaces and its /run/netns are its own, files and processes are not.
    """

    name: str
    folder: pathlib.Path
    #: Where the other hosts reach it; loopback when there is no other.
    address: str = '127.0.0.1'
    #: The address that its tunnels begin and end at.
    tunnel: str = '127.0.0.1'
    #: File that holds its mount namespace; None for this machine itself.
    mounts: pathlib.Path | None = None

    @property
    def etc(self) -> pathlib.Path:
        return self.folder / 'etc'

    @property
    def run(self) -> pathlib.Path:
        """Sockets and pid files."""
        return self.folder / 'run'

    @property
    def data(self) -> pathlib.Path:
        return self.folder / 'data'

    @property
    def engine(self) -> engine.Engine:
        """The engine that the cloud starts for it."""
        return engine.Engine(self.folder / 'engine')

    @property
    def ovsdb(self) -> str:
        """The Open vSwitch database, as OVSDB clients name it."""
        return f'unix:{self.run}/ovs/db.sock'

    @property
    def runtime(self) -> dict[str, typing.Any]:
        """Where clients of Open vSwitch and OVN look for its daemons."""
        return {'OVS_RUNDIR': self.run / 'ovs', 'OVN_RUNDIR': self.run / 'ovn'}

    @property
    def apart(self) -> bool:
        """Whether it has namespaces of its own."""
        return self.mounts is not None

    @property
    def netns(self) -> pathlib.Path:
        """File that holds its network namespace."""
        return pathlib.Path('/run/netns', self.name)

    @property
    def enter(self) -> list[str]:
        """What makes a command run there.

        Not "ip netns exec": that mounts a /sys without cgroup v1.
        """
        if not self.apart:
            return []
        return ['nsenter', f'--net={self.netns}', f'--mount={self.mounts}']

    def program(self, name: str) -> str:
        """Name of one of its programs."""
        return f'{name}@{self.name}' if self.apart else name
