#!/bin/sh
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

#
# system.sh [all]
#
# The engine runs this as root at every start of a system container, when its
# mounts exist and before it has them as its root. The OCI state is on stdin.
# An init keeps its services apart by control groups: this lets it write to
# those below its own, and to nothing that holds the instance's limits.
#
# With "all" the instance runs an engine of its own, which limits its containers:
# with cgroup v1 the hierarchies with controllers are writable, too. So are the
# instance's limits then, but where the engine of the host remaps users. Such an
# instance has the power to mount a hierarchy again, anyway.

fail() {
    echo "nova-docker: no $kind can run here: $1" >&2
    exit 1
}
all=$1
kind='system container'
[ -z "$all" ] || kind='engine in a container'
# Words are taken as they are.
set -f

# value TEXT KEY: the string of the first KEY. Quotes inside of strings have a
# backslash, so that nothing in one can be taken for a key.
value() {
    value=${1#*\""$2"\":}
    value=${value#*\"}
    echo "${value%%\"*}"
}

state=$(cat)
# It is restored from a checkpoint: its mounts are not there yet, and come back
# as they were, which is writable. A start is at "creating" here.
[ "$(value "$state" status)" != stopped ] || exit 0
pid=${state#*\"pid\"}
pid=${pid#*:}
pid=${pid# }
pid=${pid%%[!0-9]*}
[ -n "$pid" ] || fail 'no pid in the OCI state'
bundle=$(value "$state" bundle)
config=$(cat "$bundle/config.json") || fail 'no OCI configuration'
root=$(value "${config#*\"root\":}" path)
# Relative to the bundle where it does not begin with a slash.
cgroup=$(cd "$bundle" && cd "$root" && pwd -P)/sys/fs/cgroup ||
    fail 'no root filesystem'

# Fields of proc_pid_mountinfo(5). The kernel's paths have no links.
groups='' limit=''
while read -r _ _ _ top path _ rest; do
    # shellcheck disable=SC2086
    set -- ${rest#*- }
    case "$path $1" in
        "$cgroup/systemd cgroup")
            # Alone in its hierarchy, without any controller.
            grep -q ':name=systemd:' "/proc/$pid/cgroup" || continue
            ;;
        "$cgroup/"*" cgroup")
            [ "$all" ] || continue
            ;;
        "$cgroup cgroup2")
            # Without it the guest could raise its own limits.
            case ",$3," in
                *,nsdelegate,*) limit=4096 ;;
                *) fail 'cgroup2 is not mounted with nsdelegate' ;;
            esac
            ;;
        *) continue ;;
    esac
    [ "$top" != / ] || fail 'it would see the control groups of the host'
    groups="$groups $path"
done < "/proc/$pid/mountinfo"
[ -n "$groups" ] ||
    fail 'neither a cgroup hierarchy name=systemd nor cgroup2 is mounted'
# Root of the container, where the engine remaps users.
read -r _ uid _ < "/proc/$pid/uid_map"
read -r _ gid _ < "/proc/$pid/gid_map"
# shellcheck disable=SC2086
nsenter --mount="/proc/$pid/ns/mnt" sh -c '
    limit=$1 owner=$2
    shift 2
    for group; do
        mount -o remount,bind,rw,nosuid,nodev,noexec "$group" || exit
        # They take memory of the host. No such file in v1.
        [ -z "$limit" ] ||
            echo "$limit" > "$group/cgroup.max.descendants" || exit
        [ "$owner" != 0:0 ] || continue
        # What cgroups(7) has delegated: nothing that holds a limit.
        for file in "" /cgroup.procs /cgroup.subtree_control \
                /cgroup.threads /tasks; do
            [ ! -e "$group$file" ] || chown "$owner" "$group$file" || exit
        done
    done
' sh "$limit" "$uid:$gid" $groups ||
    fail "$cgroup can not be made writable"
