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

"""The part of the Docker Engine API that the driver uses.

:class:`Engine` is the one seam: :class:`nova_docker.engine.session.Session`
speaks to a real engine, ``tests.fixtures.engine.FakeEngine`` is stateful and
in memory, and the same cases run on both. Containers and images are named by
name or reference; dicts have the shape of the Engine API. Every method raises
:class:`nova_docker.engine.errors.EngineError` and nothing else.
"""

import abc
import collections.abc
import dataclasses
import typing

#: A decoded JSON object of the Engine API.
Json = dict[str, typing.Any]


@dataclasses.dataclass(frozen=True)
class File:
    """A regular file of a container.

    :ivar path: absolute; its last part is no symbolic link
    :ivar mode: permissions only
    """

    path: str
    data: bytes
    uid: int = 0
    gid: int = 0
    mode: int = 0o644


class EventStream(abc.ABC):
    """An open GET /events: iterate for dicts, close from any thread."""

    @abc.abstractmethod
    def __iter__(self) -> collections.abc.Iterator[Json]:
        """Yield events until closed; raise EngineError when it breaks."""

    @abc.abstractmethod
    def close(self) -> None:
        """End the iteration, also one that is waiting (idempotent)."""


class ImageStream(abc.ABC):
    """An open GET /images/{name}/get: iterate once in a with statement.

    It may be read in another thread than the one that opened it, also in a
    native one under eventlet, as Nova 2026.1 uploads. The with statement ends
    after the reading.
    """

    def __enter__(self) -> typing.Self:
        return self

    @abc.abstractmethod
    def __exit__(self, *exc_info: object) -> None:
        """Give the connection up, wherever the iteration is.

        What is left is read first, unless the stream was closed: some engines
        keep an image whose save breaks off.
        """

    @abc.abstractmethod
    def __iter__(self) -> collections.abc.Iterator[bytes]:
        """Yield the archive in pieces; EngineError when it ends too early.

        An error of the engine in the middle of its work may also look like
        the end of a damaged or truncated archive.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Make the iteration fail, also one that waits (idempotent).

        From any thread, at any time.
        """


class Terminal(abc.ABC):
    """An open terminal of a container, for one thread that selects.

    Whoever has one reads it without delay: what is not read holds up the
    container's processes, and even the engine's stop of it.
    """

    @abc.abstractmethod
    def fileno(self) -> int:
        """What to select."""

    @abc.abstractmethod
    def recv(self, size: int) -> bytes | None:
        """What it shows: None for nothing now, empty when it has ended."""

    @abc.abstractmethod
    def pending(self) -> bool:
        """Whether there is something to read that a selector can't see."""

    @abc.abstractmethod
    def send(self, data: bytes) -> int:
        """Type something; how much of it was taken, which may be nothing."""

    @abc.abstractmethod
    def resize(self, rows: int, columns: int) -> None:
        """POST .../resize, bounded; NotFound or Conflict when it has ended."""

    @abc.abstractmethod
    def process(self) -> tuple[int, str] | None:
        """Pid on the host and container of what is executed for it, if any."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of it (idempotent); the processes behind it run on."""


