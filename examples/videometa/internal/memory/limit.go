// Package memory tells Go's runtime how much memory the container has.
package memory

import (
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// share leaves a tenth to what the runtime doesn't count: mapped files, thread stacks, the kernel's buffers.
	share = 90
	// least is the smallest container whose limit is worth telling. Below it the heap is mostly what the service needs
	// to be up at all, and a collector that is kept from growing runs all the time: at 8 MiB we saw 29 times the CPU.
	least = 64 << 20
	// boundless is what version 1 has where nothing is limited: the largest multiple of a page, hence not quite MaxInt64.
	boundless = math.MaxInt64 / 2
)

// SetLimit sets GOMEMLIMIT to 90 % of the cgroup's limit, and gives it; 0 says that it was left as it is.
//
// It is left where the user has set GOMEMLIMIT, where there is no limit, and where that is below 64 MiB.
func SetLimit(root fs.FS, alreadySet bool) int64 {
	limit := ofContainer(root)
	if alreadySet || limit < least || limit > boundless {
		return 0
	}
	limit = limit / 100 * share
	debug.SetMemoryLimit(limit)
	return limit
}

// ofContainer is the lowest limit between our cgroup and the root; MaxInt64 where there is none.
//
// Source: cgroups(7), /proc/[pid]/cgroup; kernel, Documentation/admin-guide/cgroup-v2.rst, memory.max.
func ofContainer(root fs.FS) int64 {
	membership, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return math.MaxInt64
	}
	limit := int64(math.MaxInt64)
	for line := range strings.Lines(string(membership)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		switch {
		case fields[0] == "0" && fields[1] == "":
			limit = min(limit, lowest(root, "sys/fs/cgroup", fields[2], "memory.max"))
		case hasController(fields[1], "memory"):
			limit = min(limit, lowest(root, "sys/fs/cgroup/memory", fields[2], "memory.limit_in_bytes"))
		}
	}
	return limit
}

func hasController(list, name string) bool {
	for controller := range strings.SplitSeq(list, ",") {
		if controller == name {
			return true
		}
	}
	return false
}

// lowest walks from our group up: within a cgroup namespace the path may lead out of what is mounted, whose root is then ours.
func lowest(root fs.FS, mount, group, file string) int64 {
	limit := int64(math.MaxInt64)
	for at := path.Clean("/" + group); ; at = path.Dir(at) {
		if text, err := fs.ReadFile(root, path.Join(mount, at, file)); err == nil {
			if bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // not "max"
				limit = min(limit, bytes)
			}
		}
		if at == "/" {
			return limit
		}
	}
}
