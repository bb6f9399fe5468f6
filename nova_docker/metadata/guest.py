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

"""What is put into a container before its first start.

Injected files, the user's SSH key and the administrator's password go in with
one request: the engine unpacks them inside the container, so that whatever the
image has in their place (links, pipes, devices) leads nowhere else.
"""

import collections.abc
import dataclasses
import io
import tarfile
import time
import typing

from nova import exception

from nova_docker.engine import client
from nova_docker.engine import errors
from nova_docker.metadata import password
from nova_docker.spec import accounts
from nova_docker.spec import paths

#: Bytes of the largest file that is read out of an image.
_MAX_BYTES = 1 << 20


class _Files:
    """The files of a container, with those that will be put into it."""

    def __init__(self, engine: client.Engine, container: str,
                 files: collections.abc.Iterable[tuple[str, bytes]],
                 first_ids: tuple[int, int]) -> None:
        self._engine = engine
        self._container = container
        self._first_ids = first_ids
        self._files = {path: client.File(path, data) for path, data in files}
        self._directories: list[client.File] = []

    def read(self, path: str) -> client.File | None:
        """A file, None when there is nothing at its path.

        :raises ValueError: there is something else
        """
        if path in self._files:
            return self._files[path]
        try:
            found = self._engine.get_file(self._container, path, _MAX_BYTES)
        except errors.NotFound:
            return None
        except errors.ServerError as error:
            # A loop of links, or a file where a directory should be.
            raise ValueError(
                f'{path} of the image can not be read: {error}') from error
        if found is None:
            raise ValueError(f'{path} of the image is not a file of at most '
                             f'{_MAX_BYTES} bytes')
        return self._as_inside(found)

    def _as_inside(self, file: client.File) -> client.File:
        """A file with the owners that it has in the container.

        An engine that remaps users says those of the host, and wants to be
        told the others.
        """
        user, group = self._first_ids
        return dataclasses.replace(
            file, uid=file.uid - user if file.uid >= user else file.uid,
            gid=file.gid - group if file.gid >= group else file.gid)

    def write(self, file: client.File) -> None:
        self._files[file.path] = file

    def need_directory(self, directory: client.File) -> None:
        """Make a directory with this mode unless there is something.

        :raises ValueError: there can be nothing, as of a loop of links
        """
        try:
            self._engine.get_file(self._container, directory.path, 0)
        except errors.NotFound:
            self._directories.append(directory)
        except errors.ServerError as error:
            raise ValueError(f'{directory.path} of the image can not be '
                             f'made: {error}') from error

    def put(self) -> None:
        """Put all into the container."""
        if not self._files and not self._directories:
            return
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as archive:
            for kind, files in ((tarfile.DIRTYPE, self._directories),
                                (tarfile.REGTYPE, self._files.values())):
                for file in files:
                    archive.addfile(_member(kind, file),
                                    io.BytesIO(file.data))
        self._engine.put_archive(self._container, buffer.getvalue())


def _member(kind: bytes, file: client.File) -> tarfile.TarInfo:
    member = tarfile.TarInfo(file.path.lstrip('/'))
    member.type, member.size = kind, len(file.data)
    member.uid, member.gid, member.mode = file.uid, file.gid, file.mode
    member.mtime = int(time.time())
    return member


def prepare(engine: client.Engine, container: str, instance: typing.Any,
            image_meta: typing.Any,
            properties: collections.abc.Mapping[str, str],
            injected_files: collections.abc.Sequence[tuple[str, bytes]],
            admin_password: str | None,
            directories: collections.abc.Iterable[str] = (),
            first_ids: tuple[int, int] = (0, 0)) -> None:
    """Put files, the instance's key and a password into a new container.

    :param properties: the docker_* properties of its image, without prefix
    :param injected_files: that :func:`nova_docker.spec.requests.of_files`
        has nothing against
    :param directories: absolute paths of what must be there
    :param first_ids: the user and the group of the host that root is
    :raises nova.exception.ImageUnacceptable: the image has no place for it
    :raises nova.exception.BuildAbortException: the files or the password
    """
    files = _Files(engine, container, (
        (paths.from_root(path), data) for path, data in injected_files),
        first_ids)
    hashed = None
    try:
        if admin_password:
            hashed = password.hashed(admin_password)
    except ValueError as error:
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid, reason=str(error)) from error
    try:
        for directory in directories:
            files.need_directory(client.File(directory, b'', 0, 0, 0o755))
        _add_key(files, instance, properties.get('ssh_user'))
        if hashed:
            _set_password(files, password.user(image_meta), hashed)
    except ValueError as error:
        raise exception.ImageUnacceptable(
            image_id=image_meta.id, reason=str(error)) from error
    try:
        files.put()
    except errors.ServerError as error:
        if not injected_files:
            raise
        # A file where the image has a directory, or below a file.
        raise exception.BuildAbortException(
            instance_uuid=instance.uuid,
            reason=f'can not inject the files: {error}') from error


def _add_key(files: _Files, instance: typing.Any, user: str | None) -> None:
    """Let the owner of the instance's key log in.

    :param user: that the image names; None for root, if the image has it
    :raises ValueError: the image has no such user, or odd files
    """
    key = instance.key_data if 'key_data' in instance else None
    # Those of Windows are certificates.
    if not key or key.startswith('-----BEGIN'):
        return
    passwd = files.read('/etc/passwd')
    account = accounts.find(passwd.data if passwd else b'', user or 'root')
    directory = f'{account.home.rstrip("/")}/.ssh' if account else ''
    if account is None or not paths.is_plain(directory):
        if user:
            raise ValueError(f'docker_ssh_user={user}: the image has no such '
                             'user with a home')
        return
    path = f'{directory}/authorized_keys'
    found = files.read(path)
    if found is None:
        files.need_directory(client.File(
            directory, b'', account.uid, account.gid, 0o700))
        found = client.File(path, b'')
    files.write(client.File(
        found.path, accounts.with_key(found.data, key),
        account.uid, account.gid, 0o600))


def _set_password(files: _Files, user: str, hashed: str) -> None:
    """Set a password where the image has a place for it.

    :raises ValueError: the place is odd
    """
    shadow = files.read('/etc/shadow')
    if shadow is None:
        return
    data = accounts.with_password(shadow.data, user, hashed,
                                  password.today())
    if data is not None:
        files.write(dataclasses.replace(shadow, data=data))
