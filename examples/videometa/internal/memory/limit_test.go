package memory

import (
	"math"
	"runtime/debug"
	"testing"
	"testing/fstest"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func TestTheLimitIsTheCgroupsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		files fstest.MapFS
		want  int64
	}{
		"no cgroup":   {fstest.MapFS{}, 0},
		"v2":          {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("104857600\n")}, 94371840},
		"v2 no limit": {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n")}, 0},
		"v2 a parent's is lower": {fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"),
			"sys/fs/cgroup/a/b/memory.max": file("max\n"), "sys/fs/cgroup/a/memory.max": file("104857600\n")}, 94371840},
		"v2 namespace": {fstest.MapFS{"proc/self/cgroup": file("0::/../x\n"), "sys/fs/cgroup/memory.max": file("104857600\n")}, 94371840},
		"v1": {fstest.MapFS{"proc/self/cgroup": file("4:cpu,memory:/d\n0::/\n"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("104857600\n")}, 94371840},
		"v1 no limit": {fstest.MapFS{"proc/self/cgroup": file("4:memory:/d\n"),
			"sys/fs/cgroup/memory/d/memory.limit_in_bytes": file("9223372036854771712\n")}, 0},
		"below 64 MiB": {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("8388608\n")}, 0},
		"at 64 MiB":    {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("67108864\n")}, 60397920},
	} {
		t.Run(name, func(t *testing.T) {
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
			if got := SetLimit(c.files, false); got != c.want {
				t.Errorf("set to %d, want %d", got, c.want)
			}
			if c.want != 0 && debug.SetMemoryLimit(-1) != c.want {
				t.Error("the runtime wasn't told")
			}
		})
	}
}

func TestTheUsersOwnLimitStands(t *testing.T) {
	files := fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("104857600\n")}
	if got := SetLimit(files, true); got != 0 {
		t.Errorf("set to %d", got)
	}
}