class Engine(abc.ABC):
    """A Docker Engine. Thread-safe."""

    @abc.abstractmethod
    def info(self) -> Json:
        """GET /info, bounded."""

    @abc.abstractmethod
    def version(self) -> Json:
        """GET /version, bounded: Version, ApiVersion, MinAPIVersion..."""

    @abc.abstractmethod
    def events(self, filters: collections.abc.Mapping[
            str, collections.abc.Sequence[str]],
            since: float | None = None) -> EventStream:
        """GET /events, unbounded.

        :param filters: for example ``{'type': ['container'],
            'label': ['key=value']}``
        :param since: Unix time in seconds to replay from, as far as the
            engine remembers (256 events, none over its restart); without it,
            events right after this call may be missed
        """

    @abc.abstractmethod
    def list_containers(
            self, labels: collections.abc.Sequence[str],
            names: collections.abc.Sequence[str] = (),
            health: str | None = None) -> list[Json]:
        """GET /containers/json with all=true: running or not, newest first.

        :param labels: ``key=value`` strings that all must match
        :param names: exact container names, one of which must match; none
            given, any
        :param health: starting, healthy, unhealthy, or none for containers
            without a health check; not given, any
        """

    @abc.abstractmethod
    def create_container(self, name: str, body: Json) -> str:
        """POST /containers/create; the id of the new container.

        :raises Conflict: the name is in use
        :raises NotFound: the image is absent
        """

    @abc.abstractmethod
    def inspect_container(self, name: str) -> Json:
        """GET /containers/{name}/json. Blocks while the container starts."""

    @abc.abstractmethod
    def start_container(self, name: str, timeout: float,
                        checkpoint: str | None = None) -> bool:
        """POST /containers/{name}/start.

        :raises BadRequest: the command does not exist or cannot be run
        :raises ServerError: a hook failed or a CDI device is missing, or
            it can't be restored; right after a checkpoint was made, an engine
            may say that something exists, and restore it a moment later

        :param timeout: seconds to wait, as the start hook may take its time
        :param checkpoint: one of the container, whose processes go on; None
            for new ones
        :returns: whether it was started; False when it was running (304)
        """

    @abc.abstractmethod
    def stop_container(self, name: str, timeout: int) -> bool:
        """POST /containers/{name}/stop: stop signal, then SIGKILL.

        The engine's lists show that it does not run when this returns.

        :param timeout: seconds between the two; 0 kills at once
        :returns: whether it was stopped; False when it was not running (304)
        """

    @abc.abstractmethod
    def kill_container(self, name: str, signal: str = 'SIGKILL') -> None:
        """POST /containers/{name}/kill; Conflict when it is not running."""

    @abc.abstractmethod
    def pause_container(self, name: str) -> None:
        """POST /containers/{name}/pause; Conflict when not running."""

    @abc.abstractmethod
    def unpause_container(self, name: str) -> None:
        """POST /containers/{name}/unpause; Conflict when not paused."""

    @abc.abstractmethod
    def create_checkpoint(self, name: str, checkpoint: str) -> None:
        """POST /containers/{name}/checkpoints with Exit=true.

        The container's processes end as they are written to the engine's
        disk, where root alone can read them. They run on when that fails.
        Bounded by an hour, as it is all of their memory.

        :param checkpoint: its name, of which there is none yet
        :raises Conflict: the container does not run
        :raises ServerError: its processes have what can't be written down,
            or the engine is not experimental, or has no CRIU
        """

    @abc.abstractmethod
    def list_checkpoints(self, name: str) -> list[str]:
        """GET /containers/{name}/checkpoints: their names."""

    @abc.abstractmethod
    def remove_checkpoint(self, name: str, checkpoint: str) -> None:
        """DELETE /containers/{name}/checkpoints/{checkpoint}.

        The container's removal does it, too.

        :raises NotFound: there is no such container
        :raises ServerError: there is no such checkpoint
        """

    @abc.abstractmethod
    def update_container(self, name: str, body: Json) -> None:
        """POST /containers/{name}/update with raw HostConfig keys."""

    @abc.abstractmethod
    def rename_container(self, name: str, new_name: str) -> None:
        """POST /containers/{name}/rename; Conflict when it is in use."""

    @abc.abstractmethod
    def remove_container(self, name: str) -> None:
        """DELETE /containers/{name}?force=true&v=true.

        Bounded by ten minutes more than other requests, since it deletes all
        the files that a guest has written.

        :raises NotFound: it does not exist
        """

    @abc.abstractmethod
    def commit_container(self, name: str, reference: str) -> str:
        """POST /commit with pause=true; the id of the new image.

        Its processes are frozen meanwhile; those of a paused one stay so.
        Bounded by an hour, as it copies all the files that a guest has
        written. Volumes are left out. The image's configuration is that of
        the container, with its labels.

        :param reference: name and tag that the image gets
        :raises Conflict: the container is being removed
        """

    @abc.abstractmethod
    def container_logs(self, name: str, max_bytes: int) -> bytes:
        """GET /containers/{name}/logs: the last max_bytes of its output.

        Frames of a container without a TTY are taken apart. Memory use is
        bounded by about max_bytes, also for a log of many gigabytes.
        """

    @abc.abstractmethod
    def attach_container(self, name: str) -> Terminal:
        """POST /containers/{name}/attach: the terminal of one with a TTY.

        It shows what is printed from now on, and no key detaches from it.

        :raises NotFound: there is no such container
        :raises Conflict: it is paused
        """

    @abc.abstractmethod
    def exec_container(self, name: str, command: collections.abc.Sequence[str]
                       ) -> Terminal:
        """POST /containers/{name}/exec and /exec/{id}/start, with a TTY.

        Why a command cannot be run is shown there.

        :raises NotFound: there is no such container
        :raises Conflict: it is not running, or is paused
        """

    @abc.abstractmethod
    def container_top(self, name: str) -> Json:
        """GET /containers/{name}/top: PID and COMMAND of each process.

        Without arguments of commands, which could be of any size.

        :raises Conflict: it is not running
        """

    @abc.abstractmethod
    def get_file(self, name: str, path: str, max_bytes: int) -> File | None:
        """GET /containers/{name}/archive of one file, running or not.

        Symbolic links are followed by the engine, inside the container.

        :param path: absolute
        :returns: None for anything but a regular file of max_bytes or less
        :raises NotFound: there is no such container or path
        :raises ServerError: the path leads through a file or a loop of links
        """

    @abc.abstractmethod
    def put_archive(self, name: str, archive: bytes) -> None:
        """PUT /containers/{name}/archive: unpack a tar archive at its root.

        The engine does it inside the container: links that lead to parents
        of a member are followed there. Missing parents are made, of root
        with mode 0755. What else is at a member's name is replaced by it,
        except that a directory and a file never replace each other.

        :raises NotFound: there is no such container
        :raises ServerError: a member can't be made; those before it are
        """

    @abc.abstractmethod
    def list_images(self, references: collections.abc.Sequence[str]
                    ) -> list[Json]:
        """GET /images/json filtered by reference patterns; none, all.

        ``RepoTags`` has the matching ones only. In a pattern, ``*`` matches
        anything but a slash.
        """

    @abc.abstractmethod
    def inspect_image(self, reference: str) -> Json:
        """GET /images/{reference}/json; NotFound when absent."""

    @abc.abstractmethod
    def load_image(self, archive: collections.abc.Iterable[bytes]) -> None:
        """POST /images/load, unbounded, streamed from the iterable.

        An exception of the iterable breaks the request and is re-raised as
        it is. An error inside the engine's answer stream is a BadRequest;
        over TCP, one that comes before all was sent may be Unavailable.
        """

    @abc.abstractmethod
    def import_image(self, reference: str, platform: str,
                     archive: collections.abc.Iterable[bytes]) -> None:
        """POST /images/create?fromSrc=-, unbounded: a root filesystem.

        The image has no configuration but its platform. An exception of the
        iterable breaks the request and is re-raised as it is; the engine has
        no such image then, even if what it got is a whole archive but for
        its end.

        :param reference: name and tag that the image gets
        :param platform: for example linux/amd64
        :param archive: an uncompressed tar archive in pieces
        :raises ServerError: it can't be unpacked; a containerd store keeps
            the image, which can't be used
        """

    @abc.abstractmethod
    def save_image(self, reference: str) -> ImageStream:
        """GET /images/{reference}/get.

        Each piece may take an hour: some engines write the whole archive to
        their disk before they send its first byte.

        :raises NotFound: it is absent
        """

    @abc.abstractmethod
    def remove_image(self, reference: str) -> None:
        """DELETE /images/{reference}?noprune=false, never forced.

        :raises NotFound: it is absent
        :raises Conflict: a container uses it
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Close all connections and event streams (idempotent)."""
